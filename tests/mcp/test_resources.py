"""The files of jobs as resources: read whole, or refused with the place where they are."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError

from media_agent.client import VideoClient
from media_agent.mcp.resources import LARGEST_READ
from tests.mcp.conftest import SLOW, WISH, call

pytestmark = pytest.mark.anyio


def enlarge(path: str, size: int) -> None:
    with Path(path).open("r+b") as file:
        file.truncate(size)


async def test_every_file_of_a_job_is_a_resource(modern: Client) -> None:
    done = await call(modern, "create_video", **WISH, wait_seconds=30)
    templates = (await modern.list_resource_templates()).resource_templates
    kinds = {each.name: each for each in templates}

    contents: dict[str, Any] = {}
    for kind, template in kinds.items():
        uri = template.uri_template.replace("{job_id}", done["job_id"])
        contents[kind] = (await modern.read_resource(uri)).contents[0]
        assert contents[kind].mime_type == template.mime_type

    assert set(kinds) == {"video", "poster", "contact-sheet", "record"}
    assert base64.b64decode(contents["video"].blob) == Path(done["video"]).read_bytes()  # noqa: ASYNC240
    for kind in ("poster", "contact-sheet"):
        assert base64.b64decode(contents[kind].blob).startswith(b"\x89PNG")
    assert json.loads(contents["record"].text)["job_id"] == done["job_id"]


async def test_finished_videos_are_listed_page_by_page(modern: Client, videos: VideoClient) -> None:
    done = await call(modern, "create_video", **WISH, wait_seconds=30)
    job = await videos.get(done["job_id"])
    for number in range(24):
        named = job.model_copy(update={"id": f"20260101-000000-{number:08x}"})
        videos.store.jobs.create(named)

    first = await modern.list_resources()
    second = await modern.list_resources(cursor=first.next_cursor)

    assert (len(first.resources), len(second.resources)) == (20, 5)
    assert len({each.uri for each in (*first.resources, *second.resources)}) == 25
    assert second.next_cursor is None
    with pytest.raises(MCPError, match="nothing"):
        await modern.list_resources(cursor="nothing")


async def test_a_video_that_is_too_large_for_a_message_is_named_and_not_read(
    modern: Client,
) -> None:
    done = await call(modern, "create_video", **WISH, wait_seconds=30)
    enlarge(done["video"], 200_000_000)

    with pytest.raises(MCPError, match=r"200\.0 MB, and at most 8 MB") as refused:
        await modern.read_resource(f"media-agent://jobs/{done['job_id']}/video")

    assert LARGEST_READ == 8_000_000
    assert done["video"] in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("media-agent://jobs/20260101-000000-00000000/video", "unknown job"),
        ("media-agent://jobs/x/secrets", "unknown resource"),
        ("media-agent://jobs/../../etc/passwd/video", "unknown resource"),
        ("media-agent://jobs/%2e%2e/video", "unknown job"),
        ("file:///etc/passwd", "unknown resource"),
        ("media-agent://jobs/" + "x" * 100_000 + "/video", "unknown resource"),
    ],
)
async def test_what_is_no_file_of_a_job_is_not_read(modern: Client, uri: str, said: str) -> None:
    with pytest.raises(MCPError, match=said) as refused:
        await modern.read_resource(uri)

    assert len(str(refused.value)) < 1000


async def test_a_job_under_way_has_no_files_yet(modern: Client, videos: VideoClient) -> None:
    job = await call(modern, "create_video", **SLOW)

    for kind in ("video", "poster", "contact-sheet", "record"):
        with pytest.raises(MCPError, match="is not there yet"):
            await modern.read_resource(f"media-agent://jobs/{job['job_id']}/{kind}")
    await videos.cancel(job["job_id"])
