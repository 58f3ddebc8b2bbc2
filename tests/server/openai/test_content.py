"""The bytes of a video: whole, in parts, while it grows; its small images."""

import hashlib
import os
from io import BytesIO

import av
import httpx
import pytest

from media_agent.server.context import ServerContext
from tests.server.openai.conftest import SMALL, Finish

pytestmark = pytest.mark.anyio


@pytest.fixture
async def url(http: httpx.AsyncClient, finish: Finish) -> str:
    made = await http.post("/v1/videos", json={**SMALL, "prompt": "a fox"})
    video = await finish(made.json()["id"])
    return f"/v1/videos/{video['id']}/content"


def count_frames(content: bytes) -> int:
    with av.open(BytesIO(content), "r") as container:
        return len([*container.decode(video=0)])


async def test_each_of_several_videos_is_named_by_its_index(
    http: httpx.AsyncClient, finish: Finish
) -> None:
    made = await http.post("/v1/videos", json={**SMALL, "prompt": "a fox", "n": 2})
    url = f"/v1/videos/{(await finish(made.json()['id']))['id']}/content"

    async def tag(query: str) -> str | int:
        reply = await http.get(f"{url}?{query}")
        return reply.headers["etag"] if reply.status_code == 200 else reply.status_code

    first, second = await tag("index=0"), await tag("index=1")
    assert first != second
    assert (await tag("variant=1"), await tag("variant=1&index=1")) == (second, second)
    assert await tag("variant=thumbnail&index=1") != await tag("variant=thumbnail")
    assert (await tag("variant=1&index=0"), await tag("index=2")) == (400, 404)


async def test_a_video_is_sent_whole_or_in_the_parts_that_are_asked_for(
    http: httpx.AsyncClient, url: str
) -> None:
    whole = await http.get(url)
    content, etag = whole.content, whole.headers["etag"]
    head = await http.head(url)

    async def get(**headers: str) -> httpx.Response:
        return await http.get(url, headers={k.replace("_", "-"): v for k, v in headers.items()})

    first = await get(Range="bytes=0-9")
    last = await get(Range="bytes=-5")
    several = await get(Range="bytes=0-1,10-11")

    assert etag == f'"{hashlib.sha256(content).hexdigest()}"'
    assert (head.content, int(head.headers["content-length"])) == (b"", len(content))
    assert head.headers["content-disposition"].startswith('inline; filename="20')
    assert (first.status_code, first.content) == (206, content[:10])
    assert first.headers["content-range"] == f"bytes 0-9/{len(content)}"
    assert last.content == content[-5:]
    assert several.status_code == 206
    assert several.headers["content-type"].startswith("multipart/byteranges")
    assert content[10:12] in several.content
    assert (await get(Range="bytes=0-9", If_Range='"other"')).content == content
    assert (await get(Range="bytes=0-9", If_Range=etag)).content == content[:10]
    assert (await get(Range="nonsense")).content == content
    assert (await get(If_None_Match=f'W/"x", {etag}')).status_code == 304
    assert (await get(If_None_Match='"other"')).content == content
    outside = await get(Range=f"bytes={len(content)}-")
    assert (outside.status_code, outside.headers["content-range"]) == (
        416,
        f"bytes */{len(content)}",
    )
    assert outside.json()["error"]["type"] == "invalid_request_error"


async def test_a_thumbnail_and_a_contact_sheet_are_made_once(
    http: httpx.AsyncClient, url: str, server: ServerContext
) -> None:
    small = await http.get(url, params={"variant": "thumbnail"})
    sheet = await http.get(url, params={"variant": "spritesheet"})
    again = await http.get(
        url, params={"variant": "thumbnail"}, headers={"If-None-Match": small.headers["etag"]}
    )
    folder = server.host.client.store.jobs.folder(url.split("/")[3])

    assert (small.headers["content-type"], small.content[8:12]) == ("image/webp", b"WEBP")
    assert (sheet.headers["content-type"], sheet.content[:3]) == ("image/jpeg", b"\xff\xd8\xff")
    assert again.status_code == 304
    await http.delete(url.removesuffix("/content"))
    assert not folder.exists()


async def test_an_unknown_variant_and_a_file_that_is_gone_are_refused(
    http: httpx.AsyncClient, url: str, server: ServerContext
) -> None:
    unknown = await http.get(url, params={"variant": "poster"})
    second = await http.get(url, params={"variant": "1"})
    first = await http.get(url, params={"variant": "0"})
    job = server.host.client.store.jobs.get(url.split("/")[3])
    os.unlink(str(job.artifacts[0].path))  # noqa: PTH108
    gone = await http.get(url)

    assert (unknown.status_code, second.status_code, first.status_code) == (400, 404, 200)
    assert (gone.status_code, "gone" in gone.json()["error"]["message"]) == (404, True)
    assert str(server.settings.data_dir) not in gone.text


async def test_a_video_plays_while_it_is_made(http: httpx.AsyncClient, finish: Finish) -> None:
    slow = {**SMALL, "prompt": "a fox", "seconds": 3, "latency_seconds": 1.5}
    made = await http.post("/v1/videos", json=slow)
    video = made.json()["id"]

    growing = await http.get(f"/v1/videos/{video}/content")
    finished = await finish(video)
    whole = await http.get(f"/v1/videos/{video}/content")

    assert made.json()["status"] == "queued"
    assert growing.headers["content-type"] == "video/mp4"
    assert "content-length" not in growing.headers
    assert count_frames(growing.content) == count_frames(whole.content) == 12
    assert growing.content != whole.content
    assert finished["media_agent"]["next"].endswith("/content")


async def test_the_head_of_a_video_waits_for_no_chunk_of_it(http: httpx.AsyncClient) -> None:
    slow = {**SMALL, "prompt": "a fox", "latency_seconds": 600}
    video = (await http.post("/v1/videos", json=slow)).json()["id"]

    head = await http.head(f"/v1/videos/{video}/content")

    assert (head.status_code, "content-length" in head.headers) == (200, False)
    assert (await http.delete(f"/v1/videos/{video}")).status_code == 200


async def test_a_video_that_failed_or_comes_at_the_end_only_has_no_content_yet(
    http: httpx.AsyncClient, finish: Finish
) -> None:
    body = {**SMALL, "prompt": "a fox", "seconds": 3, "fail_at": "chunk:1"}
    video = (await http.post("/v1/videos", json=body)).json()["id"]
    await finish(video)

    reply = await http.get(f"/v1/videos/{video}/content")
    partial = await http.get(f"/v1/videos/{video}/content", params={"variant": "partial"})

    assert reply.status_code == 409
    assert "variant=partial" in reply.json()["error"]["message"]
    assert count_frames(partial.content) == 4
