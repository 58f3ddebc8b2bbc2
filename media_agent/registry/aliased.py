"""A backend under the name of its section in the settings: the same work, another name."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import TypeVar

from media_agent.backend.protocol import VideoBackend
from media_agent_schemas.capabilities import Capabilities, Estimate
from media_agent_schemas.events import BackendEvent, ChunkReady
from media_agent_schemas.jobs import ChangePrompt, Finish, OperationRef, ResumeToken
from media_agent_schemas.request import VideoRequest

Named = TypeVar("Named", OperationRef, ResumeToken)


class AliasedBackend:
    """Meets the `VideoBackend` protocol by asking another one; only names are changed."""

    def __init__(self, name: str, inner: VideoBackend, model: str | None = None) -> None:
        self._name = name
        self._inner = inner
        self._model = model

    @property
    def name(self) -> str:
        """Return the name of the section."""
        return self._name

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what a model can do; None is the model of the section, or the backend's own."""
        facts = self._inner.capabilities(model or self._model)
        models = facts.models
        if self._model is not None:  # the default comes first
            models = (self._model, *(each for each in models if each != self._model))
        kind = self._inner.name if self._inner.name != self._name else facts.kind
        return facts.model_copy(update={"backend": self._name, "models": models, "kind": kind})

    def estimate(self, request: VideoRequest) -> Estimate:
        """Say what the request would cost in money and time."""
        return self._inner.estimate(self._inward(request))

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        """Hand the request on."""
        token = None if resume is None else self._named(resume, self._inner.name)
        ref = await self._inner.submit(self._inward(request), key=key, resume=token)
        return self._named(ref, self._name)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Look for work whose reply was lost."""
        ref = await self._inner.find(self._inward(request), key=key, since=since)
        return None if ref is None else self._named(ref, self._name)

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        """Yield what happens; resume tokens carry the name of the section."""
        async with aclosing(self._inner.observe(self._named(ref, self._inner.name))) as events:
            async for event in events:
                if isinstance(event, ChunkReady) and event.resume is not None:
                    token = self._named(event.resume, self._name)
                    event = event.model_copy(update={"resume": token})
                yield event

    async def control(self, ref: OperationRef, command: ChangePrompt | Finish) -> None:
        """Hand the command on."""
        await self._inner.control(self._named(ref, self._inner.name), command)

    async def cancel(self, ref: OperationRef) -> None:
        """Ask to stop."""
        await self._inner.cancel(self._named(ref, self._inner.name))

    async def aclose(self) -> None:
        """Close the backend."""
        await self._inner.aclose()

    def _inward(self, request: VideoRequest) -> VideoRequest:
        """Return the request in the names of the backend."""
        _, model = request.backend_and_model()
        model = model or self._model
        name = self._inner.name
        options = request.options.get(self._name, {})
        return request.model_copy(
            update={
                "model": name if model is None else f"{name}/{model}",
                "options": {name: options} if options else {},
            }
        )

    def _named(self, value: Named, name: str) -> Named:
        return value.model_copy(update={"backend": name})
