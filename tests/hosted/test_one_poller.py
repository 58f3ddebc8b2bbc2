"""Every service over HTTP gives an odd poll the same meaning."""

import httpx
import pytest

from media_agent.testing import events_of
from tests.hosted.test_odd_replies import KINDS, Service

pytestmark = pytest.mark.anyio

BUSY = {"status": "stopped", "error": {"message": "too many requests"}}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_poll_without_a_body_means_that_work_continues(kind, tmp_path):
    done = Service(kind, tmp_path).polls[0]
    service = Service(kind, tmp_path, polls=[httpx.Response(202), done])

    events = await events_of(service.backend, await service.submitted())

    assert events[0].type == "job.started"
    assert (events[1].type, events[1].phase) == ("job.progressed", "working")
    assert events[-1].type == "job.completed"


@pytest.mark.parametrize("kind", KINDS)
async def test_passing_trouble_beside_a_word_for_an_early_end_ends_nothing_at_once(kind, tmp_path):
    done = Service(kind, tmp_path).polls[0]

    end = await Service(kind, tmp_path, polls=[BUSY, BUSY, done]).end()

    assert end.type == "job.completed"


@pytest.mark.parametrize("kind", KINDS)
async def test_work_that_somebody_stopped_is_cancelled(kind, tmp_path):
    end = await Service(kind, tmp_path, polls={"id": "v1", "status": "cancelled"}).end()

    assert end.type == "job.cancelled"
