"""An agent pays for each character: definitions, answers and lists are bounded."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from media_agent.builtin.sandbox import media_agent_backends
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.routing.listing import Listed, Listing
from media_agent.tools import CreateVideo, ToolBox, tool_definitions
from media_agent.tools.answers.fitting import LARGEST_ANSWER
from media_agent.tools.answers.plan_views import view_models
from media_agent.tools.answers.views import view_job, view_jobs
from media_agent_schemas import Capabilities, Estimate, JobStatus
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.jobs import JobSummary

pytestmark = pytest.mark.anyio

WISH: dict[str, Any] = {"prompt": "a cat", "duration": 0.5, "size": "64x36", "seed": 0}
LONG = "ein sehr langer Satz \u4e2d " * 200


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[VideoClient]:
    specs = {spec.name: spec for spec in media_agent_backends()}
    settings = load_settings(data_dir=tmp_path / "data", default_backend="sandbox")
    async with VideoClient(settings=settings, registry=Registry(Discovery(specs))) as made:
        yield made


def size(answer: Any) -> int:
    return len(json.dumps(answer))


def summaries(count: int) -> list[JobSummary]:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        JobSummary(
            id=f"20260101-000000-{number:08x}",
            status=JobStatus.COMPLETED,
            created_at=now - timedelta(seconds=number),
            updated_at=now,
            backend="replicate",
            model="vendor/a-model-with-a-long-name/text-to-video",
            title=LONG,
            label=None,
            seconds=5,
            path="/data/video.mp4",
            segments=0,
            quote_usd=0.5,
            cost_usd=0.5,
            cost_source="billed",
        )
        for number in range(count)
    ]


def test_all_definitions_together_are_small() -> None:
    plain = tool_definitions("json-schema", routes=("draft", "final"))

    assert len(json.dumps(plain, separators=(",", ":"))) <= 7700


def test_a_list_of_64_jobs_comes_in_pages_that_leave_none_out() -> None:
    jobs, seen = summaries(64), []

    while len(seen) < len(jobs):
        page = view_jobs(jobs[len(seen) :], 50)
        assert size(page.model_dump(mode="json", exclude_none=True)) <= LARGEST_ANSWER
        seen += [each.job_id for each in page.jobs]
        is_last = len(seen) == len(jobs)
        assert page.next == (None if is_last else f"call list_videos with before {seen[-1]}")

    assert seen == [job.id for job in jobs]


async def test_a_job_with_much_to_say_says_the_most_that_fits(client: VideoClient) -> None:
    job = await client.generate(CreateVideo(**WISH).to_request())
    error = ErrorInfo(code="generation_failed", message=LONG, hint=LONG)
    loud = job.model_copy(update={"warnings": (LONG,) * 30, "error": error})

    view = view_job(loud)

    assert size(view.model_dump(mode="json", exclude_none=True)) <= LARGEST_ANSWER
    assert view.video == job.artifacts[0].path
    assert view.warnings[-1].startswith("and ")
    assert view.error is not None
    assert view.error.message


@pytest.mark.parametrize("count", [1, 300])
def test_models_and_their_problems_are_listed_as_far_as_they_fit(count: int) -> None:
    options = tuple(
        OptionSpec(name=f"option_{n}", type="string", description=LONG) for n in range(60)
    )
    words = tuple(f"word{n}" for n in range(390))
    known = Capabilities(
        backend="replicate", model="vendor/model", options=options, closed_vocabulary=words
    )
    listed = Listed(known, Estimate(cost_usd=1), 5)

    view = view_models(Listing((listed,) * count, problems=(LONG,) * 40), None)

    assert size(view.model_dump(mode="json", exclude_none=True)) <= LARGEST_ANSWER
    assert len(view.models) + view.left_out == count
    assert view.models
    assert (view.models[0].options is None) == (count > 1)


def test_models_that_can_be_used_are_listed_first() -> None:
    lacking = [
        Listed(Capabilities(backend="a", model=f"m{n}", missing="a key"), Estimate(), 5)
        for n in range(200)
    ]
    usable = Listed(Capabilities(backend="z", model="m"), Estimate(), 5)

    view = view_models(Listing((*lacking, usable)), None)

    assert [each.model for each in view.models[:2]] == ["z/m", "a/m0"]
    assert view.left_out > 0


async def test_an_error_that_quotes_an_endless_text_fits(client: VideoClient) -> None:
    box = ToolBox(client)

    for arguments in ({"prompt": "a", "size": "\u4e2d" * 9000}, {"\u4e2d" * 9000: 1}):
        answer = await box.call("create_video", arguments)
        assert size(answer) <= LARGEST_ANSWER
        assert "error" in answer
