"""Videos of a small model in the released layout, by the backend that users have."""

import json
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.free_memory import FreeMemory
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import BackendUnavailableError, InvalidRequestError, StorageError
from media_agent.testing import events_of
from media_agent.testing.simulator.videos import Video, make_video
from media_agent.video.codec import read_frames
from media_agent.video.images import as_png, frame_of
from media_agent_magi import computing
from media_agent_magi.backend import MagiBackend
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
from tests.magi.released import write_release

pytestmark = pytest.mark.anyio

RED, BLUE = "a red circle moving right", "a blue square in the rain"


@pytest.fixture
async def backend(tmp_path: Path, release: Path, anyio_backend: str) -> AsyncIterator[MagiBackend]:
    made = MagiBackend(BackendSettings(data_dir=tmp_path, models={"small": release}))
    yield made
    await made.aclose()


def request(**values: object) -> VideoRequest:
    known: dict[str, object] = {
        "prompt": RED,
        "model": "magi/small",
        "fps": 24,
        "num_frames": 24,
        "seed": 0,
    }
    return VideoRequest.model_validate(known | values)


async def run(
    backend: MagiBackend, asked: VideoRequest, key: str, resume: ResumeToken | None = None
) -> list[BackendEvent]:
    ref = await backend.submit(asked, key=key, resume=resume)
    return await events_of(backend, ref)


def video_of(events: list[BackendEvent]) -> "np.ndarray":
    end = events[-1]
    assert isinstance(end, JobCompleted), end
    return read_frames(Path(str(end.artifacts[0].path)))


async def test_what_a_gpu_held_is_given_back_before_the_next_size_is_planned(
    backend: MagiBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run(backend, request(), "a")
    [(_, engine)] = backend._engines.values()
    held, is_gone = weakref.ref(engine), []
    del engine
    monkeypatch.setattr(computing, "give_back", lambda: is_gone.append(held() is None))

    await run(backend, request(size={"width": 96, "height": 64}), "b")

    assert is_gone == [True]


class Taken(FreeMemory):
    """Memory of which nothing is free any more once it was read twice."""

    def read(self) -> None:
        self.main_bytes = 2**40 if self.main_bytes is None else 0


async def test_the_model_that_is_held_is_not_in_the_way_of_the_next_plan(
    tmp_path: Path, release: Path
) -> None:
    free = Taken()
    backend = MagiBackend(
        BackendSettings(data_dir=tmp_path, models={"small": release}, free_memory=free)
    )
    await run(backend, request(), "a")
    free.read()

    other = backend.estimate(request(size={"width": 96, "height": 64}))
    await backend.aclose()

    assert other.memory is not None
    with pytest.raises(BackendUnavailableError, match="are free"):
        backend.estimate(request())


async def test_a_video_is_made_from_text(backend: MagiBackend) -> None:
    frames = video_of(await run(backend, request(num_frames=48), "a"))

    assert frames.shape == (48, 64, 64, 3)
    assert frames.std() > 5


async def test_a_storyboard_reads_every_shot(backend: MagiBackend) -> None:
    shots = [{"prompt": RED, "duration": 1.0}, {"prompt": BLUE, "duration": 1.0}]
    asked = request(prompt=None, shots=shots, num_frames=48)
    changed = video_of(await run(backend, asked, "a"))
    steady = video_of(await run(backend, request(num_frames=48), "b"))

    assert changed.shape == steady.shape
    assert not np.array_equal(changed[24:], steady[24:])


async def test_an_image_is_the_start_of_its_video(backend: MagiBackend, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(as_png(frame_of(b"\xc8" * (64 * 64 * 3), 64, 64)))
    image = MediaInput(role=InputRole.FIRST_FRAME, path=str(path))
    asked = request(mode=VideoMode.IMAGE_TO_VIDEO, inputs=[image])

    assert video_of(await run(backend, asked, "a")).shape == (24, 64, 64, 3)


async def test_a_video_is_continued(backend: MagiBackend, tmp_path: Path) -> None:
    path = tmp_path / "given.mp4"
    path.write_bytes(make_video(Video(width=64, height=64, frames=24, fps=24)))
    given = MediaInput(role=InputRole.SOURCE_VIDEO, path=str(path))
    asked = request(mode=VideoMode.VIDEO_EXTEND, inputs=[given])

    assert video_of(await run(backend, asked, "a")).shape == (24, 64, 64, 3)


async def test_a_video_resumed_from_its_state_is_the_same_but_for_rounding(tmp_path: Path) -> None:
    folder = write_release(tmp_path / "release", dtype="float32")
    settings = BackendSettings(data_dir=tmp_path, models={"small": folder})
    asked, first = request(num_frames=72), MagiBackend(settings)
    events = await run(first, asked, "a")
    await first.aclose()
    token = next(e.resume for e in events if isinstance(e, ChunkReady) and e.index == 0)

    again = MagiBackend(settings)
    resumed = await run(again, asked, "a", token)
    await again.aclose()

    assert [e.index for e in resumed if isinstance(e, ChunkReady)] == [1, 2]
    assert np.abs(video_of(resumed).astype(int) - video_of(events)).mean() < 0.05


async def test_a_broken_folder_is_named_and_the_others_work(tmp_path: Path, release: Path) -> None:
    (tmp_path / "empty").mkdir()
    models = {"small": release, "broken": tmp_path / "empty"}
    backend = MagiBackend(BackendSettings(data_dir=tmp_path, models=models))

    assert backend.capabilities().models == ("tiny", "small")
    with pytest.raises(StorageError, match="no weights in"):
        backend.capabilities("broken")


async def test_released_weights_that_are_not_here_say_how_to_get_them(tmp_path: Path) -> None:
    capabilities = MagiBackend(BackendSettings(data_dir=tmp_path)).capabilities("4.5b")

    assert "media-agent models fetch" in str(capabilities.missing)
    assert "4.5b" not in capabilities.models


async def test_prompts_that_nothing_is_left_of_or_too_long_are_refused(
    backend: MagiBackend,
) -> None:
    with pytest.raises(InvalidRequestError, match="Chinese characters are deleted"):
        await backend.submit(request(prompt="小狗在草地上奔跑"), key="a")
    with pytest.raises(InvalidRequestError, match="tokens; magi/small reads 94"):
        await backend.submit(request(prompt="red circle " * 60), key="b")


async def test_deleted_characters_are_a_warning(backend: MagiBackend) -> None:
    events = await run(backend, request(prompt="小狗 a dog runs"), "a")

    assert "'小狗' is deleted" in json.dumps(
        [e.model_dump(mode="json") for e in events], ensure_ascii=False
    )
