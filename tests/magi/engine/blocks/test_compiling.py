from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from media_agent_magi.engine.blocks.compiling import compile_elementwise, warm_up
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.noise import seeded_noise
from media_agent_magi.engine.sampler import ChunkSampler

CONFIG = SamplerConfig(
    num_steps=4, window_size=2, chunk_width=2, null_caption_tokens=3, cfg_number=1
)


@pytest.mark.parametrize("gated", [False, True])
def test_compiled_functions_make_the_same_video(small_videos: Any, gated: bool) -> None:
    sizes = replace(small_videos.sizes, gated_linear_unit=gated)
    plain, compiled = (small_videos.random_model(sizes) for _ in range(2))
    compile_elementwise(compiled, backend="eager")
    warm_up(compiled, small_videos.shape, window=2)

    def video(model: VideoDiT) -> list[Tensor]:
        noise = seeded_noise(7, small_videos.shape)
        rows = {chunk: small_videos.row(chunk) for chunk in range(3)}
        return [c.latents for c in ChunkSampler(model, CONFIG, noise=noise, text=rows.get)]

    ours, theirs = video(compiled), video(plain)

    assert all(map(torch.equal, ours, theirs))
    functions = [
        (block.gated_sum, block.self_attention.rotated, block.mlp.activate)
        for block in compiled.videodit_blocks.layers
    ]
    assert len(set(functions)) == 1
