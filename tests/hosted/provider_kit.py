"""What the tests of hosted providers share: a provider brings its `SPEC`, simulator and replies."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from pydantic import JsonValue, SecretStr

from media_agent.backend.protocol import BackendSettings, BackendSpec
from media_agent.negotiation.negotiate import negotiate
from media_agent.testing import Simulator, events_of
from media_agent.testing.conformance import Faults, MakeBackend, ServiceConformance
from media_agent.testing.simulator.find import find_simulator
from media_agent_hosted.base.provider import HostedBackend
from media_agent_schemas.events import BackendEvent
from media_agent_schemas.request import VideoRequest


async def no_sleep(seconds: float) -> None:
    """Let others work, and the clock continue, without waiting."""
    await asyncio.sleep(0.001)


class Replies:
    """The documented replies of a provider, in `replies/` beside its tests."""

    def __init__(self, test_file: str) -> None:
        self._folder = Path(test_file).parent / "replies"

    def read(self, name: str) -> Any:
        """Return a reply: its status, and its body if it has one."""
        return json.loads((self._folder / f"{name}.json").read_text("utf-8"))

    def has_shape(self, response: httpx.Response, name: str) -> bool:
        """Return whether a response has the documented status, names and types."""
        documented = self.read(name)
        body = response.json() if response.content else None
        expected = documented["status"], shape_of(documented.get("body"))
        return (response.status_code, shape_of(body)) == expected


class Talk:
    """A conversation of documented replies; the last of them is repeated without end."""

    def __init__(self, provider: "Provider", folder: Path, *replies: Any) -> None:
        self._provider = provider
        self._left = [
            provider.replies.read(each) if isinstance(each, str) else each for each in replies
        ]
        self.asked: list[httpx.Request] = []
        self.backend = provider.make(folder, transport=httpx.MockTransport(self._answer))

    async def end(self, model: str | None = None, **fields: Any) -> BackendEvent:
        """Submit a request, and return how it ends."""
        return (await self._provider.run(self.backend, model, **fields))[-1]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        said = self._left.pop(0) if len(self._left) > 1 else self._left[0]
        return httpx.Response(said["status"], json=said.get("body"), headers=said.get("headers"))


class Provider:
    """One provider in its tests: its backend, requests planned for it, and conversations."""

    def __init__(
        self,
        spec: BackendSpec,
        test_file: str,
        *,
        prompt: str = "a fox runs",
        options: Mapping[str, JsonValue] | None = None,
    ) -> None:
        self.spec = spec
        self.options = options or {}
        self.prompt = prompt
        self.replies = Replies(test_file)
        self.key = f"{spec.name}-key-0123456789"

    def make(self, folder: Path, base_url: str | None = None, **means: Any) -> HostedBackend:
        """Return its backend, which does not wait."""
        settings = BackendSettings(
            folder, base_url=base_url, key=SecretStr(self.key), options=self.options
        )
        kind = type(self.spec.factory(settings))
        return kind(settings, sleep=no_sleep, **means)  # type: ignore[call-arg]

    def plan(self, model: str | None = None, **fields: Any) -> VideoRequest:
        """Return a request as the backend gets it; None is the default model."""
        backend = self.make(Path())
        model = model or backend.capabilities().model
        named = {"prompt": self.prompt, "model": f"{self.spec.name}/{model}", **fields}
        request = VideoRequest.model_validate(named)
        return negotiate(request, backend.capabilities(model), draw_seed=lambda: 7).request

    async def run(
        self, backend: HostedBackend, model: str | None = None, **fields: Any
    ) -> list[BackendEvent]:
        """Submit a request, and return all events."""
        ref = await backend.submit(self.plan(model, **fields), key="job-1")
        return await events_of(backend, ref)

    def talk(self, folder: Path, *replies: Any) -> Talk:
        """Return a conversation of replies, each by its name or as a status and a body."""
        return Talk(self, folder, *replies)

    async def send(self, folder: Path, model: str | None = None, **fields: Any) -> tuple[str, Any]:
        """Submit a request, and return the address and the body that were sent."""
        talk = self.talk(folder, "submitted")
        await talk.backend.submit(self.plan(model, **fields), key="job-1")
        return str(talk.asked[0].url), json.loads(talk.asked[0].content)


class ProviderConformance(ServiceConformance):
    """The contract of a backend, against the simulator of a provider, for one of its models."""

    spec: ClassVar[BackendSpec]
    options: ClassVar[dict[str, JsonValue]] = {}
    simulated: ClassVar[dict[str, JsonValue]] = {}
    """What the simulator is told, as with `media-agent simulate --set`."""

    @pytest.fixture
    def secret(self) -> str:
        return f"{self.spec.name}-conformance-0123456789"

    @pytest.fixture
    def simulator(self, faults: Faults) -> Iterator[Simulator]:
        kind = find_simulator(self.spec.name, {self.spec.name: self.spec})
        with kind(faults, **self.simulated) as simulator:  # type: ignore[arg-type]  # its own
            yield simulator

    @pytest.fixture
    def make_backend(self, tmp_path: Path, simulator: Simulator, secret: str) -> MakeBackend:
        settings = BackendSettings(
            tmp_path, base_url=simulator.url, key=SecretStr(secret), options=self.options
        )
        kind = type(self.spec.factory(settings))
        return lambda: kind(settings, sleep=no_sleep)


def shape_of(value: Any) -> Any:
    """Return names and types, all the way down."""
    if isinstance(value, dict):
        return {name: shape_of(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape_of(each) for each in value[:1]]
    return type(value).__name__
