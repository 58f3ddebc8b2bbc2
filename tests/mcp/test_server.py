"""The tools over the Model Context Protocol: a video from the question to the file."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.server.lowlevel import Server

from media_agent.client import VideoClient
from media_agent.mcp.access import OneBox
from media_agent.mcp.server import build_server, build_tools
from media_agent.tools import ToolBox
from media_agent_schemas import JobStatus
from tests.mcp.conftest import SLOW, WISH, call, open_client

pytestmark = pytest.mark.anyio

NAMES = [
    *("plan_video", "create_video", "get_video", "wait_video", "steer_video"),
    *("extend_video", "cancel_video", "list_videos", "list_video_backends"),
]


async def test_the_nine_tools_are_there_and_all_together_small(client: Client) -> None:
    listed = await client.list_tools()

    text = listed.model_dump_json(by_alias=True, exclude_none=True)
    assert [tool.name for tool in listed.tools] == NAMES
    assert len(text) <= 8000
    assert [t.name for t in listed.tools if t.annotations and t.annotations.read_only_hint] == [
        *("plan_video", "get_video", "wait_video", "list_videos", "list_video_backends")
    ]


def test_routes_of_the_settings_are_named() -> None:
    text = json.dumps([tool.input_schema for tool in build_tools(["draft", "final"])])

    assert text.count("One of: draft, final.") == 2


async def test_a_normal_job_takes_four_calls_and_little_text(client: Client) -> None:
    results = [await client.call_tool("plan_video", WISH)]
    results.append(await client.call_tool("create_video", WISH))
    job_id = json.loads(results[-1].content[0].text)["job_id"]  # type: ignore[union-attr]
    results.append(await client.call_tool("wait_video", {"job_id": job_id}))
    look = {"job_id": job_id, "contact_sheet": True}
    results.append(await client.call_tool("get_video", look))

    done = json.loads(results[-1].content[0].text)  # type: ignore[union-attr]
    kinds = [part.type for part in results[-1].content]
    texts = [part for result in results for part in result.content if part.type != "image"]
    size = sum(len(part.model_dump_json(by_alias=True, exclude_none=True)) for part in texts)
    assert done["status"] == "completed"
    assert kinds == ["text", "image", *["resource_link"] * 4]
    assert size <= 12_000
    assert not any(result.is_error for result in results)


async def test_links_stand_for_files_and_no_base64(client: Client) -> None:
    result = await client.call_tool("create_video", WISH | {"wait_seconds": 30})

    done = json.loads(result.content[0].text)  # type: ignore[union-attr]
    links = {part.name: part for part in result.content if part.type == "resource_link"}
    assert links["video"].uri == f"media-agent://jobs/{done['job_id']}/video"
    assert links["video"].size == Path(done["video"]).stat().st_size  # noqa: ASYNC240
    assert set(links) == {"video", "poster", "contact-sheet", "record"}
    assert len(result.model_dump_json()) < 4000


async def test_progress_is_told_while_a_call_waits_and_rises(
    client: Client, videos: VideoClient
) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    result = await client.call_tool(
        "create_video", SLOW | {"wait_seconds": 0.3}, progress_callback=hear
    )

    answer = json.loads(result.content[0].text)  # type: ignore[union-attr]
    assert answer["next"] == f"call wait_video with job_id {answer['job_id']}"
    assert len(told) >= 3
    assert [each[0] for each in told] == sorted({each[0] for each in told})
    assert {each[1] for each in told} == {1.0}
    assert all(f"job {answer['job_id']}, " in str(each[2]) for each in told)
    await videos.cancel(answer["job_id"])


async def test_who_gives_up_ends_the_wait_and_not_the_job(
    client: Client, videos: VideoClient
) -> None:
    started = await call(client, "create_video", **SLOW)

    waiting = asyncio.create_task(call(client, "wait_video", job_id=started["job_id"], seconds=60))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait([waiting])
    left = await videos.get(started["job_id"])
    stopped = await call(client, "cancel_video", job_id=started["job_id"])

    assert waiting.cancelled()
    assert not left.status.is_terminal
    assert videos.is_running(started["job_id"]) or stopped["finished"]
    ended = await call(client, "wait_video", job_id=started["job_id"])
    assert ended["status"] == JobStatus.CANCELLED


async def test_a_hundred_calls_that_time_out_and_are_repeated_make_one_job_each(
    modern: Client, videos: VideoClient
) -> None:
    async def ask_and_give_up(number: int) -> Any:
        wish = SLOW | {"seed": number // 10}
        call_of = modern.call_tool("create_video", wish | {"wait_seconds": 30})
        with pytest.raises((TimeoutError, MCPError)):
            await asyncio.wait_for(call_of, 0.001 * (number % 10))
        return await call(modern, "create_video", **wish)

    answers = await asyncio.gather(*(ask_and_give_up(number) for number in range(100)))

    jobs = await videos.list()
    assert len(jobs) == 10
    assert {each["job_id"] for each in answers} == {job.id for job in jobs}
    await asyncio.gather(*(videos.cancel(job.id) for job in jobs))


async def test_the_same_call_to_another_process_is_the_same_job(
    tmp_path: Path, server: Server[Any], videos: VideoClient
) -> None:
    async with Client(server) as first:
        made = await call(first, "create_video", **WISH)
    async with open_client(tmp_path) as later:
        other = build_server(OneBox(ToolBox(later, ask_above_usd=1)))
        async with Client(other, mode="legacy") as second:
            again = await call(second, "create_video", **WISH)

    assert made["job_id"] == again["job_id"]
    assert len(await videos.list()) == 1


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("create_video", {}, "nothing describes what to show"),
        ("create_video", {"prompt": 7}, "prompt"),
        ("create_video", {"prompt": "a", "size": ["x"]}, "size"),
        ("create_video", {"prompt": "a" * 300_000}, "prompt"),
        ("create_video", {"prompt": "a", "shots": "(" * 100_000}, "shots"),
        ("create_video", {"prompt": "a", "wait_seconds": 61}, "wait_seconds"),
        ("create_video", {"prompt": "a", "wait_seconds": -1}, "wait_seconds"),
        ("create_video", {"promt": "a"}, "did you mean prompt"),
        ("wait_video", {"job_id": "20260101-000000-00000000"}, "unknown job"),
        ("wait_video", {"job_id": "a", "seconds": "soon"}, "seconds"),
        ("wait_video", {}, "job_id"),
        ("get_video", {"job_id": "../../etc/passwd"}, "unknown job"),
        ("get_video", {"job_id": "x" * 100_000}, "unknown job"),
        ("get_video", {"job_id": {"$ne": None}}, "job_id"),
        ("get_video", {"job_id": "a", "contact_sheet": "perhaps"}, "contact_sheet"),
        ("cancel_video", {"job_id": "nothing"}, "unknown job"),
        ("steer_video", {"job_id": "nothing", "prompt": "a"}, "unknown job"),
        ("extend_video", {"prompt": "a"}, "job_id or file"),
        ("list_videos", {"before": "nothing"}, "nothing"),
        ("list_videos", {"limit": 1000}, "limit"),
    ],
)
async def test_what_is_wrong_comes_back_as_an_error_that_a_model_can_read(
    modern: Client, videos: VideoClient, tool: str, arguments: dict[str, Any], said: str
) -> None:
    result = await modern.call_tool(tool, arguments)

    (part,) = result.content
    answer = json.loads(part.text)  # type: ignore[union-attr]
    assert result.is_error
    assert said in f"{answer['error']['message']} {answer['error'].get('hint')}"
    assert len(part.text) <= 4000  # type: ignore[union-attr]
    assert await videos.list() == []


async def test_a_tool_that_is_not_there_is_an_error_of_the_protocol(client: Client) -> None:
    with pytest.raises(MCPError, match=r"unknown tool 'look_at_video'"):
        await client.call_tool("look_at_video", {})


async def test_a_list_of_64_jobs_fits_and_leaves_none_out(
    modern: Client, videos: VideoClient
) -> None:
    job = await videos.generate(open_request("a dog " * 50))
    for number in range(63):
        named = job.model_copy(update={"id": f"20260101-000000-{number:08x}"})
        videos.store.jobs.create(named)

    seen, before = [], None
    while True:
        arguments = {"limit": 50} | ({} if before is None else {"before": before})
        result = await modern.call_tool("list_videos", arguments)
        page = json.loads(result.content[0].text)  # type: ignore[union-attr]
        assert len(result.content[0].text) <= 4000  # type: ignore[union-attr]
        seen += [each["job_id"] for each in page["jobs"]]
        if "next" not in page:
            break
        before = seen[-1]

    assert len(seen) == len(set(seen)) == 64


def open_request(prompt: str) -> Any:
    from media_agent.tools import CreateVideo

    return CreateVideo(**WISH | {"prompt": prompt}).to_request()
