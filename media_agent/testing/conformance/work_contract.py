"""Submitting and observing: one key, one piece of work, one end."""

import asyncio
import time
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from media_agent.backend.protocol import VideoBackend
from media_agent.errors import (
    IdempotencyConflictError,
    MediaAgentError,
    OperationNotFoundError,
)
from media_agent.testing.conformance.base_contract import Contract, MakeBackend, RequestFactory
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.events import JobCompleted, JobOutcomeUnknown, TerminalEvent
from media_agent_schemas.jobs import OperationRef

LARGEST_REF = 10_000  # characters of JSON


class WorkContract(Contract):
    """What holds for every piece of work."""

    async def test_submit_returns_at_once_with_a_reference_that_is_json(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """The reference is small, survives JSON, and names who works on it."""
        began = time.monotonic()
        ref = await backend.submit(request_factory(), key="at-once")
        seconds = time.monotonic() - began

        assert seconds < self.submit_seconds
        assert OperationRef.model_validate_json(ref.model_dump_json()) == ref
        assert ref.backend == backend.name
        assert len(ref.model_dump_json()) < LARGEST_REF

    async def test_the_same_key_and_request_are_the_same_work(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """Submitted again, running or finished, the work is not begun a second time."""
        request = request_factory()
        first = await backend.submit(request, key="same")
        second = await backend.submit(request, key="same")
        await self.end(backend, first)
        third = await backend.submit(request, key="same")

        assert first.operation_id == second.operation_id == third.operation_id

    async def test_two_submissions_at_once_under_one_key_are_the_same_work(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """Nobody gets in between."""
        request = request_factory()

        refs = await asyncio.gather(*[backend.submit(request, key="both") for _ in range(3)])

        assert len({ref.operation_id for ref in refs}) == 1

    async def test_a_key_that_belongs_to_another_request_is_refused(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """One key never stands for two videos."""
        await backend.submit(request_factory(), key="taken")

        with pytest.raises(IdempotencyConflictError):
            await backend.submit(request_factory(labels={"another": "request"}), key="taken")

    async def test_a_key_that_names_no_folder_is_refused_in_words_or_taken(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """It never leads outside the folder for work, and never breaks anything."""
        try:
            ref = await backend.submit(request_factory(), key="../elsewhere")
        except MediaAgentError:
            return

        assert isinstance(await self.end(backend, ref), JobCompleted)

    async def test_work_ends_with_exactly_one_terminal_event(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """It is the last event, and says that the video is finished."""
        ref = await backend.submit(request_factory(), key="one-end")

        events = await self.observe_all(backend, ref)

        ends = [event for event in events if isinstance(event, TerminalEvent)]
        assert len(ends) == 1
        assert events[-1] is ends[0]
        assert isinstance(ends[0], JobCompleted), ends[0]

    async def test_finished_work_can_be_observed_again(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """Whoever comes late sees the same end."""
        ref = await backend.submit(request_factory(), key="again")

        first, second = await self.end(backend, ref), await self.end(backend, ref)

        assert _stable_facts(first) == _stable_facts(second)

    async def test_two_can_observe_at_the_same_time(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """Neither takes events away from the other."""
        ref = await backend.submit(request_factory(), key="two")

        first, second = await asyncio.gather(self.end(backend, ref), self.end(backend, ref))

        assert _stable_facts(first) == _stable_facts(second)

    async def test_who_stops_observing_does_not_stop_the_work(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """Closing the stream of events leaves the work alone."""
        ref = await backend.submit(request_factory(), key="left")
        async with aclosing(backend.observe(ref)) as events:
            await anext(events)

        assert isinstance(await self.end(backend, ref), JobCompleted)

    async def test_work_that_never_was_is_not_found(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """A reference to nothing says so, as an error or as an unknown outcome."""
        known = await backend.submit(request_factory(), key="work-that-is-known")

        try:
            end = await self.end(backend, self.unknown_ref(known))
        except OperationNotFoundError:
            return

        assert isinstance(end, JobOutcomeUnknown), end
        assert end.error.code == OperationNotFoundError.code

    async def test_what_is_said_is_json(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """Each event can be kept and read again."""
        ref = await backend.submit(request_factory(), key="json")

        for event in await self.observe_all(backend, ref):
            assert type(event).model_validate_json(event.model_dump_json()) == event

    async def test_progress_never_goes_back(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """The fraction is of the whole work, and only grows."""
        ref = await backend.submit(request_factory(), key="progress")

        events = await self.observe_all(backend, ref)

        fractions = [getattr(event, "fraction", None) for event in events]
        known = [fraction for fraction in fractions if fraction is not None]
        assert known == sorted(known)

    async def test_find_tells_what_its_lookup_promises(
        self, backend: VideoBackend, capabilities: Capabilities, request_factory: RequestFactory
    ) -> None:
        """Work is found by its key, or in the list, where that is declared; it starts nothing."""
        request, since = request_factory(), datetime.now(UTC) - timedelta(minutes=1)
        ref = await backend.submit(request, key="to-find")

        found = await backend.find(request, key="to-find", since=since)

        if capabilities.lookup in ("key", "list"):
            assert found is not None, f"lookup is declared as {capabilities.lookup!r}"
        if found is not None:
            assert found.operation_id == ref.operation_id
            assert isinstance(await self.end(backend, found), JobCompleted)

    async def test_find_finds_nothing_where_nothing_was_submitted(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """A key that was never used stands for no work."""
        since = datetime.now(UTC) - timedelta(minutes=1)

        assert await backend.find(request_factory(), key="never-used", since=since) is None

    async def test_another_process_observes_paid_work_by_its_reference(
        self,
        backend: VideoBackend,
        capabilities: Capabilities,
        make_backend: MakeBackend,
        request_factory: RequestFactory,
    ) -> None:
        """The reference is enough; work that costs nothing is simply submitted again instead."""
        if capabilities.resubmits:
            pytest.skip("its work ends with its process and is submitted again")
        ref = await backend.submit(request_factory(), key="elsewhere")
        another = make_backend()

        end = await self.end(another, OperationRef.model_validate_json(ref.model_dump_json()))
        await another.aclose()

        assert isinstance(end, JobCompleted), end


def _stable_facts(end: TerminalEvent) -> tuple[object, ...]:
    """Return what stays the same when a terminal event is repeated."""
    return end.type, end.seed, end.frames, [artifact.kind for artifact in end.artifacts]
