"""A price above the limit is agreed to by a person, for that video, model and price alone."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from media_agent.builtin.sandbox import media_agent_backends
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import JobNotFoundError
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.tools import ToolBox
from media_agent.tools.consent import Quote
from media_agent.tools.parsing import parse_call

pytestmark = pytest.mark.anyio

WISH: dict[str, Any] = {"prompt": "a cat", "duration": 1, "size": "64x36", "seed": 0}
PRICED: dict[str, Any] = WISH | {"options": ["price_per_second=2"]}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[VideoClient]:
    specs = {spec.name: spec for spec in media_agent_backends()}
    settings = load_settings(data_dir=tmp_path / "data", default_backend="sandbox")
    async with VideoClient(settings=settings, registry=Registry(Discovery(specs))) as made:
        yield made


@pytest.fixture
def box(client: VideoClient) -> ToolBox:
    return ToolBox(client, ask_above_usd=1)


def spoil(path: Path) -> None:
    path.write_bytes(b"no video any more")


async def quote_of(box: ToolBox, tool: str, arguments: dict[str, Any]) -> Quote:
    quote = await box.answer(parse_call(tool, arguments))
    assert isinstance(quote, Quote), quote
    return quote


async def test_a_price_above_the_limit_is_refused_with_the_number_and_nothing_is_kept(
    box: ToolBox, client: VideoClient
) -> None:
    answer: Any = await box.call("create_video", PRICED)

    assert answer["error"]["code"] == "budget_exceeded"
    assert "about 2.00 USD" in answer["error"]["message"]
    assert "confirm_above_usd" in answer["error"]["hint"]
    assert await client.list() == []


async def test_what_a_person_agreed_to_is_made_once(box: ToolBox, client: VideoClient) -> None:
    quote = await quote_of(box, "create_video", PRICED)

    made: Any = await box.answer(parse_call("create_video", PRICED), agreed=quote)
    again: Any = await box.answer(parse_call("create_video", PRICED))

    assert (quote.cost_usd, quote.model) == (2, "sandbox/slate")
    assert made["job_id"] == again["job_id"]
    assert len(await client.list()) == 1


@pytest.mark.parametrize(
    "other",
    [{"options": ["price_per_second=3"]}, {"prompt": "a dog"}, {"duration": 2}, {"seed": 1}],
)
async def test_an_agreement_is_for_that_video_at_that_price_alone(
    box: ToolBox, client: VideoClient, other: dict[str, Any]
) -> None:
    agreed = await quote_of(box, "create_video", PRICED)

    answer = await box.answer(parse_call("create_video", PRICED | other), agreed=agreed)

    assert isinstance(answer, Quote)
    assert answer.token != agreed.token
    assert await client.list() == []


async def test_what_costs_less_than_the_limit_is_made_without_a_question(box: ToolBox) -> None:
    answer: Any = await box.call("create_video", WISH | {"options": ["price_per_second=1"]})

    assert "job_id" in answer


async def test_a_continuation_above_the_limit_is_asked_about_too(
    box: ToolBox, client: VideoClient
) -> None:
    cheap = WISH | {"options": ["price_per_second=1"], "wait_seconds": 30}
    first: Any = await box.call("create_video", cheap)
    extension = {"job_id": first["job_id"], "prompt": "a dog", "duration": 2}

    quote = await quote_of(box, "extend_video", extension)
    made: Any = await box.answer(parse_call("extend_video", extension), agreed=quote)

    assert quote.cost_usd is not None
    assert quote.cost_usd > 1
    assert "job_id" in made, made
    assert len(await client.list()) == 2


async def test_an_agent_elsewhere_names_no_file_of_this_machine(client: VideoClient) -> None:
    box = ToolBox(client, address=lambda job_id, kind: f"https://example.com/{job_id}/{kind}")

    frame: Any = await box.call("create_video", WISH | {"first_frame": "/etc/passwd"})
    plan: Any = await box.call("plan_video", WISH | {"first_frame": "file:///etc/passwd"})
    video: Any = await box.call("extend_video", {"file": "../a.mp4", "prompt": "a dog"})

    for answer in (frame, plan, video):
        assert answer["error"]["code"] == "invalid_request"
        assert "files of the server are not read" in answer["error"]["message"]
    assert await client.list() == []


async def test_an_agent_elsewhere_gets_addresses_and_no_path(client: VideoClient) -> None:
    box = ToolBox(client, address=lambda job_id, kind: f"https://example.com/{job_id}/{kind}")

    done: Any = await box.call("create_video", WISH | {"wait_seconds": 30})
    shown: Any = await box.call("get_video", {"job_id": done["job_id"], "contact_sheet": True})
    text, image = await box.content(shown, "anthropic")
    spoil((await box.file(done["job_id"], "video")).path)
    (await box.file(done["job_id"], "contact-sheet")).path.unlink()
    spoilt: Any = await box.call("get_video", {"job_id": done["job_id"]})

    assert done["video"] == f"https://example.com/{done['job_id']}/video"
    assert image["type"] == "image"
    assert spoilt["warnings"]
    for answer in (done, shown, text, spoilt):
        assert str(client.settings.data_dir) not in json.dumps(answer)


async def test_an_agent_of_a_server_has_its_own_jobs_and_no_others(client: VideoClient) -> None:
    box, other = (ToolBox(client, caller=n, owner=n, sees_all=False) for n in ("ann", "bob"))
    mine: Any = await box.call("create_video", WISH | {"wait_seconds": 30})
    theirs: Any = await other.call("create_video", WISH | {"wait_seconds": 30})
    job_id = theirs["job_id"]

    listed: Any = await box.call("list_videos", {})
    answers: list[Any] = [
        await box.call("get_video", {"job_id": job_id, "contact_sheet": True}),
        await box.call("wait_video", {"job_id": job_id}),
        await box.call("steer_video", {"job_id": job_id, "prompt": "a dog"}),
        await box.call("cancel_video", {"job_id": job_id}),
        await box.call("extend_video", {"job_id": job_id, "prompt": "a dog"}),
        await box.call("list_videos", {"before": job_id}),
    ]
    none: Any = await box.call("get_video", {"job_id": "20260101-000000-00000000"})
    file: Any = await box.call("extend_video", {"file": job_id, "prompt": "a dog"})

    assert mine["job_id"] != job_id
    assert [each["job_id"] for each in listed["jobs"]] == [mine["job_id"]]
    for answer in answers:
        assert answer["error"]["code"] == "job_not_found"
        assert answer["error"]["message"] == f"unknown job {job_id!r}"
        assert answer["error"]["hint"] == none["error"]["hint"]
    assert none["error"]["message"] == "unknown job '20260101-000000-00000000'"
    assert file["error"]["code"] == "invalid_request"
    with pytest.raises(JobNotFoundError):
        await box.file(job_id, "video")
    assert len(await client.list()) == 2


async def test_waiting_for_a_new_video_is_no_part_of_it(box: ToolBox) -> None:
    done: Any = await box.call("create_video", WISH | {"wait_seconds": 30})
    again: Any = await box.call("create_video", WISH)

    assert done["status"] == "completed"
    assert again["job_id"] == done["job_id"]
