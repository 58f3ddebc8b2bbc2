"""The conformance kit finds out a backend that takes its own trouble for the service's word."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from media_agent.backend.polled import PolledBackend, sending
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    BackendRefusedError,
    BackendResponseError,
    BackendUnavailableError,
    ConfigurationError,
    ContentRejectedError,
    InvalidRequestError,
    ModelRetiredError,
    SubmitUncertainError,
)
from media_agent.testing.conformance.doubt_contract import DoubtContract
from media_agent_schemas import BackendEvent, Capabilities, Estimate, OperationRef, VideoRequest

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Acme(PolledBackend):
    """Says when it sends, as a test wants it to, and meets what a test wants it to."""

    tells_when_sending = True

    def __init__(self, folder: Path) -> None:
        super().__init__(BackendSettings(data_dir=folder))
        self.service = SimpleNamespace(accepted=0)
        self.says_when = True
        self.answer: Exception | None = None
        self.after: Exception | None = None
        self.stalls = False

    @property
    def name(self) -> str:
        return "acme"

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(backend="acme", model="one")

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate()

    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        with sending() if self.says_when else nullcontext():
            if self.answer is not None:
                raise self.answer
            self.service.accepted += 1
            if self.stalls:
                await asyncio.Event().wait()
        if self.after is not None:
            raise self.after
        return OperationRef(backend="acme", model="one", operation_id=key)

    async def status(self, ref: OperationRef) -> BackendEvent:
        raise BackendUnavailableError("it is not asked")


@pytest.fixture
def acme(tmp_path: Path) -> Acme:
    return Acme(tmp_path)


async def passes(rule: Callable[..., Awaitable[None]], acme: Acme) -> bool:
    """Return whether a backend keeps a rule of the kit."""
    simulator: Any = acme.service
    try:
        await rule(DoubtContract(), acme, simulator, lambda: VideoRequest(prompt="a cat"))
    except (AssertionError, pytest.fail.Exception):
        return False
    return True


@pytest.mark.parametrize("says_when", [True, False])
async def test_who_sends_elsewhere_than_promised_is_found_out(acme: Acme, says_when: bool) -> None:
    acme.says_when = says_when

    assert await passes(DoubtContract.test_accepted_work_counts_as_sent, acme) is says_when


@pytest.mark.parametrize("says_when", [True, False])
async def test_who_says_it_only_when_the_reply_is_there_is_found_out(
    acme: Acme, says_when: bool
) -> None:
    acme.says_when, acme.stalls = says_when, True

    assert await passes(DoubtContract.test_a_request_on_its_way_counts_as_sent, acme) is says_when


@pytest.mark.parametrize(
    ("says_when", "trouble", "holds"),
    [
        (True, SubmitUncertainError("no JSON"), True),
        (True, KeyError("id"), True),
        (True, ConfigurationError("another host"), True),
        (False, ConfigurationError("another host"), False),
        (False, KeyError("id"), False),
        (False, BackendUnavailableError("the second question"), False),
    ],
)
async def test_who_takes_its_own_trouble_for_a_no_is_found_out(
    acme: Acme, says_when: bool, trouble: Exception, holds: bool
) -> None:
    acme.says_when, acme.after = says_when, trouble
    rule = DoubtContract.test_trouble_of_its_own_after_acceptance_is_no_refusal

    assert await passes(rule, acme) is holds


@pytest.mark.parametrize("says_when", [True, False])
@pytest.mark.parametrize(
    "trouble",
    [
        BackendRateLimitError("asked too often"),
        BackendAuthenticationError("the key may not poll"),
        BackendRefusedError("no such place"),
        ContentRejectedError("not this"),
        InvalidRequestError("422"),
        ModelRetiredError("gone"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_who_takes_the_answer_to_another_question_for_a_no_is_found_out(
    acme: Acme, says_when: bool, trouble: Exception
) -> None:
    acme.says_when, acme.after = says_when, trouble
    rule = DoubtContract.test_a_no_to_a_question_after_acceptance_is_no_refusal

    assert await passes(rule, acme) is says_when


@pytest.mark.parametrize(
    ("answer", "holds"),
    [
        (ConfigurationError("403"), True),
        (SubmitUncertainError("403: perhaps"), False),
        (BackendResponseError("403: what is this?"), False),
    ],
)
async def test_who_doubts_a_plain_no_is_found_out(
    acme: Acme, answer: Exception, holds: bool
) -> None:
    acme.answer = answer

    assert await passes(DoubtContract.test_a_definite_refusal_is_one, acme) is holds
