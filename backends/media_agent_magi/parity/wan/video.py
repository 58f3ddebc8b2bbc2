"""Cases that run the sampler with a causal model, from given noise to the last block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from media_agent_magi.engine.causal.config import EVERYTHING, CausalConfig
from media_agent_magi.engine.causal.dit import WanDiT
from media_agent_magi.engine.causal.predictor import WindowedPredictor
from media_agent_magi.engine.causal.stepper import FewStepStepper
from media_agent_magi.engine.noise import NoiseSource
from media_agent_magi.engine.sampler import ChunkSampler
from media_agent_magi.engine.schedule import Blocks
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.engine.transformer import StepInput
from media_agent_magi.parity.comparison import GENERATION, CaseError, Check, Comparison
from media_agent_magi.parity.golden import Fields, GoldenFolder, Tensors, check_declared
from media_agent_magi.parity.wan.transformer import compare_cache

WAYS = {"riding": True, "apart": False}
"""Whether a clean block rides in the first forward of the next one."""


class WatchedPredictor(WindowedPredictor):
    """Compares the ring after each time that keys are made again."""

    def __init__(
        self, model: WanDiT, config: CausalConfig, done: Comparison, expected: Tensors
    ) -> None:
        super().__init__(model, config)
        self._done, self._expected, self._times = done, expected, 0
        self._recaches = False

    def velocity(self, given: StepInput) -> Tensor:
        """As always."""
        self._recaches = given.recaches
        return super().velocity(given)

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        """As always."""
        flow = super().forward(*inputs, **options)
        if self._recaches:
            self._recaches = False
            end, found = f".after_recache_{self._times}", Tensors()
            for name, tensor in self._expected.items():
                if name.startswith("cache_") and name.endswith(end):
                    found[name.removesuffix(end)] = tensor
            if found:
                compare_cache(self._done, self, found, next(iter(found.values())).shape[1])
            self._times += 1
        return flow


class WatchedStepper(FewStepStepper):
    """Keeps what is predicted to be clean, in order."""

    def __init__(self, config: CausalConfig) -> None:
        super().__init__(config)
        self.seen: list[Tensor] = []

    def predict(self, latents: Tensor, said: Tensor, level: int) -> Tensor:
        """As always."""
        clean = super().predict(latents, said, level)
        self.seen.append(clean)
        return clean


def causal_video_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the video of a file, made in both ways."""
    for name, rides in WAYS.items():

        def check(rides: bool = rides) -> Comparison:
            return _video(golden, stem, rides)

        yield f"{stem}/{name}", check


def causal_config(spec: Fields, *, rides: bool) -> CausalConfig:
    """Build the settings of a case."""
    return CausalConfig(
        block_frames=spec["num_frame_per_block"],
        steps=tuple(spec["denoising_step_list"]),
        warp=spec["warp_denoising_step"],
        shift=spec["timestep_shift"],
        window=spec["local_attn_size"],
        sink=spec["sink_size"] if spec["local_attn_size"] != EVERYTHING else 0,
        context_noise=spec["context_noise"],
        first_alone=spec["independent_first_frame"],
        recache=spec["global_sink"] is not None,
        global_sink=spec["global_sink"] is not False,
        slot_positions=str(spec["rope"]).startswith("slot"),
        rides=rides,
    )


def _video(golden: GoldenFolder, stem: str, rides: bool) -> Comparison:
    spec, tensors, done = golden.spec(stem), golden.tensors(stem), Comparison()
    check_declared(done, spec, tensors)
    config, model = causal_config(spec, rides=rides), golden.causal_transformer(spec)
    blocks = Blocks(config.block_frames, config.first_alone)
    given, noise = spec["initial_latent_frames"], tensors["in.noise"].transpose(1, 2)
    first = blocks.whole(given)
    stepper = WatchedStepper(config)
    done.equal("timesteps", list(stepper.times), spec["timesteps_used"])
    total = blocks.holding(given + noise.shape[2])
    sampler = ChunkSampler(
        model,
        config.sampler,
        noise=[_noise(tensors, noise, blocks, first, n) for n in range(spec["samples"])],
        text=_texts(spec, tensors, blocks, first, total),
        prefix=tensors["in.initial_latent"].transpose(1, 2) if given else None,
        total=total,
        predictor=WatchedPredictor(model, config, done, tensors.under("mid.")),
        stepper=stepper,
    )
    expected, made = tensors.under("out."), []
    for number, chunk in enumerate(sampler):
        latents = chunk.latents.transpose(1, 2)
        made.append(latents)
        done.close(f"block {number}", latents, expected[f"block_{number}"], GENERATION)
    done.equal("blocks", len(made), len(expected.under("block_")))
    for name, clean in tensors.under("mid.x0.block_").items():
        block, _, step = name.partition(".step_")
        got = stepper.seen[int(block) * len(stepper.times) + int(step)].transpose(1, 2)
        done.close(f"x0 {name}", got, clean, GENERATION)
    return done


def _noise(tensors: Tensors, noise: Tensor, blocks: Blocks, first: int, sample: int) -> NoiseSource:
    """Return the noise of one sample: of a block, and what each of its steps adds."""

    def draw(chunk: int, step: int = 0) -> Tensor:
        if step:
            added = tensors[f"in.renoise.{chunk - first}.{step - 1}"]
            return added.transpose(1, 2)[sample : sample + 1]
        start = blocks.start(chunk) - blocks.start(first)
        return noise[sample : sample + 1, :, start : start + blocks.frames(chunk)]

    return draw


def _texts(
    spec: Fields, tensors: Tensors, blocks: Blocks, first: int, total: int
) -> Callable[[int], list[TextRow] | None]:
    """Return the text of each block: one switch at most before each."""
    prompts, switches, number = {}, list(spec["switch_frame_indices"]), 0
    for chunk in range(first, total):
        if number < len(switches) and blocks.start(chunk) >= switches[number]:
            number += 1
        prompts[chunk] = number
    if len(switches) + 1 != spec["prompts"]:
        raise CaseError(f"{spec['prompts']} prompts and {len(switches)} switches")

    def text(chunk: int) -> list[TextRow] | None:
        rows = tensors[f"in.text.{prompts[chunk]}"] if chunk in prompts else None
        return None if rows is None else [TextRow(row, torch.ones(len(row))) for row in rows]

    return text
