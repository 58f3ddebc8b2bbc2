from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch

from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.noise import seeded_noise
from media_agent_magi.engine.sampler import ChunkSampler
from media_agent_magi.engine.transformer import StepInput

BASE = SamplerConfig(num_steps=8, window_size=4, chunk_width=2, null_caption_tokens=3)
DISTILLED = replace(BASE, cfg_number=1, distill=True)
CONFIGS = [BASE, DISTILLED, replace(BASE, ramp=True), replace(BASE, window_size=1)]


@pytest.mark.parametrize("config", CONFIGS)
def test_keys_of_finished_chunks_know_nothing_of_later_prompts(
    small_videos: Any, config: SamplerConfig
) -> None:
    plain = small_videos.sampler(config, 8)
    switched = small_videos.sampler(
        config, text=lambda c: small_videos.row(c + 50 * (c >= 3)) if c < 8 else None
    )
    for chunk, other in zip(islice(plain, 3), islice(switched, 3), strict=True):
        assert torch.equal(chunk.latents, other.latents)
        kept, changed = plain.state(), switched.state()

    assert kept.first_token == changed.first_token
    assert kept.keys
    assert all(torch.equal(entry, changed.keys[layer]) for layer, entry in kept.keys.items())


@pytest.mark.parametrize("config", CONFIGS)
def test_a_finished_chunk_carries_the_null_caption(
    small_videos: Any, config: SamplerConfig
) -> None:
    clean: list[bool] = []

    class Watching(ChunkSampler):
        def predict(self, given: StepInput) -> torch.Tensor:
            clean.extend(text is given.null[0] for text in given.text[: given.step.clean_chunks])
            return super().predict(given)

    noise = seeded_noise(7, small_videos.shape)
    list(Watching(small_videos.model, config, noise=noise, text=small_videos.row, total=6))

    assert clean == [True] * 5  # of all but the last, which nobody looks back at


@pytest.mark.parametrize("config", CONFIGS)
def test_a_video_told_late_equals_a_video_that_knew(
    small_videos: Any, config: SamplerConfig
) -> None:
    changed: dict[int, int] = {}

    def text(chunk: int) -> Any:
        return small_videos.row(chunk + changed.get(chunk, 0)) if chunk < 9 else None

    running = small_videos.sampler(config, text=text)
    made = [chunk.latents for chunk in islice(running, 2)]
    first = running.next_chunk
    changed |= dict.fromkeys(range(first, 9), 50)
    made += [chunk.latents for chunk in running]

    def known(chunk: int) -> Any:
        return small_videos.row(chunk + 50 * (chunk >= first)) if chunk < 9 else None

    assert 2 <= first <= 6
    assert all(map(torch.equal, made, small_videos.video(config, text=known)))


def test_chunks_in_work_change_while_they_are_noisy(small_videos: Any) -> None:
    def rest(told: bool) -> tuple[int, list[torch.Tensor]]:
        running = small_videos.sampler(BASE, 8)
        list(islice(running, 3))
        first = (
            running.replace_text(lambda c: small_videos.row(c + 50)) if told else running.next_chunk
        )
        return first, [chunk.latents for chunk in running]

    _, plain = rest(False)
    first, changed = rest(True)

    # chunks 3, 4, 5 have 6, 4, 2 of 8 steps behind them: t = 0.3, 0.1, 0.02
    assert first == 4
    assert torch.equal(changed[0], plain[0])
    assert not torch.allclose(changed[1], plain[1], atol=1e-3)
    assert not torch.allclose(changed[2], plain[2], atol=1e-3)
    assert rest(True)[0] == 4


@pytest.mark.parametrize(("below", "first"), [(0.0, 6), (0.05, 5), (0.2, 4), (1.0, 3)])
def test_the_threshold_says_which_chunks_are_noisy(
    small_videos: Any, below: float, first: int
) -> None:
    running = small_videos.sampler(BASE, 8)
    list(islice(running, 3))

    assert running.next_chunk == 6
    assert running.replace_text(lambda c: small_videos.row(c + 50), below=below) == first
    assert running.replace_text(lambda _: None, below=1.0) == 6


def test_a_prompt_may_change_in_the_middle_of_a_step(small_videos: Any) -> None:
    told: list[int] = []

    def on_forward(done: int, _: int | None) -> None:
        if done == 3 and not told:
            told.append(running.replace_text(lambda c: small_videos.row(c + 50), below=0.05))

    running = small_videos.sampler(BASE, 4, on_forward=on_forward)
    made = [chunk.latents for chunk in running]

    plain = small_videos.video(BASE, 4)
    assert told == [1]  # chunk 0 has taken three steps, chunk 1 one
    assert torch.equal(made[0], plain[0])
    assert not torch.allclose(made[1], plain[1], atol=1e-3)


def test_behind_the_last_chunk_nothing_is_left_to_change(small_videos: Any) -> None:
    running = small_videos.sampler(BASE, 3)
    list(running)

    assert running.next_chunk == 3
    assert running.replace_text(lambda c: small_videos.row(c + 50), below=1.0) == 3
