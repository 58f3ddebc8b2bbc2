"""What takes long ends soon after it is not wanted any more, whatever it waits for."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from media_agent.errors import JobCancelledError, VideoNotFetchedError
from media_agent.ingest.download import Fetched, fetch
from media_agent.jobs import stopping
from media_agent.jobs.stopping import while_wanted
from media_agent.testing.simulator.videos import Video, make_video

pytestmark = pytest.mark.anyio
VIDEO = make_video(Video(frames=2))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media_agent.jobs.stopping.LOOK_SECONDS", 0.01)


async def fetching(path: Path, answer: httpx.Response) -> Fetched:
    transport = httpx.MockTransport(lambda request: answer)
    return await fetch("https://cdn.example/f.mp4", path, transport=transport)


def nothing_is_in(folder: Path) -> bool:
    return list(folder.iterdir()) == []


async def stalled(first: bytes) -> AsyncIterator[bytes]:
    yield first
    await asyncio.Event().wait()


@pytest.mark.parametrize("first", [b"", VIDEO[:200], b"\0"])
async def test_a_fetch_that_stalls_is_left_when_it_is_not_wanted(
    first: bytes, tmp_path: Path
) -> None:
    answer = httpx.Response(200, content=stalled(first))

    with pytest.raises(JobCancelledError):
        await while_wanted(fetching(tmp_path / "f.mp4", answer), lambda: True)

    assert nothing_is_in(tmp_path)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503, headers={"retry-after": "100"}),
        httpx.Response(404),
        httpx.Response(200, content=b"<html>one moment</html>"),
    ],
    ids=["busy", "not there", "a page"],
)
async def test_a_fetch_between_two_tries_is_left_when_it_is_not_wanted(
    answer: httpx.Response, tmp_path: Path
) -> None:
    with pytest.raises(JobCancelledError):
        await while_wanted(fetching(tmp_path / "f.mp4", answer), lambda: True)

    assert nothing_is_in(tmp_path)


async def test_what_ends_in_its_last_moment_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "LOOK_SECONDS", 30.0)  # which is not over on a busy machine
    answer = httpx.Response(200, content=VIDEO)

    video = await while_wanted(fetching(tmp_path / "f.mp4", answer), lambda: True)

    assert video.path.read_bytes() == VIDEO


async def test_an_error_of_the_work_itself_is_its_end(tmp_path: Path) -> None:
    with pytest.raises(VideoNotFetchedError, match="410"):
        await while_wanted(fetching(tmp_path / "f.mp4", httpx.Response(410)), lambda: False)


async def test_what_takes_longer_than_it_may_is_left() -> None:
    with pytest.raises(TimeoutError):
        await while_wanted(asyncio.Event().wait(), lambda: False, longest=0.03)


async def test_a_process_that_was_stopped_meanwhile_has_used_up_no_patience() -> None:
    async def begun_before_a_pause() -> str:
        time.sleep(0.05)  # noqa: ASYNC251  # the whole process stands
        await asyncio.sleep(0)
        return "done"

    assert await while_wanted(begun_before_a_pause(), lambda: False, longest=0.03) == "done"
