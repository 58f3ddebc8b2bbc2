"""A backend that generates audio: it goes with its frames, unless the request wants none."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.local import Chunk, GenerationContext, LocalBackend
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import GenerationFailedError
from media_agent.testing import events_of
from media_agent.video.audio import Audio
from media_agent.video.container import open_video
from media_agent.video.probe import probe
from media_agent_schemas import Capabilities, Estimate, JobCompleted, ResumeToken, VideoRequest
from media_agent_schemas.events import ChunkReady, JobFailed
from media_agent_schemas.jobs import Replay

pytestmark = pytest.mark.anyio

RATE = 16_000
REQUEST = VideoRequest(prompt="a bell", num_frames=20, fps=10, seed=0)


class Bells(LocalBackend):
    """Makes chunks of eight frames, each louder than the one before."""

    fails_at: int | None = None

    @property
    def name(self) -> str:
        return "bells"

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(
            backend="bells", model="one", audio=True, max_n=2, resumable=True, extends=True
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=0)

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        for index in range(0 if context.resume is None else context.resume.next_chunk, 3):
            if index == self.fails_at:
                raise GenerationFailedError("as told")
            shape = (8, 32, 32, 3) if request.n == 1 else (request.n, 8, 32, 32, 3)
            samples = np.full((*shape[:-4], 2, 8 * RATE // 10), 0.2 * (index + 1), np.float32)
            samples[..., ::2] *= -1
            token = ResumeToken(backend="bells", model="one", next_chunk=index + 1)
            yield Chunk(index, np.zeros(shape, np.uint8), token, audio=Audio(samples, RATE))


@pytest.fixture
def bells(tmp_path: Path) -> Bells:
    return Bells(BackendSettings(data_dir=tmp_path))


async def generate(
    bells: Bells, request: VideoRequest, key: str, resume: ResumeToken | None = None
) -> JobCompleted:
    ref = await bells.submit(request, key=key, resume=resume)
    done = (await events_of(bells, ref))[-1]
    assert isinstance(done, JobCompleted), done
    return done


def read_audio(path: str | None) -> list[np.ndarray]:
    with open_video(Path(path or "")) as media:
        return [frame.to_ndarray() for frame in media.decode(audio=0)]


@pytest.mark.parametrize(("wanted", "has_audio"), [(None, True), (True, True), (False, False)])
async def test_a_video_has_audio_unless_none_is_wanted(
    bells: Bells, wanted: bool | None, has_audio: bool
) -> None:
    request = REQUEST.model_copy(update={"audio": wanted})

    done = await generate(bells, request, "work")

    facts = probe(Path(done.artifacts[0].path or ""))
    assert (facts.frames, facts.duration, facts.has_audio) == (20, pytest.approx(2.0), has_audio)
    assert done.artifacts[0].metadata is not None
    assert done.artifacts[0].metadata.has_audio is has_audio
    assert done.warnings == ()


async def test_each_of_several_videos_has_audio(bells: Bells) -> None:
    done = await generate(bells, REQUEST.model_copy(update={"n": 2}), "work")

    assert [each.metadata and each.metadata.has_audio for each in done.artifacts] == [True, True]


async def test_a_video_that_failed_and_was_resumed_has_the_same_audio(bells: Bells) -> None:
    whole = await generate(bells, REQUEST, "whole")
    bells.fails_at = 2
    events = await events_of(bells, await bells.submit(REQUEST, key="work"))
    failed = events[-1]
    assert isinstance(failed, JobFailed)
    assert failed.artifacts[0].metadata is not None
    assert failed.artifacts[0].metadata.has_audio, "what was made is heard too"
    token = [each.resume for each in events if isinstance(each, ChunkReady)][-1]
    bells.fails_at = None

    resumed = await generate(bells, REQUEST, "work", token)

    both = [read_audio(each.artifacts[0].path) for each in (whole, resumed)]
    assert np.array_equal(*map(np.hstack, both))


async def test_a_chunk_that_is_gone_is_made_again_with_its_audio(bells: Bells) -> None:
    whole = await generate(bells, REQUEST, "whole")
    token = ResumeToken(
        backend="bells", model="one", next_chunk=2, replay=Replay(request=REQUEST, chunks=0)
    )

    again = await generate(bells, REQUEST, "again", token)

    both = [read_audio(each.artifacts[0].path) for each in (whole, again)]
    assert np.array_equal(*map(np.hstack, both))
