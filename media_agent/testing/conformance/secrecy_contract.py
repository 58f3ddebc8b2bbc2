"""What holds for the key of a remote service: it is sent there, and told to nobody.

The class of a service that wants a key has a fixture `secret`, and `make_backend` gives the backend
that key.
"""

import logging
from pathlib import Path

import pytest

from media_agent.backend.protocol import VideoBackend
from media_agent.errors import BackendAuthenticationError, BackendError, MediaAgentError
from media_agent.testing.conformance.base_contract import Contract, RequestFactory
from media_agent.testing.simulator.base import Simulator
from media_agent.testing.simulator.faults import Fault


class SecrecyContract(Contract):
    """What holds for a backend that was given a key."""

    @pytest.fixture
    def secret(self) -> str | None:
        """Return the key that the backend was given; None: it takes none."""
        return None

    @pytest.mark.parametrize(
        "faults",
        [
            (Fault("submit", "echo", status=400),),
            (Fault("submit", "echo", status=401),),
            (Fault("status", "echo", status=503, times=9),),
        ],
        ids=["refused", "wrong_key", "poll"],
    )
    async def test_a_key_that_is_echoed_is_told_to_nobody(
        self,
        backend: VideoBackend,
        simulator: Simulator,
        request_factory: RequestFactory,
        secret: str | None,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """In whatever spelling it comes back, in a body or a header."""
        if secret is None:
            pytest.skip("it needs no key")
        caplog.set_level(logging.DEBUG)
        said = ""
        try:
            ref = await backend.submit(request_factory(), key="echoed")
            said = "".join(
                [event.model_dump_json() for event in await self.observe_all(backend, ref)]
            )
        except MediaAgentError as error:
            said += _collect_text(error)

        assert any(secret in "".join(call.headers.values()) for call in simulator.requests)
        assert secret not in said + caplog.text

    @pytest.mark.parametrize("faults", [(Fault("submit", "status", status=401, times=None),)])
    async def test_a_wrong_key_is_said_to_be_one(
        self,
        backend: VideoBackend,
        simulator: Simulator,
        request_factory: RequestFactory,
        secret: str | None,
    ) -> None:
        """The error names the trouble and not the key."""
        with pytest.raises(BackendAuthenticationError) as caught:
            await backend.submit(request_factory(), key="wrong-key")

        assert secret is None or secret not in f"{caught.value} {caught.value.hint}"
        assert simulator.accepted == 0

    @pytest.mark.parametrize(
        "faults",
        [(), (Fault("status", "status", status=500, times=2),), (Fault("submit", "garbage"),)],
        ids=["no_fault", "bad_polls", "lost_reply"],
    )
    async def test_no_secret_is_told(
        self,
        backend: VideoBackend,
        simulator: Simulator,
        request_factory: RequestFactory,
        secret: str | None,
        caplog: pytest.LogCaptureFixture,
        tmp_path: Path,
    ) -> None:
        """Neither in references, events, errors and logs, nor in any file."""
        if secret is None:
            pytest.skip("it needs no key")
        caplog.set_level(logging.DEBUG)
        said = [repr(backend), str(getattr(backend, "__dict__", ""))]
        try:
            ref = await backend.submit(request_factory(), key="discreet")
            said.append(ref.model_dump_json())
            said += [event.model_dump_json() for event in await self.observe_all(backend, ref)]
        except BackendError as error:
            said += [_collect_text(error)]

        assert any(secret in "".join(call.headers.values()) for call in simulator.requests), (
            "the key was never sent, so this proves nothing"
        )
        assert [text for text in (*said, caplog.text) if secret in text] == []
        assert [
            path for path in _list_files(tmp_path) if secret.encode() in path.read_bytes()
        ] == []


def _collect_text(error: BaseException | None) -> str:
    """Return the words of an error, its hint, and of all it came from."""
    said = []
    while error is not None:
        said.append(f"{error!r} {error} {getattr(error, 'hint', '')}")
        error = error.__cause__ or error.__context__
    return "\n".join(said)


def _list_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
