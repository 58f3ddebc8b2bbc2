"""Videos of small models in the released layouts, by the engine and by the backend."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.testing import events_of
from media_agent.testing.simulator.videos import Video as MadeVideo
from media_agent.testing.simulator.videos import make_video
from media_agent.video.codec import read_frames
from media_agent_magi.backend import WanCausalBackend
from media_agent_magi.engine.autoencoders import wan_vae_config
from media_agent_magi.generating.engine import Engine
from media_agent_magi.generating.video import VideoChunk, VideoOptions
from media_agent_magi.loading.memory import Holding
from media_agent_magi.wan_causal.folder import WanCausalFolder
from media_agent_magi.wan_causal.loader import load_wan_causal
from media_agent_magi.wan_causal.options import WanCausalOptions
from media_agent_schemas import (
    BackendEvent,
    ChunkReady,
    InputRole,
    JobCompleted,
    MediaInput,
    ResumeToken,
    VideoMode,
    VideoRequest,
)
from tests.magi.loads import another_loads

FOX, DOGS = "a fox in snow", "two dogs run fast through tall grass"
OPTIONS = VideoOptions(num_frames=57, size=(32, 32))  # five blocks: 9 frames, then 12 each


@pytest.fixture(scope="module")
def engine(releases: Path) -> Engine:
    folder = WanCausalFolder.find(releases / "longlive")
    holding = Holding(window=folder.config.causal.window)
    label, options = "wan-causal/longlive", WanCausalOptions()
    return load_wan_causal(folder, label, holding, device="cpu", options=options)


def prompts(chunk: int) -> str:
    return FOX if chunk < 2 else DOGS


def frames_of(engine: Engine, chunks: Iterable[VideoChunk]) -> np.ndarray:
    """All frames, (N, T, H, W, 3)."""
    return np.concatenate([engine.decode(chunk) for chunk in chunks], axis=1)


@pytest.fixture(scope="module")
def whole(engine: Engine) -> np.ndarray:
    return frames_of(engine, engine.video(prompts, [0, 1], OPTIONS))


def test_frames_decoded_in_tiles_are_those_decoded_whole(
    releases: Path, whole: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wan_vae_config, "TILE", 16)
    folder = WanCausalFolder.find(releases / "longlive")
    holding = Holding(window=folder.config.causal.window, vae_in_tiles=True)
    label, options = "wan-causal/longlive", WanCausalOptions()
    tiling = load_wan_causal(folder, label, holding, device="cpu", options=options)

    frames = frames_of(tiling, tiling.video(prompts, [0, 1], OPTIONS))

    assert np.abs(frames.astype(int) - whole).max() <= 1  # of 255: a rounding


def test_a_video_has_the_frames_asked_for(whole: np.ndarray) -> None:
    assert whole.shape == (2, 57, 32, 32, 3)
    assert not np.array_equal(whole[0], whole[1])


def test_a_new_prompt_is_shown_within_a_block(engine: Engine, whole: np.ndarray) -> None:
    same = frames_of(engine, engine.video(lambda _: FOX, [0, 1], OPTIONS))

    differing = (whole != same).any(axis=(0, 2, 3, 4))
    assert int(differing.argmax()) == 9 + 12


@pytest.mark.parametrize("after", [1, 3])
def test_a_video_continues_from_its_state_frame_for_frame(
    engine: Engine, whole: np.ndarray, after: int, tmp_path: Path
) -> None:
    video = engine.video(prompts, [0, 1], OPTIONS)
    made = frames_of(engine, islice(video, after))
    video.saver(tmp_path)(tmp_path / "state")

    rest = engine.video(prompts, [0, 1], OPTIONS, state=tmp_path / "state")
    assert np.array_equal(np.concatenate([made, frames_of(engine, rest)], axis=1), whole)


def test_a_branch_continues_the_first_video_with_other_seeds(
    engine: Engine, whole: np.ndarray, tmp_path: Path
) -> None:
    video = engine.video(prompts, [0, 1], OPTIONS)
    list(islice(video, 3))
    video.saver(tmp_path)(tmp_path / "state")

    options = replace(OPTIONS, branches=True, num_frames=45)
    branch = engine.video(prompts, [5, 6], options, state=tmp_path / "state")
    frames = frames_of(engine, branch)
    assert [frames.shape[1], branch.next_chunk] == [12, 4]
    assert not np.array_equal(frames[0], whole[0, 33:45])


def test_a_block_is_decoded_alike_whether_those_before_it_were_wanted_or_not(
    engine: Engine, whole: np.ndarray
) -> None:
    chunks = list(engine.video(prompts, [0, 1], OPTIONS))

    assert np.array_equal(engine.decode(chunks[1]), whole[:, 9:21])
    assert np.array_equal(engine.decode(chunks[4]), whole[:, 45:])


def test_a_thread_that_loads_another_model_changes_no_frame(
    engine: Engine, whole: np.ndarray
) -> None:
    with another_loads():
        again = frames_of(engine, engine.video(prompts, [0, 1], OPTIONS))

    assert np.array_equal(whole, again)


@pytest.fixture
def settings(tmp_path: Path, releases: Path) -> BackendSettings:
    return BackendSettings(data_dir=tmp_path, models={"self-forcing": releases / "self-forcing"})


@pytest.fixture
async def backend(settings: BackendSettings, anyio_backend: str) -> AsyncIterator[WanCausalBackend]:
    made = WanCausalBackend(settings)
    yield made
    await made.aclose()


def request(**values: object) -> VideoRequest:
    known: dict[str, object] = {
        "prompt": FOX,
        "model": "wan-causal/self-forcing",
        "size": {"width": 32, "height": 32},
        "fps": 16,
        "num_frames": 45,
        "seed": 0,
    }
    return VideoRequest.model_validate(known | values)


async def run(
    backend: WanCausalBackend, asked: VideoRequest, key: str, resume: ResumeToken | None = None
) -> list[BackendEvent]:
    ref = await backend.submit(asked, key=key, resume=resume)
    return await events_of(backend, ref)


def video_of(events: list[BackendEvent]) -> np.ndarray:
    end = events[-1]
    assert isinstance(end, JobCompleted), end
    return read_frames(Path(str(end.artifacts[0].path)))


@pytest.mark.anyio
async def test_a_resumed_video_is_the_same_though_few_states_are_kept(
    settings: BackendSettings, backend: WanCausalBackend
) -> None:
    asked = request(options={"wan-causal": {"state_every": 2, "window": 6, "sink": 1}})
    events = await run(backend, asked, "a")
    tokens = [event.resume for event in events if isinstance(event, ChunkReady)]

    again = WanCausalBackend(settings)
    resumed = await run(again, asked, "a", tokens[1])
    await again.aclose()

    assert [token is not None for token in tokens] == [False, True, False, True]
    assert [e.index for e in resumed if isinstance(e, ChunkReady)] == [2, 3]
    assert np.array_equal(video_of(resumed), video_of(events))


@pytest.mark.anyio
async def test_a_window_may_be_smaller_where_the_sink_is(tmp_path: Path, releases: Path) -> None:
    settings = BackendSettings(data_dir=tmp_path, models={"longlive": releases / "longlive"})
    backend = WanCausalBackend(settings)
    chosen = {"window": 4, "sink": 1}  # it is released with a sink of a whole block
    asked = request(model="wan-causal/longlive", options={"wan-causal": chosen})

    events = await run(backend, asked, "a")
    await backend.aclose()

    assert len(video_of(events)) == 45


@pytest.mark.anyio
async def test_a_video_is_continued_from_its_end(backend: WanCausalBackend, tmp_path: Path) -> None:
    path = tmp_path / "given.mp4"
    path.write_bytes(make_video(MadeVideo(width=32, height=32, frames=30, fps=16)))
    given = MediaInput(role=InputRole.SOURCE_VIDEO, path=str(path))
    asked = request(mode=VideoMode.VIDEO_EXTEND, inputs=[given], num_frames=24)

    events = await run(backend, asked, "b")

    assert video_of(events).shape == (24, 32, 32, 3)
    assert [e.frames for e in events if isinstance(e, ChunkReady)] == [12, 12]
