from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import InvalidRequestError, StorageError
from media_agent.testing import events_of
from media_agent.video.codec import read_frames
from media_agent_magi.backend import MagiBackend
from media_agent_magi.generating.engine import Engine
from media_agent_magi.generating.shots import prompt_of_chunk
from media_agent_magi.generating.video import Video, VideoChunk
from media_agent_magi.tiny.config import GEOMETRY
from media_agent_magi.tiny.family import TinyFamily
from media_agent_schemas.events import BackendEvent, ChunkReady, JobCompleted, JobFailed
from media_agent_schemas.jobs import Finish
from media_agent_schemas.request import Shot, VideoRequest

RED, BLUE = "a red circle moving right", "a blue square"
FAST = {"magi": {"num_inference_steps": 8}}


def request(**values: object) -> VideoRequest:
    known = {"model": "magi/tiny", "fps": 24, "seed": 0, "options": FAST}
    return VideoRequest.model_validate(known | values)


@pytest.fixture
async def backend(tmp_path: Path, raw_weights: Path):
    backend = MagiBackend(BackendSettings(data_dir=tmp_path), [TinyFamily(raw_weights)])
    yield backend
    await backend.aclose()


async def submit_and_observe(
    backend: MagiBackend, asked: VideoRequest, key: str = "k"
) -> list[BackendEvent]:
    ref = await backend.submit(asked, key=key)
    return await events_of(backend, ref)


@pytest.mark.anyio
async def test_a_video_has_exactly_the_frames_asked_for(backend: MagiBackend) -> None:
    events = await submit_and_observe(backend, request(prompt=RED, num_frames=31))

    done = events[-1]
    assert isinstance(done, JobCompleted)
    chunks = [event for event in events if isinstance(event, ChunkReady)]
    assert [chunk.index for chunk in chunks] == [0, 1]
    path = done.artifacts[0].path
    assert path is not None
    assert read_frames(Path(path)).shape == (31, 64, 64, 3)


@pytest.mark.anyio
async def test_the_same_request_gives_equal_frames(backend: MagiBackend) -> None:
    videos = []
    for key in ("first", "second"):
        done = (await submit_and_observe(backend, request(prompt=RED, num_frames=24), key))[-1]
        assert isinstance(done, JobCompleted)
        videos.append(read_frames(Path(done.artifacts[0].path or "")))

    assert np.array_equal(videos[0], videos[1])


@pytest.mark.anyio
async def test_where_chunks_are_decoded_in_turn_each_is_before_the_next_is_made(
    tmp_path: Path, raw_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = list[str]()
    make, decode = Video.__iter__, Engine.decode

    class InTurn(TinyFamily):
        def load(self, **known: Any) -> Engine:
            return Engine(super().load(**known).models, decodes_beside=False)

    def note_made(video: Video) -> Iterator[VideoChunk]:
        for chunk in make(video):
            said.append(f"made {chunk.index}")
            yield chunk

    def note_decoded(engine: Engine, chunk: VideoChunk) -> np.ndarray:
        said.append(f"decoded {chunk.index}")
        return decode(engine, chunk)

    monkeypatch.setattr(Video, "__iter__", note_made)
    monkeypatch.setattr(Engine, "decode", note_decoded)
    backend = MagiBackend(BackendSettings(data_dir=tmp_path), [InTurn(raw_weights)])
    await submit_and_observe(backend, request(prompt=RED, num_frames=72))
    await backend.aclose()

    assert said == [f"{what} {chunk}" for chunk in range(3) for what in ("made", "decoded")]


@pytest.mark.anyio
async def test_an_endless_video_ends_when_told_to_finish(backend: MagiBackend) -> None:
    ref = await backend.submit(request(prompt=RED, endless=True), key="endless")
    chunks = 0

    async with aclosing(backend.observe(ref)) as events:
        async for event in events:
            if isinstance(event, ChunkReady):
                chunks += 1
                if chunks == 2:
                    await backend.control(ref, Finish(), number=1)

    assert isinstance(event, JobCompleted)
    assert 2 <= chunks <= 8  # it is a little ahead of what is announced


@pytest.mark.anyio
async def test_a_prompt_longer_than_the_model_reads_is_refused(backend: MagiBackend) -> None:
    with pytest.raises(InvalidRequestError, match="has 40 words; magi/tiny reads 24"):
        await backend.submit(request(prompt="red " * 40, num_frames=24), key="long")


@pytest.mark.anyio
async def test_damaged_weights_fail_the_job_in_one_line(
    backend: MagiBackend, raw_weights: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "tiny.json").write_bytes((raw_weights / "tiny.json").read_bytes())
    (folder / "tiny.safetensors").write_bytes(b"rubbish")
    broken = MagiBackend(BackendSettings(data_dir=tmp_path), [TinyFamily(folder)])

    failed = (await submit_and_observe(broken, request(prompt=RED, num_frames=24)))[-1]
    await broken.aclose()

    assert isinstance(failed, JobFailed)
    assert failed.error.code == "storage"
    assert "are damaged" in failed.error.message


def test_a_missing_description_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*tiny\.json"):
        MagiBackend(BackendSettings(data_dir=tmp_path), [TinyFamily(tmp_path)])


@pytest.mark.anyio
async def test_an_unknown_model_is_refused(backend: MagiBackend) -> None:
    with pytest.raises(InvalidRequestError, match="no model 'huge'"):
        backend.capabilities("huge")


def test_each_chunk_carries_the_prompt_of_the_shot_it_begins_in() -> None:
    asked = VideoRequest(
        shots=(Shot(prompt=RED, duration=2.0), Shot(prompt=BLUE, duration=1.5)), num_frames=84
    )

    prompt = prompt_of_chunk(asked, GEOMETRY)
    assert [prompt(chunk) for chunk in range(5)] == [RED, RED, BLUE, BLUE, None]


def test_prompts_without_a_clear_meaning_are_warned_of() -> None:
    warnings = TinyFamily().find_doubts((Shot(prompt="a red blue circle"), Shot(prompt=BLUE)))

    assert len(warnings) == 1
    assert "more than one colour: red, blue" in warnings[0]
