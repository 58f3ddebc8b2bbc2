"""What holds for remote services: nothing paid twice, and no job failed by a poll.

These tests need a simulator of the service. They set the faults; the class makes the simulator:

    @pytest.fixture
    def simulator(self, faults: Faults) -> Iterator[Simulator]:
        with AcmeSimulator(faults=faults) as simulator:
            yield simulator

and `make_backend` gives the backend `simulator.url`. The calls that the faults strike are named
"submit" and "status" in every simulator.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from media_agent.backend.protocol import VideoBackend
from media_agent.errors import (
    BackendResponseError,
    BackendUnavailableError,
    MediaAgentError,
    SubmitUncertainError,
)
from media_agent.testing.conformance.base_contract import Contract, MakeBackend, RequestFactory
from media_agent.testing.simulator.base import Simulator
from media_agent.testing.simulator.faults import Fault
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.events import JobCompleted, JobOutcomeUnknown, TerminalEvent
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.request import VideoRequest

Faults = Sequence[Fault]
"""What goes wrong, in the order in which it does."""

_LOST = (
    Fault("submit", "close_after_accept"),
    Fault("submit", "garbage"),
    Fault("submit", "status", status=500, accepts=True),
    Fault("submit", "truncate"),
)
_REFUSED = (
    Fault("submit", "status", status=401),
    Fault("submit", "status", status=422),
    Fault("submit", "status", status=429, retry_after="0"),
    Fault("submit", "close_before_accept"),
    Fault("submit", "html"),
)
_BAD_POLLS = (
    Fault("status", "status", status=500, times=3),
    Fault("status", "close_before_accept", times=3),
    Fault("status", "garbage", times=3),
    Fault("status", "html", times=3),
    Fault("status", "status", status=429, retry_after="0", times=3),
)
_OBSERVATIONS = 20  # how often a job is observed again before its polls count as never working
_SEED_ZERO = re.compile(rb'"seed"\s*:\s*"?0"?\s*[,}]|name="seed"\r\n(?:[^\r\n]+\r\n)*\r\n0\r\n')


def _parametrize(faults: Faults) -> pytest.MarkDecorator:
    """Run a test once under each of the faults."""
    return pytest.mark.parametrize(
        "faults", [(fault,) for fault in faults], ids=lambda faults: _describe(faults[0])
    )


def _describe(fault: Fault) -> str:
    return f"{fault.kind}_{fault.status}" if fault.kind == "status" else fault.kind


class WireContract(Contract):
    """What holds for a backend that asks a service."""

    @pytest.fixture
    def faults(self) -> Faults:
        """Return what goes wrong; most tests set their own."""
        return ()

    @pytest.fixture
    def simulator(self, faults: Faults) -> Simulator:
        """Return the running simulator of the service; every class gives its own."""
        pytest.fail(f"{type(self).__name__} has no fixture simulator")

    @pytest.fixture
    def base_url(self, simulator: Simulator) -> str | None:
        """Return where the simulator listens."""
        return simulator.url

    @_parametrize(_LOST)
    async def test_a_lost_reply_is_not_sent_twice(
        self, backend: VideoBackend, simulator: Simulator, request_factory: RequestFactory
    ) -> None:
        """Accepted once, whatever became of the reply; who cannot know says so."""
        try:
            ref = await backend.submit(request_factory(), key="lost")
        except SubmitUncertainError:
            pass
        else:
            assert isinstance(await self._end_in_spite_of_polls(backend, ref), JobCompleted)

        assert simulator.accepted == 1

    @_parametrize(_LOST)
    async def test_work_whose_reply_was_lost_is_found_as_declared(
        self,
        backend: VideoBackend,
        capabilities: Capabilities,
        simulator: Simulator,
        make_backend: MakeBackend,
        request_factory: RequestFactory,
    ) -> None:
        """Another process finds it by key or in the list, and sees it through."""
        if capabilities.lookup not in ("key", "list"):
            pytest.skip("the service cannot say what it accepted")
        request, since = request_factory(), datetime.now(UTC) - timedelta(minutes=1)
        with pytest.raises(SubmitUncertainError):
            await self._submit_if_lost(backend, request)
        another = make_backend()

        found = await another.find(request, key="lost", since=since)

        assert found is not None
        assert isinstance(await self.end(another, found), JobCompleted)
        assert simulator.accepted == 1
        await another.aclose()

    @_parametrize(_LOST)
    async def test_work_that_cannot_be_proved_to_be_ours_is_only_named(
        self,
        backend: VideoBackend,
        capabilities: Capabilities,
        simulator: Simulator,
        make_backend: MakeBackend,
        request_factory: RequestFactory,
    ) -> None:
        """A mere match proves nothing: the error names the work it may be, and a person decides."""
        if capabilities.lookup != "candidates":
            pytest.skip("it finds its work for certain, or not at all")
        request, since = request_factory(), datetime.now(UTC) - timedelta(minutes=1)
        with pytest.raises(SubmitUncertainError):
            await self._submit_if_lost(backend, request)
        another = make_backend()

        with pytest.raises(BackendResponseError) as caught:
            await another.find(request, key="lost", since=since)

        assert all(name in caught.value.message for name in simulator.jobs)
        assert simulator.accepted == 1
        await another.aclose()

    @_parametrize(_REFUSED)
    async def test_what_the_service_refuses_is_an_error_of_the_tree(
        self, backend: VideoBackend, simulator: Simulator, request_factory: RequestFactory
    ) -> None:
        """Nothing was accepted, or it was after a retry; never more than once."""
        accepted = 1
        try:
            await backend.submit(request_factory(), key="refused")
        except MediaAgentError:
            accepted = 0

        assert simulator.accepted == accepted

    @_parametrize(_BAD_POLLS)
    async def test_a_failed_poll_is_not_a_failed_job(
        self, backend: VideoBackend, simulator: Simulator, request_factory: RequestFactory
    ) -> None:
        """The work continues there; observed again, it is seen to its end."""
        ref = await backend.submit(request_factory(), key="bad-polls")

        end = await self._end_in_spite_of_polls(backend, ref)

        assert isinstance(end, JobCompleted), end
        assert simulator.accepted == 1

    @pytest.mark.parametrize("faults", [(Fault("*", "odd", times=None),)], ids=["odd"])
    async def test_what_nobody_needs_in_an_answer_keeps_no_video_back(
        self, backend: VideoBackend, simulator: Simulator, request_factory: RequestFactory
    ) -> None:
        """Name, state and address of the work count; all else is left out where it is senseless."""
        ref = await backend.submit(request_factory(), key="odd")

        assert isinstance(await self.end(backend, ref), JobCompleted)
        assert simulator.accepted == 1

    @pytest.mark.parametrize(
        "trouble",
        [Fault("video", "status", status=404, times=3), Fault("video", "mislabel", times=None)],
        ids=["late", "mislabelled"],
    )
    async def test_a_video_that_comes_late_or_under_another_label_is_had(
        self,
        backend: VideoBackend,
        simulator: Simulator,
        request_factory: RequestFactory,
        trouble: Fault,
    ) -> None:
        """The service called it complete: who fetches it asks again, and looks at the bytes."""
        _spoil_video(simulator, trouble)
        ref = await backend.submit(request_factory(), key="late")

        assert isinstance(await self.end(backend, ref), JobCompleted)

    async def test_a_video_that_never_comes_is_no_failed_work(
        self, backend: VideoBackend, simulator: Simulator, request_factory: RequestFactory
    ) -> None:
        """It ends with an unknown outcome, and a later look finds it."""
        _spoil_video(simulator, Fault("video", "status", status=404, times=None))
        ref = await backend.submit(request_factory(), key="never")
        first = await self.end(backend, ref)
        simulator.clear_faults()

        assert isinstance(first, JobOutcomeUnknown | JobCompleted), first
        assert isinstance(await self.end(backend, ref), JobCompleted)

    async def test_seed_zero_is_sent(
        self,
        backend: VideoBackend,
        capabilities: Capabilities,
        simulator: Simulator,
        request_factory: RequestFactory,
    ) -> None:
        """It stands in the body of the submission."""
        if capabilities.seed is False:
            pytest.skip("it supports no seed")
        await backend.submit(request_factory(seed=0), key="seed-zero")

        assert _SEED_ZERO.search(simulator.calls("submit")[-1].body)

    async def test_one_key_is_submitted_once(
        self, backend: VideoBackend, simulator: Simulator, request_factory: RequestFactory
    ) -> None:
        """Also when three ask at the same time."""
        request = request_factory()

        await asyncio.gather(*[backend.submit(request, key="once") for _ in range(3)])

        assert simulator.accepted == 1

    async def _submit_if_lost(self, backend: VideoBackend, request: VideoRequest) -> None:
        """Submit; where the service knows our key again, the reply cannot be lost for good."""
        await backend.submit(request, key="lost")
        pytest.skip("the service knows the key again, so that the submission was safely repeated")

    async def _end_in_spite_of_polls(
        self, backend: VideoBackend, ref: OperationRef
    ) -> TerminalEvent:
        for _ in range(_OBSERVATIONS):
            try:
                return await self.end(backend, ref)
            except BackendUnavailableError:
                continue
        pytest.fail(f"{_OBSERVATIONS} observations did not see the end")


def _spoil_video(simulator: Simulator, trouble: Fault) -> None:
    """Let this happen to the call that gives the video, whatever it is called there."""
    if simulator.video_call is None:
        pytest.skip("the simulator gives no videos")
    simulator.inject(replace(trouble, call=simulator.video_call))
