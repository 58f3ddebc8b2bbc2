from dataclasses import replace
from itertools import pairwise
from threading import Thread
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from media_agent_magi.engine.blocks.compiling import compile_elementwise, steady_chunks, warm_up
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.guidance import Predictor
from media_agent_magi.engine.noise import seeded_noise
from media_agent_magi.engine.sampler import ChunkSampler
from media_agent_magi.engine.transformer import StepInput

CONFIG = SamplerConfig(
    num_steps=4, window_size=2, chunk_width=2, null_caption_tokens=3, cfg_number=1
)


@pytest.mark.parametrize("gated", [False, True])
def test_compiled_functions_make_the_same_video(small_videos: Any, gated: bool) -> None:
    sizes = replace(small_videos.sizes, gated_linear_unit=gated)
    plain, compiled = (small_videos.random_model(sizes) for _ in range(2))
    compile_elementwise(compiled, backend="eager")
    warm_up(compiled, small_videos.shape, CONFIG)

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


@pytest.mark.parametrize("forwards", [1, 3])
@pytest.mark.parametrize("window", [1, 2, 4])
def test_the_forwards_of_a_full_window_are_warmed(
    small_videos: Any, monkeypatch: pytest.MonkeyPatch, forwards: int, window: int
) -> None:
    config = replace(CONFIG, cfg_number=forwards, num_steps=8, window_size=window)
    width, seen = small_videos.shape[1], set()
    plain = Predictor._forward

    def forward(self: Predictor, given: StepInput, x: Tensor, *rest: Any, **named: Any) -> Tensor:
        if given.step.stage == 2 * window:
            seen.add(x.shape[2] // width)
        return plain(self, given, x, *rest, **named)

    monkeypatch.setattr(Predictor, "_forward", forward)
    small_videos.video(config, 14)

    assert seen == set(steady_chunks(config))


def test_every_shape_of_a_long_window_is_compiled_in_every_thread(small_videos: Any) -> None:
    model, counter = small_videos.random_model(small_videos.sizes), CompileCounter()
    compile_elementwise(model, backend=counter)
    counts = []

    def make() -> None:
        for window in range(1, 15, 2):
            warm_up(
                model,
                small_videos.shape,
                replace(CONFIG, num_steps=window, window_size=window, noise2clean_kvrange=(1,)),
            )
            counts.append(counter.frame_count)

    thread = Thread(target=make)  # as each video has one of its own
    thread.start()
    thread.join()

    new = [after - before for before, after in pairwise(counts)]

    assert new[0] > 0
    assert len(set(new)) == 1
