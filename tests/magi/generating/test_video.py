from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from media_agent_magi.engine.state_io import StateError
from media_agent_magi.generating.engine import Engine
from media_agent_magi.generating.video import Video, VideoChunk, VideoOptions
from media_agent_magi.tiny.loader import load_tiny
from media_agent_magi.tiny.models import TinyModels
from tests.magi.loads import another_loads

RED, BLUE = "a red circle moving right", "a blue square"
FAST = VideoOptions(num_inference_steps=4, ramp=False)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def videos(engine: Engine, chunks: Iterator[VideoChunk] | Video) -> np.ndarray:
    """All frames, (N, T, 64, 64, 3)."""
    return np.concatenate([engine.decode(chunk) for chunk in chunks], axis=1)


def last_seen(chunk: VideoChunk) -> torch.Tensor | None:
    """The latent frame before a chunk."""
    return chunk.before


def state_after(video: Video, count: int, path: Path) -> list[VideoChunk]:
    chunks = list(islice(video, count))
    video.saver(path.parent)(path)
    return chunks


@pytest.mark.parametrize("frames", [1, 24, 31, 50])
def test_a_video_has_the_frames_asked_for(engine: Engine, frames: int) -> None:
    options = replace(FAST, num_frames=frames)

    assert videos(engine, engine.video(lambda _: RED, [0], options)).shape == (1, frames, 64, 64, 3)


@pytest.mark.parametrize("given", [1, 4, 20, 30])
def test_a_continuation_has_the_frames_asked_for_too(engine: Engine, given: int) -> None:
    frames = np.zeros((given, 64, 64, 3), np.uint8)
    options = replace(FAST, num_frames=50, prefix=engine.encode(frames))
    chunks = list(engine.video(lambda _: RED, [0], options))

    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert videos(engine, chunks).shape[1] == 50


def test_an_image_begins_its_video(engine: Engine, image: np.ndarray) -> None:
    prefix = engine.encode(image[None])
    options = replace(FAST, num_frames=48, prefix=prefix, shows_prefix=True)
    chunks = list(engine.video(lambda _: RED, [0], options))

    assert prefix.shape == (1, 16, 1, 8, 8)
    assert torch.equal(chunks[0].latents[:, :, :1], prefix)
    assert videos(engine, chunks).shape[1] == 48


def test_every_chunk_is_decoded_after_the_latent_frame_before_it(engine: Engine) -> None:
    prefix = engine.encode(np.random.default_rng(2).integers(0, 256, (8, 64, 64, 3), np.uint8))

    def befores(**changes: object) -> torch.Tensor | None:
        video = list(engine.video(lambda _: RED, [0], replace(FAST, num_frames=40, **changes)))
        assert len(video) == 2
        before = last_seen(video[0])
        engine.decode(video[0])
        assert torch.equal(last_seen(video[1]), video[0].latents[:, :, -1:])
        return before

    two = next(iter(engine.video(lambda _: RED, [0, 1], replace(FAST, prefix=prefix))))
    assert torch.equal(last_seen(two), prefix[:, :, -1:].repeat(2, 1, 1, 1, 1))
    assert befores() is None
    assert torch.equal(befores(prefix=prefix), prefix[:, :, -1:])
    assert befores(prefix=prefix[:, :, :1], shows_prefix=True) is None


def test_frames_are_encoded_from_their_end(engine: Engine) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (11, 64, 64, 3), dtype=np.uint8)

    assert torch.equal(engine.encode(frames), engine.encode(frames[3:]))
    assert engine.encode(frames).shape == (1, 16, 2, 8, 8)
    led_in = np.concatenate([frames[:1], frames[:3]])
    assert torch.equal(engine.encode(frames[:3]), engine.encode(led_in))


@pytest.mark.parametrize("shape", [(0, 64, 64, 3), (4, 64, 32, 3), (64, 64, 3)])
def test_frames_of_another_size_are_not_encoded(engine: Engine, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"reads frames of 64x64x3, not \("):
        engine.encode(np.zeros(shape, np.uint8))


def test_videos_side_by_side_have_seeds_of_their_own(engine: Engine) -> None:
    options = replace(FAST, num_frames=24)
    together = videos(engine, engine.video(lambda _: RED, [3, 4], options))

    for item, seed in enumerate([3, 4]):
        alone = videos(engine, engine.video(lambda _: RED, [seed], options))
        assert np.abs(together[item].astype(int) - alone[0]).max() <= 1


@pytest.mark.parametrize("stopped_after", [1, 3])
def test_a_video_continues_from_its_state_frame_for_frame(
    engine: Engine, stopped_after: int, tmp_path: Path
) -> None:
    def prompts(chunk: int) -> str:
        return BLUE if chunk >= 1 else RED

    options = replace(FAST, num_frames=66, ramp=True)
    whole = videos(engine, engine.video(prompts, [0, 1], options))
    chunks = state_after(engine.video(prompts, [0, 1], options), stopped_after, tmp_path / "s")
    rest = list(engine.video(prompts, [0, 1], options, state=tmp_path / "s"))
    before = last_seen(rest[0]) if rest else None

    assert [chunk.index for chunk in chunks + rest] == [0, 1, 2]
    assert np.array_equal(videos(engine, chunks + rest), whole)
    if rest:
        assert torch.equal(before, chunks[-1].latents[:, :, -1:])


def test_a_state_is_of_its_moment_however_late_it_is_saved(engine: Engine, tmp_path: Path) -> None:
    options = replace(FAST, num_frames=96)
    video = engine.video(lambda _: RED, [0], options)
    folder = tmp_path / "work"
    folder.mkdir()
    made = list(islice(video, 2))
    save, forgotten = video.saver(folder), video.saver(folder)
    made += video

    save(tmp_path / "s")
    del forgotten

    rest = engine.video(lambda _: RED, [0], options, state=tmp_path / "s")
    assert np.array_equal(videos(engine, rest), videos(engine, made)[:, 48:])
    assert list(folder.iterdir()) == []


def test_a_steered_video_continues_as_steered(engine: Engine, tmp_path: Path) -> None:
    options = replace(FAST, num_frames=96)
    video = engine.video(lambda _: RED, [0], options)
    made = list(islice(video, 1))
    first = video.change_now(BLUE)
    video.saver(tmp_path)(tmp_path / "s")
    made += video

    rest = engine.video(lambda _: RED, [0], options, state=tmp_path / "s")
    plain = list(engine.video(lambda _: RED, [0], options))
    assert np.array_equal(videos(engine, rest), videos(engine, made)[:, 24:])
    assert first == 3
    assert torch.equal(made[2].latents, plain[2].latents)
    assert not torch.equal(made[3].latents, plain[3].latents)


def test_prompts_are_asked_when_a_chunk_begins(engine: Engine) -> None:
    asked: list[int] = []

    def prompts(chunk: int) -> str:
        asked.append(chunk)
        return RED

    video = engine.video(prompts, [0], replace(FAST, num_frames=240))
    next(iter(video))

    assert asked == [0, 1, 2, 3]
    assert video.next_chunk == 4


def test_another_video_branches_off_with_the_tail_of_the_first(
    engine: Engine, tmp_path: Path
) -> None:
    chunks = state_after(
        engine.video(lambda _: RED, [0, 1], replace(FAST, num_frames=144)), 5, tmp_path / "s"
    )
    tail = engine.tail(tmp_path / "s")
    options = replace(FAST, num_frames=48, prefix=tail[1:], first_chunk=5)
    branch = list(engine.video(lambda chunk: BLUE if chunk >= 5 else None, [1], options))

    assert torch.equal(tail, torch.cat([chunk.latents for chunk in chunks[1:]], dim=2))
    assert [chunk.index for chunk in branch] == [5, 6]
    assert torch.equal(last_seen(branch[0]), chunks[-1].latents[1:, :, -1:])
    assert branch[0].frames + branch[1].frames == 48


def test_the_same_prompts_make_nearly_the_same_video_after_a_branch(
    engine: Engine, tmp_path: Path
) -> None:
    """The noise of a chunk is that of its number; only its window is another."""
    options = replace(FAST, num_frames=96)
    whole = state_after(engine.video(lambda _: RED, [0], options), 2, tmp_path / "s")
    whole += engine.video(lambda _: RED, [0], options, state=tmp_path / "s")
    tail = engine.tail(tmp_path / "s")
    again = replace(FAST, num_frames=48, prefix=tail, first_chunk=2)

    same = videos(engine, engine.video(lambda _: RED, [0], again)).astype(int)
    other = videos(engine, engine.video(lambda _: RED, [9], again)).astype(int)
    expected = videos(engine, iter(whole[2:]))
    assert np.abs(same - expected).mean() < 0.5 * np.abs(other - expected).mean()


def test_a_restyled_video_is_close_to_its_source_where_it_is_told_so(
    engine: Engine, image: np.ndarray
) -> None:
    source = engine.encode(np.repeat(image[None], 44, axis=0))

    def distance(*strengths: float) -> list[float]:
        options = replace(FAST, num_frames=44, source=source, strength=strengths.__getitem__)
        made = torch.cat([c.latents for c in engine.video(lambda _: RED, [0], options)], dim=2)
        assert made.shape == source.shape
        return [float(part.abs().mean()) for part in (made - source).split(6, dim=2)]

    low, high = distance(0.3, 1.0), distance(1.0, 0.3)
    assert low[0] < 0.7 * high[0]
    assert high[1] < 0.7 * low[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_inference_steps": 8}, "its num_steps is 4, not 8"),
        ({"num_frames": 72}, "its num_frames is 48, not 72"),
        ({"first_chunk": 3}, "its first_chunk is 0, not 3"),
        ({"ramp": True}, "its ramp is false, not true"),
    ],
)
def test_a_state_of_other_options_is_refused(
    engine: Engine, tmp_path: Path, change: dict[str, int], message: str
) -> None:
    options = replace(FAST, num_frames=48)
    state_after(engine.video(lambda _: RED, [0], options), 1, tmp_path / "s")

    with pytest.raises(StateError, match=message):
        engine.video(lambda _: RED, [0], replace(options, **change), state=tmp_path / "s")


def test_a_state_of_other_weights_or_seeds_is_refused(engine: Engine, tmp_path: Path) -> None:
    state_after(engine.video(lambda _: RED, [0], FAST), 1, tmp_path / "s")
    models = engine.models
    retrained = Engine(
        TinyModels(models.model, models.vae, replace(models.description, sha256="other"))
    )

    with pytest.raises(StateError, match=r"its seeds is \[0\], not \[1\]"):
        engine.video(lambda _: RED, [1], FAST, state=tmp_path / "s")
    for refused in (
        lambda path: retrained.video(lambda _: RED, [0], FAST, state=path),
        retrained.tail,
    ):
        with pytest.raises(StateError, match='not "other"'):
            refused(tmp_path / "s")


@pytest.mark.parametrize(
    ("given", "dtype", "largest"),
    [(0, "float32", 650_000), (96, "float32", 810_000), (96, "bfloat16", 470_000)],
)
def test_a_state_is_small(
    full_weights: Path, tmp_path: Path, given: int, dtype: str, largest: int
) -> None:
    engine = load_tiny(full_weights, dtype=dtype)
    prefix = engine.encode(np.zeros((given, 64, 64, 3), np.uint8)) if given else None
    video = engine.video(lambda _: RED, [0], replace(FAST, ramp=True, prefix=prefix))
    sizes = []
    for _ in islice(video, 7):
        video.saver(tmp_path)(tmp_path / "s")
        sizes.append((tmp_path / "s").stat().st_size)

    assert 0.9 * largest < max(sizes) <= largest
    assert sizes[-1] < 500_000


def test_a_state_continues_with_numbers_of_another_kind_and_says_so(
    raw_weights: Path, tmp_path: Path
) -> None:
    whole, half = (load_tiny(raw_weights, dtype=dtype) for dtype in ("float32", "bfloat16"))
    options = replace(FAST, num_frames=96)
    made = state_after(whole.video(lambda _: RED, [0], options), 1, tmp_path / "s")
    plain = [*made, *whole.video(lambda _: RED, [0], options, state=tmp_path / "s")]

    resumed = half.video(lambda _: RED, [0], options, state=tmp_path / "s")
    rest = list(resumed)

    (said,) = resumed.differences
    assert "started with dtype float32, resumed with dtype bfloat16" in said
    assert [chunk.index for chunk in rest] == [1, 2, 3]
    for a, b in zip(rest, plain[1:], strict=True):
        assert (a.latents - b.latents).abs().mean() < 0.1


def test_one_worker_makes_the_same_video_as_two(raw_weights: Path) -> None:
    engines = [load_tiny(raw_weights) for _ in range(2)]
    engines[0].computing = replace(engines[0].computing, workers=1)
    engines[1].computing = replace(engines[1].computing, workers=2)

    one, two = (
        videos(e, e.video(lambda _: RED, [0], replace(FAST, num_frames=72))) for e in engines
    )

    assert np.array_equal(one, two)


def test_an_error_in_a_worker_stops_the_video(raw_weights: Path) -> None:
    engine = load_tiny(raw_weights)
    engine.computing = replace(engine.computing, workers=2)

    def fail(*_: object) -> None:
        raise KeyError("text")

    with pytest.raises(KeyError, match="text"):
        engine.computing.pair(fail, lambda: torch.zeros(1))
    with pytest.raises(KeyError, match="text"):
        engine.computing.pair(lambda: torch.zeros(1), fail)


def test_a_chunk_is_decoded_alike_whether_those_before_it_were_wanted_or_not(
    engine: Engine,
) -> None:
    options = replace(FAST, num_frames=96)
    whole = videos(engine, engine.video(lambda _: RED, [0, 1], options))
    chunks = list(engine.video(lambda _: RED, [0, 1], options))

    assert np.array_equal(engine.decode(chunks[1]), whole[:, 24:48])
    assert np.array_equal(engine.decode(chunks[3]), whole[:, 72:])


def test_a_thread_that_loads_another_model_changes_no_number_of_a_video(engine: Engine) -> None:
    options = replace(FAST, num_frames=48)
    plain = videos(engine, engine.video(lambda _: RED, [0], options))
    with another_loads():
        again = videos(engine, engine.video(lambda _: RED, [0], options))

    assert np.array_equal(plain, again)
