"""A continuation that is asked for again with its key: the job that there is, not another plan."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import BudgetExceededError, IdempotencyConflictError, InvalidRequestError
from media_agent.tools.toolbox import ToolBox
from media_agent_schemas import JobStatus, Shot, Size, VideoRequest

pytestmark = pytest.mark.anyio

SLATE = VideoRequest(prompt="a cat", duration=4, fps=10, size=Size(width=64, height=64))
KEY = {"idempotency_key": "k", "prompt": "a dog", "duration": 1.33}


@pytest.fixture
async def client(tmp_path: Path, anyio_backend: str) -> AsyncIterator[VideoClient]:
    (tmp_path / "none.toml").touch()
    settings = load_settings(config=tmp_path / "none.toml", data_dir=tmp_path / "data")
    async with VideoClient(settings=settings) as client:
        yield client


async def make(client: VideoClient) -> str:
    return (await client.generate(SLATE.model_copy(update={"model": "sandbox"}))).id


async def wait_for_chunks(client: VideoClient, job_id: str, chunks: int) -> None:
    async with asyncio.timeout(60):
        while (await client.get(job_id)).chunks_ready < chunks:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("keep", [{}, {"idempotency_key": "mine"}])
async def test_an_agent_extends_a_running_video_once_however_far_it_has_come(
    client: VideoClient, keep: dict[str, str]
) -> None:
    slow = SLATE.model_copy(
        update={"model": "sandbox", "options": {"sandbox": {"latency_seconds": 4}}}
    )
    parent, box = await client.start(slow), ToolBox(client)
    wanted = {"job_id": parent.id, "prompt": "a dog", "duration": 1, **keep}
    await wait_for_chunks(client, parent.id, 1)
    once: Any = await box.call("extend_video", wanted)
    await wait_for_chunks(client, parent.id, 2)

    again: Any = await box.call("extend_video", wanted)

    assert again.get("job_id") == once["job_id"], again


async def test_a_repetition_is_the_same_job_when_its_video_was_removed(client: VideoClient) -> None:
    parent = await make(client)
    wanted = {"job_id": parent, "prompt": "a dog", "duration": 1}
    box = ToolBox(client)
    tool: Any = await box.call("extend_video", wanted)
    await box.call("wait_video", {"job_id": tool["job_id"]})
    job = await client.branch(parent, at=2, **KEY)
    await client.remove(parent)

    again: Any = await box.call("extend_video", wanted)

    assert again["job_id"] == tool["job_id"]
    assert (await client.branch(parent, at=2, **KEY)).id == job.id
    assert (await client.extend(parent, **KEY)).id == job.id
    assert len(await client.list()) == 2


async def test_a_file_that_is_gone_meanwhile_is_no_other_request(
    client: VideoClient, tmp_path: Path
) -> None:
    (request, plans), place = await plan_file(client, tmp_path), tmp_path / "mine.mp4"
    job = await client.generate(request, plans=plans, idempotency_key="k")
    place.unlink()

    again, _ = await client.plan_extension(place, prompt="a dog", idempotency_key="k")

    assert again == job.request
    with pytest.raises(IdempotencyConflictError):
        await client.plan_extension(place, prompt="a horse", idempotency_key="k")
    with pytest.raises(IdempotencyConflictError):
        await client.plan_extension(tmp_path / "b.mp4", prompt="a dog", idempotency_key="k")


async def plan_file(client: VideoClient, folder: Path) -> Any:
    """Return what continues a file, followed by a backend that cannot read it."""
    await client.generate(SLATE.model_copy(update={"model": "sandbox"}), out=folder / "mine.mp4")
    plan = await client.plan(SLATE.model_copy(update={"model": "sandbox"}))
    request = VideoRequest.model_validate(
        {
            "prompt": "a dog",
            "inputs": [{"role": "source_video", "path": str(folder / "mine.mp4")}],
            "join_source": True,
        }
    )
    return request, [plan]


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "a horse"},
        {"duration": 2},
        {"at": 1},
        {"prompt": None, "duration": None, "shots": ("two", "shots")},
    ],
)
async def test_the_key_of_another_branch_is_refused(
    client: VideoClient, other: dict[str, Any]
) -> None:
    parent = await make(client)
    job = await client.branch(parent, at=2, **KEY)
    if "shots" in other:
        other = {**other, "shots": tuple(Shot(prompt=text) for text in other["shots"])}

    with pytest.raises(IdempotencyConflictError, match=job.id):
        await client.branch(parent, **{"at": 2, **KEY, **other})


async def test_the_key_of_a_branch_of_another_video_is_refused(client: VideoClient) -> None:
    parent, other = await make(client), await make(client)
    await client.branch(parent, at=2, **KEY)
    await client.generate(SLATE.model_copy(update={"model": "sandbox"}), idempotency_key="new")

    with pytest.raises(IdempotencyConflictError):
        await client.branch(other, at=2, **KEY)
    with pytest.raises(IdempotencyConflictError):
        await client.branch(parent, at=2, **{**KEY, "idempotency_key": "new"})


@pytest.mark.parametrize("place", ["boat.mp4", "https://example.org/boat.mp4"])
async def test_the_key_of_a_branch_is_refused_for_a_file(client: VideoClient, place: str) -> None:
    job = await client.branch(await make(client), at=2, **KEY)

    with pytest.raises(IdempotencyConflictError, match=job.id):
        await client.extend(place, **KEY)


async def test_a_continuation_has_the_label_and_the_limit_that_it_is_given(
    client: VideoClient,
) -> None:
    paid = {"model": "sandbox", "options": {"sandbox": {"price_per_second": 1}}}
    parent = (await client.generate(SLATE.model_copy(update=paid))).id

    job = await client.extend(parent, prompt="a dog", duration=1, label="mine", max_cost_usd=5)

    assert (job.status, job.label) == (JobStatus.COMPLETED, "mine")
    with pytest.raises(BudgetExceededError):
        await client.extend(parent, prompt="a dog", duration=1, max_cost_usd=4)
    with pytest.raises(BudgetExceededError):
        await client.branch(parent, at=1, prompt="a dog", duration=1, max_cost_usd=1)
    with pytest.raises(InvalidRequestError, match="max_cost_usd"):
        await client.branch(parent, prompt="a dog", max_cost_usd=-1)
