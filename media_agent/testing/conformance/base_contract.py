"""What the tests of the conformance kit stand on: fixtures, and ways to watch a backend work."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, ClassVar

import pytest

from media_agent.backend.protocol import VideoBackend
from media_agent.negotiation.negotiate import negotiate
from media_agent.negotiation.possible_lengths import find_longest_shot
from media_agent.negotiation.smallest import smallest_request
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.events import BackendEvent, ChunkReady, JobCompleted, TerminalEvent
from media_agent_schemas.jobs import Command, OperationRef
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    pass

MakeBackend = Callable[[], VideoBackend]
"""Makes a backend; called again, it makes another over the same data, as a new process would."""

RequestFactory = Callable[..., VideoRequest]
"""Fields -> a negotiated request: the smallest one of the backend with these fields changed."""

_LENGTH = frozenset({"duration", "num_frames", "endless", "shots"})
_GEOMETRY = frozenset({"size", "resolution", "aspect_ratio"})


@pytest.mark.anyio
class Contract:
    """The base of every group of tests."""

    model: ClassVar[str | None] = None
    """The model that is tested; None is the default model."""
    deadline: ClassVar[float] = 60.0
    """Seconds that one piece of work may take."""
    submit_seconds: ClassVar[float] = 5.0
    """Seconds that `submit` may take."""
    sends_everything: ClassVar[bool] = False
    """Whether the backend hands the whole request on as JSON, so that each field counts as used."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Run on asyncio, as the core does."""
        return "asyncio"

    @pytest.fixture
    def make_backend(self) -> MakeBackend:
        """Return a function that makes the backend; every conformance class gives its own."""
        pytest.fail(f"{type(self).__name__} has no fixture make_backend")

    @pytest.fixture
    def base_url(self) -> str | None:
        """Return where the service of the backend is; None: at its usual address, or none."""
        return None

    @pytest.fixture
    async def backend(
        self, anyio_backend: str, make_backend: MakeBackend
    ) -> AsyncIterator[VideoBackend]:
        """Return a backend that is closed after the test."""
        backend = make_backend()
        yield backend
        await asyncio.wait_for(backend.aclose(), self.deadline)

    @pytest.fixture
    def capabilities(self, backend: VideoBackend) -> Capabilities:
        """Return what the tested model can do."""
        return backend.capabilities(self.model)

    @pytest.fixture
    def request_factory(self, backend: VideoBackend) -> RequestFactory:
        """Return a function from fields to a request as a backend gets it: negotiated."""

        def make(**fields: object) -> VideoRequest:
            asked = dict(self.asked(backend))
            for group in (_LENGTH, _GEOMETRY):
                if fields.keys() & group:
                    asked = {name: value for name, value in asked.items() if name not in group}
            if "shots" in fields:
                asked["prompt"] = None
            return negotiate(
                VideoRequest.model_validate(asked | fields),
                backend.capabilities(self.model),
                draw_seed=lambda: 0,
                estimate=backend.estimate,
            ).request

        return make

    def asked(self, backend: VideoBackend) -> VideoRequest:
        """Return the request to begin from, before it is negotiated; small and fast."""
        return smallest_request(backend.capabilities(self.model))

    def is_local(self, backend: VideoBackend) -> bool:
        """Return whether the video is computed here, so that its frames can be compared."""
        return backend.capabilities(self.model).resubmits

    def long_video(self, backend: VideoBackend) -> dict[str, object]:
        """Return the fields of a video of some chunks, where that can be had."""
        capabilities = backend.capabilities(self.model)
        if capabilities.streams is not True or find_longest_shot(capabilities) is not None:
            return {}
        return {"duration": 3 * (capabilities.chunk_seconds or 1.0)}

    def unknown_ref(self, known: OperationRef) -> OperationRef:
        """Return a reference to work that never was: a known one with another id throughout."""
        text = known.model_dump_json().replace(known.operation_id, "no-such-work")
        return OperationRef.model_validate_json(text)

    async def observe_all(
        self, backend: VideoBackend, ref: OperationRef, *, at_first_chunk: Sequence[Command] = ()
    ) -> list[BackendEvent]:
        """Return all events of a piece of work; sends commands when its first chunk is ready."""
        seen: list[BackendEvent] = []
        async with asyncio.timeout(self.deadline), aclosing(backend.observe(ref)) as events:
            async for event in events:
                seen.append(event)
                if isinstance(event, ChunkReady):
                    for number, command in enumerate(at_first_chunk, 1):
                        await backend.control(ref, command, number=number)
                    at_first_chunk = ()
        return seen

    async def end(self, backend: VideoBackend, ref: OperationRef) -> TerminalEvent:
        """Return how a piece of work ended."""
        events = await self.observe_all(backend, ref)
        assert events, "it ended without an event"
        last = events[-1]
        assert isinstance(last, TerminalEvent), f"it ended with {last.type}"
        return last

    async def complete(
        self, backend: VideoBackend, request: VideoRequest, key: str
    ) -> JobCompleted:
        """Return the end of work that has to complete."""
        end = await self.end(backend, await backend.submit(request, key=key))
        assert isinstance(end, JobCompleted), end
        return end
