"""Cases of the transformer: single forwards, guided predictions, parameter tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from media_agent_magi.engine.blocks.kernels import multiplies_bfloat16
from media_agent_magi.engine.cache import KVCache
from media_agent_magi.engine.config import ModelConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.fp8 import quantised
from media_agent_magi.engine.guidance import Predictor, count_tokens
from media_agent_magi.engine.guidance_table import GuidanceTable
from media_agent_magi.engine.schedule import TWELVE_STEPS, ChunkSchedule, Step
from media_agent_magi.engine.text.of_chunks import read_rows
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.engine.transformer import StepInput
from media_agent_magi.parity.comparison import (
    ROUNDED,
    ROUNDED_ELSEWHERE,
    SINGLE,
    CaseError,
    Check,
    Comparison,
)
from media_agent_magi.parity.golden import (
    Fields,
    GoldenFolder,
    Tensors,
    check_declared,
    note_uncompared,
    sampler_config,
)
from media_agent_magi.parity.intermediates import compare_intermediates, record_modules

WRITES_CACHE = {"none": False, "written (nothing to read yet)": True, "read and written": True}
"""What a case says of the cache -> whether its keys are stored."""

POLICY, REPEATED = ".bf16_policy", "window_nocache"
"""End of the name of a file that repeats a single forward in bfloat16, and which one it repeats."""


def transformer_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the cases of a file of single forwards, one in bfloat16, or of guided predictions."""
    checks = guided_checks if "calls" in golden.spec(stem) else forward_checks
    yield from (policy_checks if stem.endswith(POLICY) else checks)(golden, stem)


def forward_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the single forwards of a file, which share one cache and go in order."""
    spec, tensors, cache = golden.spec(stem), golden.tensors(stem), KVCache()
    model = golden.transformer(spec)
    for name, case in spec["cases"].items():

        def check(name: str = name, case: Fields = case) -> Comparison:
            done = Comparison()
            check_declared(done, spec, tensors, f"{name}.")
            _forward(done, model, spec, case, tensors.under(f"{name}."), cache)
            return done

        yield f"{stem}/{name}", check


def policy_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the one forward of a file in the precision that its config names."""
    plain = stem.removesuffix(POLICY) + ".forward"
    given, spec = golden.spec(plain), golden.spec(stem)
    inputs, results = golden.tensors(plain).under(f"{REPEATED}.in."), golden.tensors(stem)
    tensors = Tensors({f"in.{name}": tensor for name, tensor in inputs.items()} | results)
    model = golden.transformer(Fields(given | {"config": spec["config"]}))

    def check() -> Comparison:
        done = Comparison()
        check_declared(done, spec, results)
        mark = ROUNDED if multiplies_bfloat16() else ROUNDED_ELSEWHERE
        _forward(done, model, spec, given["cases"][REPEATED], tensors, KVCache(), mark=mark)
        return done

    yield f"{stem}/{REPEATED}", check


def _forward(
    done: Comparison,
    model: VideoDiT,
    spec: Fields,
    case: Fields,
    tensors: Tensors,
    cache: KVCache,
    *,
    mark: float = SINGLE,
) -> None:
    x, t = tensors["in.x"], tensors["in.t"]
    tokens = count_tokens(model, x) // t.shape[1]
    use = case["kv_cache"]
    if use not in WRITES_CACHE:
        raise CaseError(f"kv_cache {use!r} is none of {', '.join(WRITES_CACHE)}")
    drop = tensors["in.caption_dropout_mask"].bool()
    with torch.no_grad(), record_modules(model) as seen:
        velocity = model(
            x,
            t,
            tensors["in.y"][:, 0],
            tensors["in.xattn_mask"][:, 0],
            kv_ranges=_sample_ranges(tensors["in.kv_range"], len(x), tokens * t.shape[1]),
            first_chunk=case["slice_point"],
            drop_caption=drop if len(drop) == len(x) else bool(drop[0]),
            step_size=_step_size(spec, case),
            cache=None if use == "none" else cache,
            write_cache=WRITES_CACHE[use],
            cache_tokens_to_skip=tokens if case.get("distill_nearly_clean_chunk") else 0,
        )
    expected = tensors.under("out.")
    for layer_name, entries in expected.under("kv_cache.layer").items():
        try:
            held = cache.read(int(layer_name), 0, len(entries))
        except ValueError as error:
            raise CaseError(str(error)) from error
        done.close(f"cache of layer {layer_name}", held[0], entries, SINGLE)
    done.close("velocity", velocity, expected["velocity"], mark)
    note_uncompared(done, {n for n in expected if n != "velocity" and "kv_cache" not in n})
    if len(x) == 1:
        compare_intermediates(done, tensors.under("mid."), seen, model, case["slice_point"])


def _sample_ranges(ranges: Tensor, samples: int, sample_tokens: int) -> list[tuple[int, int]]:
    """Key ranges of one sample; with several samples all must look the same way."""
    rows = [(int(start), int(end)) for start, end in ranges]
    count = len(rows) // samples
    for n in range(1, samples):
        moved = [(a - n * sample_tokens, b - n * sample_tokens) for a, b in rows[n * count :]]
        if moved[:count] != rows[:count]:
            raise CaseError("the samples of a batch have different key ranges")
    return rows[:count]


def _step_size(spec: Fields, case: Fields) -> float | None:
    if not spec["config"]["engine_config"]["distill"]:
        return None
    if case["num_steps"] != TWELVE_STEPS:
        return float(case["num_steps"]) / 2
    if case["distill_interval"] is None:
        raise CaseError("twelve steps need a distill_interval")
    return 8 / float(case["distill_interval"])


def guided_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the guided predictions of a file, which share one cache and go in order."""
    spec, tensors = golden.spec(stem), golden.tensors(stem)
    model = golden.transformer(spec)
    config = sampler_config(spec)
    config = replace(config, num_steps=spec.get("num_steps", config.num_steps))
    predictor = Predictor(model, config, KVCache())
    for name, call in sorted(spec["calls"].items(), key=_order):

        def check(name: str = name, call: Fields = call) -> Comparison:
            done = Comparison()
            check_declared(done, spec, tensors, f"{name}.")
            index = _interval_index(predictor.schedule, spec.get("distill_interval"))
            given = _step_input(predictor, call, tensors.under(f"{name}."), index)
            with torch.no_grad():
                velocity = predictor.velocity(given)
            skipped = given.first_moving * given.chunk_frames
            expected = tensors[f"{name}.out.velocity"][:1]
            done.close("velocity", velocity[:, :, skipped:], expected[:, :, skipped:], SINGLE)
            return done

        yield f"{stem}/{name}", check


def _order(call: tuple[str, Fields]) -> int:
    """The number that a call's name begins with."""
    return int(call[0].partition("_")[0])


def _step_input(predictor: Predictor, call: Fields, tensors: Tensors, index: int) -> StepInput:
    x, t = tensors["in.x"][:1], tensors["in.t"][0]
    y, mask, count = tensors["in.y"][:, 0], tensors["in.mask"][:, 0], len(t)
    tokens = count_tokens(predictor.model, x) // count
    ranges = tuple((int(a) // tokens, int(b) // tokens) for a, b in tensors["in.kv_range"][:count])
    prefix = bool(call.get("extract_prefix_video_feature"))
    clean = count if prefix else int(call["fwd_extra_1st_chunk"])
    first = call["slice_point"]
    levels = tuple(None if i < clean else 0 for i in range(count))
    step = Step(0, index, (first + clean, first + count), first, levels, ranges)
    rows = [
        read_rows(predictor.model, [TextRow(caption, row_mask)])
        for caption, row_mask in zip(y, mask, strict=True)
    ]
    table = GuidanceTable.from_config(predictor.config)
    return StepInput(
        step,
        x,
        tuple(t.tolist()),
        text=rows[:count],
        null=rows[-count:],
        scales=[table.at(value) for value in t.tolist()],
        near_clean=bool(call.get("distill_nearly_clean_chunk")) and not prefix,
    )


def _interval_index(schedule: ChunkSchedule, interval: float | None) -> int:
    """Return a step of a stage that has this interval."""
    fitting = [k for k in range(3) if interval in (None, schedule.step_interval(k))]
    if not fitting:
        raise CaseError(f"no step of this schedule has the distill_interval {interval}")
    return fitting[0]


def table_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the parameter tables of a file: names, shapes and dtypes of whole models."""
    for name, model in golden.spec(stem)["models"].items():

        def check(model: Fields = model) -> Comparison:
            return _parameter_table(model)

        yield f"{stem}/{name}", check


def _parameter_table(table: Fields) -> Comparison:
    config = ModelConfig.from_dict(table["config"]["model_config"])
    with torch.device("meta"):
        model = VideoDiT(config)
        is_quantised = table["config"]["engine_config"]["fp8_quant"]
        state = (quantised(model) if is_quantised else model).state_dict()
    wanted = dict(table["top_level"])
    ends = table["per_layer_first_and_last"]
    inner = table["per_layer_inner"]
    for i in range(config.num_layers):
        per_layer = ends if isinstance(inner, str) or i in (0, config.num_layers - 1) else inner
        wanted |= {name.replace("{i}", str(i)): entry for name, entry in per_layer.items()}
    done = Comparison()
    done.equal("names missing", sorted(set(wanted) - set(state)), [])
    done.equal("names too many", sorted(set(state) - set(wanted)), [])
    for name in sorted(set(wanted) & set(state)):
        done.equal(f"shape of {name}", list(state[name].shape), wanted[name]["shape"])
        dtype = str(state[name].dtype).removeprefix("torch.")
        expected = wanted[name].get("runtime_dtype", dtype).removeprefix("torch.")
        done.equal(f"dtype of {name}", dtype, expected)
    done.equal("parameters", sum(t.numel() for t in state.values()), table["parameter_count"])
    return done
