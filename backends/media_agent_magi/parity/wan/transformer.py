"""Cases of the causal Wan transformer: single forwards, positions, timesteps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import groupby

import torch
from torch import Tensor

from media_agent_magi.engine.causal import lora
from media_agent_magi.engine.causal.config import EVERYTHING, CausalConfig
from media_agent_magi.engine.causal.dit import WanDiT
from media_agent_magi.engine.causal.predictor import WindowedPredictor
from media_agent_magi.engine.causal.rope import (
    angles,
    pairs_of_axes,
    rotary_table,
    rotate,
    sinusoid,
)
from media_agent_magi.engine.causal.stepper import FewStepStepper, NoiseTable
from media_agent_magi.engine.text.keys import ChunkText
from media_agent_magi.parity.comparison import ROUNDED, SINGLE, Check, Comparison
from media_agent_magi.parity.golden import (
    Fields,
    GoldenFolder,
    Tensors,
    check_declared,
    note_uncompared,
)
from media_agent_magi.parity.wan.intermediates import compare_modules, record


def causal_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the cases of a file of single forwards."""
    kind = stem.rpartition(".")[2]
    kinds: dict[str, Callable[[GoldenFolder, str], Iterator[Check]]] = {
        "nocache": at_once_checks,
        "lora": adapter_checks,
        "bf16_policy": policy_checks,
    }
    yield from kinds.get(kind, forward_checks)(golden, stem)


def read_text(model: WanDiT, rows: Tensor) -> ChunkText:
    """Let the model read rows (N, L, channels), all of them."""
    return model.read(rows.float(), torch.ones(rows.shape[:2]))


def forward_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the single forwards of a file, which share one cache and go in order."""
    spec, tensors = golden.spec(stem), golden.tensors(stem)
    model = golden.causal_transformer(spec)
    config = CausalConfig(
        block_frames=spec["num_frame_per_block"],
        window=spec["local_attn_size"],
        sink=spec["sink_size"],
        slot_positions=str(spec.get("rope", "")).startswith("slot"),
        rides=False,
    )
    predictor = WindowedPredictor(model, config)
    for name, case in spec["cases"].items():

        def check(name: str = name, case: Fields = case) -> Comparison:
            nonlocal predictor
            if case["cached_frames_before"] == 0 and case["first_frame"]:
                predictor = WindowedPredictor(model, config)
                predictor.cache.restart(case["first_frame"] * spec["tokens_per_frame"])
            done = Comparison()
            check_declared(done, spec, tensors, f"{name}.")
            _forward(done, predictor, case, tensors.under(f"{name}."), tensors["in.text"], spec)
            return done

        yield f"{stem}/{name}", check


def _forward(
    done: Comparison,
    predictor: WindowedPredictor,
    case: Fields,
    tensors: Tensors,
    rows: Tensor,
    spec: Fields,
) -> None:
    model, x, first = predictor.model, tensors["in.x"], case["first_frame"]
    with torch.no_grad(), record(model) as seen:
        flow = predictor.forward(
            x,
            tuple(tensors["in.t"][0].tolist()),
            (read_text(model, rows),),
            [(first, first + x.shape[2])],
            clean=1,
        )
    expected = tensors.under("out.")
    done.close("flow", flow, expected["flow"], SINGLE)
    held = case["cached_frames_after"] * spec["tokens_per_frame"]
    compare_cache(done, predictor, expected, held)
    compare_modules(done, tensors.under("mid."), seen)
    note_uncompared(done, {n for n in expected if n != "flow" and not n.startswith("cache_")})


def compare_cache(
    done: Comparison, predictor: WindowedPredictor, expected: Tensors, held: int
) -> None:
    """Compare keys and values, as they lie in the ring, with those of "cache_k.LAYER"."""
    entries = predictor.cache.entries()
    for name, tensor in expected.items():
        kind, _, layer = name.partition(".")
        if kind in ("cache_k", "cache_v"):
            keys, values = entries[int(layer.partition(".")[0])].chunk(2, dim=-1)
            got = keys if kind == "cache_k" else values
            done.close(name, got[:, :held], tensor[:, :held], SINGLE)


def at_once_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield forwards over several blocks at once, without a cache."""
    spec, tensors = golden.spec(stem), golden.tensors(stem)
    model = golden.causal_transformer(spec)
    for name, case in spec["cases"].items():

        def check(name: str = name, case: Fields = case) -> Comparison:
            done, given = Comparison(), tensors.under(f"{name}.")
            check_declared(done, spec, tensors, f"{name}.")
            x, window = given["in.x"], case["local_attn_size"]
            frames = [len(list(block)) for _, block in groupby(case["block_of_frame"])]
            grid = model.grid(x)
            each, ends = grid[1] * grid[2], [sum(frames[: i + 1]) for i in range(len(frames))]
            ranges = [
                [(0 if window == EVERYTHING else max(0, end - window) * each, end * each)]
                for end in ends
            ]
            with torch.no_grad():
                flow = model.run(
                    x,
                    model.condition(given["in.t"]),
                    (read_text(model, tensors["in.text"]),) * len(frames),
                    model.rotary(grid, 0, grid[0]),
                    ranges=ranges,
                    frames=frames,
                )
            done.close("flow", flow, given["out.flow"], SINGLE)
            return done

        yield f"{stem}/{name}", check


def adapter_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield one forward with an adapter, beside the weights and merged into them."""
    spec, tensors = golden.spec(stem), golden.tensors(stem)
    plain = golden.causal_transformer(spec)
    adapter = lora.read_adapter(tensors.under("lora."), plain, spec["alpha"])
    for name, put in (("beside", lora.apply), ("merged", lora.merge)):

        def check(put: Callable[..., None] = put) -> Comparison:
            done, model = Comparison(), deepcopy(plain)
            check_declared(done, spec, tensors)
            put(model, adapter)
            predictor = WindowedPredictor(model, CausalConfig(spec["num_frame_per_block"]))
            x = tensors["in.x"]
            with torch.no_grad():
                text = read_text(model, tensors["in.text"])
                t = tuple(tensors["in.t"][0].tolist())
                flow = predictor.forward(x, t, (text,), [(0, x.shape[2])])
            done.close("flow", flow, tensors["out.flow"], SINGLE)
            return done

        yield f"{stem}/{name}", check


def policy_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the forwards of a file in bfloat16, which share one cache and go in order."""
    spec, tensors = golden.spec(stem), golden.tensors(stem)
    model = golden.causal_transformer(spec, "bfloat16")
    predictor = WindowedPredictor(model, CausalConfig(spec["num_frame_per_block"]))
    stepper = FewStepStepper(CausalConfig(spec["num_frame_per_block"]))

    def check() -> Comparison:
        done = Comparison()
        check_declared(done, spec, tensors)
        for name in _in_order(tensors):
            given, block = tensors.under(f"{name}."), int(name[len("block") :].partition("_")[0])
            x = given["in.x"].transpose(1, 2)
            span = (block * x.shape[2], (block + 1) * x.shape[2])
            with torch.no_grad():
                text = read_text(model, tensors["in.text"])
                t = tuple(given["in.t"][0].tolist())
                flow = predictor.forward(x, t, (text,), [span], clean=1)
            sigma = NoiseTable(CausalConfig().shift).sigma(t[0]).double()
            clean = (x.double() - sigma * flow.double()).to(x.dtype)
            done.close(f"flow of {name}", flow.transpose(1, 2), given["out.flow"], ROUNDED)
            done.close(f"x0 of {name}", clean.transpose(1, 2), given["out.x0"], ROUNDED)
        for name, mixed in tensors.under("renoise.out.t").items():
            level = [f"{t:g}".replace(".", "_") for t in stepper.times].index(name)
            noise = tensors["renoise.in.noise"][None]
            got = stepper.start(noise, clean.transpose(1, 2), level)
            done.close(f"mixed to {name}", got, mixed, ROUNDED)
        entries = predictor.cache.entries()
        for kind, part in (("k", 0), ("v", 1)):
            for layer, expected in tensors.under(f"cache.out.{kind}.").items():
                got = entries[int(layer)].chunk(2, dim=-1)[part]
                done.close(f"{kind} of layer {layer}", got, expected, ROUNDED)
        return done

    yield f"{stem}/in order", check


def _in_order(tensors: Tensors) -> list[str]:
    """Return the forwards of a file: by block, the noisy one before the clean one."""
    found = {name.partition(".in.x")[0] for name in tensors if name.endswith(".in.x")}
    return sorted(found, key=lambda name: (name.partition("_")[0], name.endswith("clean")))


def position_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield rotations, their tables and sinusoids of timesteps."""
    spec, tensors = golden.spec(stem), golden.tensors(stem)
    for name, case in spec["cases"].items():

        def check(name: str = name, case: Fields = case) -> Comparison:
            done, given = Comparison(), tensors.under(f"{name}.")
            check_declared(done, spec, tensors, f"{name}.")
            grid = (case["frames"], case["rows"], case["columns"])
            table = rotary_table(case["head_width"], case["first_frame"], grid)
            done.close("rotated", rotate(given["in.x"], table), given["out.x"], SINGLE)
            pairs = pairs_of_axes(case["head_width"])
            done.equal("pairs of axes", list(pairs), case["pairs_per_axis"])
            for axis, count in zip("thw", pairs, strict=True):
                rows = case["table_rows_t" if axis == "t" else "table_rows_hw"]
                turned = angles(torch.tensor(rows), count)
                for wave, values in (("cos", turned.cos()), ("sin", turned.sin())):
                    entry = f"angles_{wave}.{axis}"
                    done.close(entry, values, given[f"out.{entry}"], SINGLE)
            return done

        yield f"{stem}/{name}", check

    def waves() -> Comparison:
        done = Comparison()
        for name, expected in tensors.items():
            if name.startswith("dim") and name.endswith(".out"):
                width = int(name[len("dim") : -len(".out")])
                done.close(name, sinusoid(tensors["in.t"], width), expected, SINGLE)
        return done

    yield f"{stem}/sinusoid", waves


def timestep_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield lists of timesteps and the noise levels that belong to them."""
    spec = golden.spec(stem)
    for number, case in enumerate(spec["lists"]):

        def check(case: Fields = case) -> Comparison:
            done, table = Comparison(), NoiseTable(case["shift"])
            warped = [table.warped(step) for step in case["steps"]]
            done.equal("warped", warped, case["warped"])
            for kind, times in (("warped", warped), ("plain", case["steps"])):
                rows = [[table.index(t), float(table.sigma(t))] for t in times]
                done.equal(f"levels of {kind}", rows, case[f"index_and_sigma_{kind}"])
            return done

        yield f"{stem}/list {number}", check
    for case in spec.get("sigma_of", []):

        def sigmas(case: Fields = case) -> Comparison:
            done, table = Comparison(), NoiseTable(case["shift"])
            rows = [[t, table.index(t), float(table.sigma(t))] for t, *_ in case["rows"]]
            done.equal("levels", rows, case["rows"])
            if "every_100th_timestep" in case:
                times = [*table.times[::100].tolist(), float(table.times[-1])]
                done.equal("times", times, case["every_100th_timestep"])
            return done

        yield f"{stem}/shift {case['shift']:g}", sigmas
