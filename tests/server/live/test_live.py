"""A video is watched while it is made, and goes on as if nothing had happened when it is done."""

import asyncio
import io
import time
from collections.abc import AsyncIterator
from typing import Any

import av
import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Scope

from media_agent.config.settings import load_settings
from media_agent.server.app import build_app
from media_agent.server.context import ServerContext
from media_agent.server.live.follow import follow
from media_agent.server.live.hls import HlsVideos
from tests.server.serving import serving

pytestmark = pytest.mark.anyio
SMALL = {"width": 32, "height": 32}
SLOW = {"options": {"sandbox": {"latency_seconds": 0.2}}}


@pytest.fixture
async def app() -> AsyncIterator[FastAPI]:
    app = build_app(load_settings(default_backend="sandbox"))
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


def times_of(video: bytes) -> list[float]:
    with av.open(io.BytesIO(video)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


async def begin(http: httpx.AsyncClient, seconds: float, latency: float) -> str:
    options = {"sandbox": {"latency_seconds": latency}}
    request = {"prompt": "x", "duration": seconds, "fps": 8, "size": SMALL, "options": options}
    reply = await http.post("/v1/jobs", json={"request": request})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


async def follow_whole(app: FastAPI, job_id: str) -> bytes:
    server: ServerContext = app.state.context
    job = await server.host.call(lambda client: client.get(job_id))
    return b"".join([part async for part in follow(server.host, server.events, job)])


async def test_a_video_that_the_end_of_the_server_cuts_off_is_not_sent_as_a_whole_one(
    http: httpx.AsyncClient, app: FastAPI
) -> None:
    job_id = await begin(http, 30, 20)
    path = f"/v1/videos/{job_id}/content"
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
    }
    received: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if not received:
            await asyncio.Event().wait()  # the caller stays
        return received.pop()

    async def send(message: Message) -> None:
        sent.append(message)
        if message.get("body"):
            app.state.context.stop()

    async with asyncio.timeout(60):
        await app(scope, receive, send)
    await http.post(f"/v1/jobs/{job_id}/cancel")

    assert sent[0]["status"] == 200
    assert sum(len(message.get("body", b"")) for message in sent) > 0
    assert all(message["more_body"] for message in sent[1:])


async def test_a_player_that_begins_early_plays_to_the_end(
    http: httpx.AsyncClient, app: FastAPI
) -> None:
    job_id = await begin(http, 3, 0.4)
    following = asyncio.create_task(follow_whole(app, job_id))
    parts: dict[str, bytes] = {}
    sizes: list[int] = []
    playlist = ""
    while "#EXT-X-ENDLIST" not in playlist:
        reply = await http.get(f"/v1/jobs/{job_id}/live/index.m3u8")
        if reply.status_code == 200:
            playlist = reply.text
            names = [line for line in playlist.splitlines() if line.endswith(".m4s")]
            sizes.append(len(names))
            for name in ("init.mp4", *names):
                if name not in parts:
                    parts[name] = (await http.get(f"/v1/jobs/{job_id}/live/{name}")).content
        await asyncio.sleep(0.02)

    assert sizes[0] < sizes[-1] == 3
    assert times_of(b"".join(parts.values())) == [number / 8 for number in range(24)]
    assert times_of(await following) == [number / 8 for number in range(24)]
    assert (await http.get(f"/v1/jobs/{job_id}/live/3.m4s")).status_code == 404


async def test_a_finished_video_is_played_from_its_file(
    http: httpx.AsyncClient, app: FastAPI
) -> None:
    job_id = await begin(http, 5, 0)
    assert (await http.get(f"/v1/jobs/{job_id}/live/index.m3u8")).status_code in (200, 409)
    await http.get(f"/v1/jobs/{job_id}/events")

    playlist = (await http.get(f"/v1/jobs/{job_id}/live/index.m3u8")).text
    names = [line for line in playlist.splitlines() if line.endswith(".m4s")]
    parts = [await http.get(f"/v1/jobs/{job_id}/live/{name}") for name in ("init.mp4", *names)]

    assert len(names) == 5  # its chunks
    assert playlist.endswith("#EXT-X-ENDLIST\n")
    assert len(times_of(b"".join(part.content for part in parts))) == 40
    assert times_of(await follow_whole(app, job_id)) == [number / 8 for number in range(40)]


async def test_a_master_playlist_says_what_a_player_has_to_know_first(
    http: httpx.AsyncClient,
) -> None:
    job_id = await begin(http, 3, 0.2)
    said = dict[str, str]()
    for number in range(2):
        reply = await http.get(f"/v1/jobs/{job_id}/live/master.m3u8")
        while number == 0 and reply.status_code == 409:
            await asyncio.sleep(0.02)
            reply = await http.get(f"/v1/jobs/{job_id}/live/master.m3u8")
        *_, info, uri = reply.text.splitlines()
        said[("growing", "finished")[number]] = info
        await http.get(f"/v1/jobs/{job_id}/events")
    playlist = f"/v1/jobs/{job_id}/live/index.m3u8"
    names = [each for each in (await http.get(playlist)).text.split() if each.endswith(".m4s")]
    segments = [(await http.get(f"/v1/jobs/{job_id}/live/{name}")).content for name in names]

    assert uri == "index.m3u8"
    for info in said.values():
        peak = int(info.partition("BANDWIDTH=")[2].partition(",")[0])
        assert 'CODECS="avc1.' in info
        assert "RESOLUTION=32x32,FRAME-RATE=8.000" in info
        assert peak > 0
    assert 0.5 < peak / (8 * max(map(len, segments))) < 1.5


async def test_the_segments_of_a_finished_video_are_the_same_after_a_restart(
    http: httpx.AsyncClient, app: FastAPI
) -> None:
    job_id = await begin(http, 3, 0.1)
    playlist = ""
    while "#EXT-X-ENDLIST" not in playlist:
        playlist = (await http.get(f"/v1/jobs/{job_id}/live/index.m3u8")).text
        await asyncio.sleep(0.02)
    before = [await http.get(f"/v1/jobs/{job_id}/live/{number}.m4s") for number in range(3)]

    app.state.context.hls = HlsVideos()

    assert (await http.get(f"/v1/jobs/{job_id}/live/index.m3u8")).text == playlist
    for number, segment in enumerate(before):
        again = await http.get(f"/v1/jobs/{job_id}/live/{number}.m4s")
        assert again.content == segment.content


def test_ffmpeg_plays_a_growing_video_to_its_end_and_seeks_back() -> None:
    settings = load_settings(default_backend="sandbox")
    request = {"prompt": "x", "duration": 3, "fps": 8, "size": SMALL, **SLOW}
    with serving(settings) as address:
        job = httpx.post(f"{address}v1/jobs", json={"request": request}).json()
        playlist = f"{address}v1/jobs/{job['id']}/live/index.m3u8"
        while (first := httpx.get(playlist)).status_code != 200:
            time.sleep(0.02)
        with av.open(playlist) as video:
            times = [float(frame.time) for frame in video.decode(video=0)]
            video.seek(1_000_000)
            back = [float(frame.time) for frame in video.decode(video=0)]

    assert "#EXT-X-ENDLIST" not in first.text
    assert times == [number / 8 for number in range(24)]
    assert back == times[8:]


async def test_a_reader_of_a_file_that_is_made_again_goes_on_in_the_new_one(
    tmp_path: Any,
) -> None:
    from media_agent.server.live.follow import _Growing
    from media_agent_schemas.events import ChunkReady, JobEvent
    from tests.ledger.samples import NOW

    path = tmp_path / "video.part.mp4"
    path.write_bytes(b"abc")
    growing = _Growing()
    ready = ChunkReady(index=0, frames=1, path=str(path))
    growing.hear([JobEvent(job_id="one", sequence=0, time=NOW, event=ready)])

    async def read() -> bytes:
        return b"".join([part async for part in growing.read()])

    first = await read()
    (tmp_path / "new").write_bytes(b"ab")
    (tmp_path / "new").replace(path)
    shorter = await read()
    with path.open("ab") as file:
        file.write(b"cdef")
    longer = await read()
    with path.open("ab") as file:
        file.write(b"g")
    path.unlink()
    last = await read()
    growing.close()

    assert (first, shorter, longer, last) == (b"abc", b"", b"def", b"g")


async def test_what_is_not_there_yet_is_worth_another_call(http: httpx.AsyncClient) -> None:
    job_id = await begin(http, 2, 30)

    for path in ("live/index.m3u8", "live/init.mp4", "record"):
        reply = await http.get(f"/v1/jobs/{job_id}/{path}")
        assert reply.status_code == 409
        assert reply.json()["error"]["code"] == "video_not_ready"
        assert reply.json()["media_agent"]["next"] == "send the same call again later"
    await http.post(f"/v1/jobs/{job_id}/cancel")
