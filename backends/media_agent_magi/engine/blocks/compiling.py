"""Elementwise work as compiled functions, for GPUs: norms, gates, rotation, activation.

What lies between two products is bound by memory there, and one pass does it instead of several.
On a CPU compiling takes longer than it saves.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._dynamo import config as dynamo

from media_agent_magi.engine.blocks.attention import Attention
from media_agent_magi.engine.blocks.layers import MLP
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import Block, VideoDiT
from media_agent_magi.engine.schedule import ChunkSchedule
from media_agent_magi.engine.stepper import EulerStepper

USES: dict[type, str] = {Block: "gated_sum", Attention: "rotated", MLP: "activate"}
"""Under which name a module uses the function that is compiled."""

MOST_SHAPES = 64
"""Shapes that a function is compiled for. Torch's own limit is eight, and what comes later would
silently not be compiled; a window that grows, turns and shrinks has more."""


def compile_elementwise(model: VideoDiT, *, backend: str = "inductor") -> Callable[[], None]:
    """Let all blocks use the same compiled functions; each shape is compiled at its first use.

    Returns what takes that back.
    """

    @cache
    def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        made = torch.compile(function, backend=backend, dynamic=False)

        def call(*given: Any) -> Tensor:
            if dynamo.recompile_limit < MOST_SHAPES:  # torch keeps it per thread
                dynamo.recompile_limit = MOST_SHAPES
            return made(*given)

        return call

    replaced = []
    for module in model.modules():
        name = USES.get(type(module))
        if name is not None:
            plain = getattr(module, name)
            replaced.append((module, name, plain))
            setattr(module, name, compiled(plain))

    def undo() -> None:
        for module, name, plain in replaced:
            setattr(module, name, plain)

    return undo


def steady_chunks(config: SamplerConfig) -> tuple[int, ...]:
    """Return how many chunks the forwards of a full window hold, each number once.

    Models that take one forward a step read the nearly clean chunk once more.
    """
    time, counts = EulerStepper(config).time, set()
    for step in ChunkSchedule(config).stage(2 * config.window_size, None):
        oldest = step.levels[step.clean_chunks]
        assert oldest is not None  # clean chunks come first
        again = config.cfg_number == 1 and time(oldest) > config.nearly_clean_threshold
        counts.add(len(step.levels) + again)
    return tuple(sorted(counts))


@torch.inference_mode()
def warm_up(
    model: VideoDiT, shape: tuple[int, int, int, int], config: SamplerConfig, samples: int = 1
) -> None:
    """Run the forwards of a full window once, so that what they need is compiled.

    Args:
        model: The transformer, where it is to run.
        shape: Channels, frames, rows and columns of the latents of a chunk.
        config: How it is stepped.
        samples: Videos side by side.
    """
    device, model_config = model.null_caption().device, model.config
    channels, frames, rows, columns = shape
    for chunks in steady_chunks(config):
        size = samples, channels, chunks * frames, rows, columns
        x = torch.zeros(size, dtype=torch.float32, device=device)
        tokens = x[0, 0].numel() // (model_config.t_patch_size * model_config.patch_size**2)
        each = tokens // chunks
        caption = model.null_caption()[: config.null_caption_tokens]
        count = samples * chunks
        model(
            x,
            torch.full((samples, chunks), 0.5, dtype=torch.float32, device=device),
            caption.expand(count, -1, -1),
            torch.ones(count, len(caption), dtype=torch.float32, device=device),
            kv_ranges=[(chunk * each, (chunk + 1) * each) for chunk in range(chunks)],
        )
