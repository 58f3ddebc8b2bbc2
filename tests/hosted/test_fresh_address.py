"""A video whose address expired is fetched from the one that its provider says now."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from media_agent.client import VideoClient
from media_agent.config.settings import Settings
from media_agent.testing import Route, SimulatedJob
from media_agent.testing.simulator.server import Answer, Call
from media_agent_hosted.providers.runway.simulator import RunwaySimulator
from media_agent_schemas.request import VideoRequest
from tests.hosted.provider_kit import no_sleep

pytestmark = pytest.mark.anyio


class Expiring(RunwaySimulator):
    """Names an address that has expired, as often as it is told; then a good one."""

    expired = 1
    told = 0

    def routes(self) -> Sequence[Route]:
        gone = Route("GET", r"/old/.*", "old", self._gone, needs_key=False)
        return (*super().routes(), gone)

    def video_url(self, job: SimulatedJob) -> str:
        self.told += 1
        good = super().video_url(job)
        return good if self.told > self.expired else good.replace("/files/", "/old/")

    def _gone(self, call: Call) -> Answer:
        return Answer(410, self.error_body("expired"))


@pytest.mark.parametrize(("expired", "status"), [(1, "completed"), (99, "outcome_unknown")])
async def test_it_is_asked_again_once(expired: int, status: str, tmp_path: Path) -> None:
    with Expiring(queued_polls=0, running_polls=0) as simulator:
        simulator.expired = expired
        section = {"base_url": simulator.url, "key": "a-key-0123456789"}
        settings = Settings.model_validate({"data_dir": tmp_path, "backends": {"runway": section}})
        async with VideoClient(settings=settings, sleep=no_sleep) as client:
            job = await client.generate(
                VideoRequest(prompt="a fox", model="runway/gen4.5", duration=2),
                out=str(tmp_path / "fox.mp4"),
            )

    assert job.status == status
    assert simulator.accepted == 1
    assert (tmp_path / "fox.mp4").exists() == (status == "completed")
