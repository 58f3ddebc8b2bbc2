"""The conformance kit finds the backend that breaks a rule: for each rule one that does."""

import asyncio
from pathlib import Path

import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import BackendResponseError, GenerationFailedError, MediaAgentError, to_info
from media_agent.testing.conformance import ServiceConformance
from media_agent.testing.simulator.faults import Fault
from media_agent_hosted.providers.openai_compatible.backend import OpenAICompatibleBackend
from media_agent_hosted.providers.openai_compatible.simulator import OpenAISimulator
from media_agent_schemas.events import JobFailed, JobOutcomeUnknown
from media_agent_schemas.media import Size
from media_agent_schemas.request import VideoRequest

pytestmark = pytest.mark.anyio

LATE = Fault("video", "status", status=404, times=3)
MISLABELLED = Fault("video", "mislabel", times=None)
FAILED = JobFailed(error=to_info(GenerationFailedError("there is no video")))


class Strict(OpenAICompatibleBackend):
    """Cannot use an answer whose progress is no number."""

    def parse(self, body):
        if not isinstance(body.get("progress"), int):
            raise BackendResponseError("the progress is no number")
        return super().parse(body)


class Impatient(OpenAICompatibleBackend):
    """Calls work failed whose video is not there at once."""

    async def status(self, ref):
        event = await super().status(ref)
        return FAILED if getattr(event, "phase", "") == "collect" else event


class GivesUp(OpenAICompatibleBackend):
    """Waits for a video, and then calls the work failed."""

    async def status(self, ref):
        event = await super().status(ref)
        return FAILED if isinstance(event, JobOutcomeUnknown) else event


class BelievesLabels(OpenAICompatibleBackend):
    """Takes no video that is called a web page."""

    async def finish(self, ref, answer, *, is_over):
        reply = await self._api.send("GET", self.content(ref))
        if reply.media_type == "text/html":
            return FAILED
        return await super().finish(ref, answer, is_over=is_over)


class Kit(ServiceConformance):
    __test__ = False


def request() -> VideoRequest:
    return VideoRequest(prompt="a fox", num_frames=9, fps=8, size=Size(width=64, height=48), seed=0)


async def no_sleep(seconds: float) -> None:
    await asyncio.sleep(0)


async def kept(
    backend: type[OpenAICompatibleBackend],
    folder: Path,
    rule: str,
    trouble: Fault | None = None,
    faults: tuple[Fault, ...] = (),
) -> bool:
    """Return whether the kit finds that a backend keeps a rule."""
    with OpenAISimulator(faults) as simulator:
        settings = BackendSettings(data_dir=folder, base_url=simulator.url)
        made = backend(settings, sleep=no_sleep)
        more = () if trouble is None else (trouble,)
        try:
            await getattr(Kit(), rule)(made, simulator, request, *more)
        except (AssertionError, MediaAgentError):
            return False
        finally:
            await made.aclose()
    return True


async def test_one_that_needs_what_nobody_needs_is_found(tmp_path):
    rule, odd = "test_what_nobody_needs_in_an_answer_keeps_no_video_back", Fault("*", "odd", None)

    assert not await kept(Strict, tmp_path, rule, faults=(odd,))
    assert await kept(OpenAICompatibleBackend, tmp_path, rule, faults=(odd,))


@pytest.mark.parametrize(
    ("broken", "trouble"), [(Impatient, LATE), (BelievesLabels, MISLABELLED)], ids=str
)
async def test_one_that_fetches_too_hastily_is_found(broken, trouble, tmp_path):
    rule = "test_a_video_that_comes_late_or_under_another_label_is_had"

    assert not await kept(broken, tmp_path, rule, trouble)
    assert await kept(OpenAICompatibleBackend, tmp_path, rule, trouble)


@pytest.mark.parametrize("broken", [Impatient, GivesUp])
async def test_one_that_calls_work_failed_whose_video_never_comes_is_found(broken, tmp_path):
    rule = "test_a_video_that_never_comes_is_no_failed_work"

    assert not await kept(broken, tmp_path, rule)
    assert await kept(OpenAICompatibleBackend, tmp_path, rule)
