"""Trouble of one's own after a service was asked: it is never taken for the service's refusal.

What may have been accepted and counts as refused is made, and paid, a second time.
"""

import asyncio
import contextlib

import pytest

from media_agent.backend.protocol import VideoBackend
from media_agent.backend.sending import as_refusal, follow_submission
from media_agent.errors import BackendResponseError, MediaAgentError, SubmitUncertainError
from media_agent.testing.conformance.base_contract import Contract, RequestFactory
from media_agent.testing.simulator.base import Simulator
from media_agent.testing.simulator.faults import Fault
from media_agent_schemas.request import VideoRequest

_PLAIN_NOS = tuple(
    Fault("submit", "status", status=each, times=None)
    for each in (302, 403, 405, 409, 413, 418, 422, 451)
)
_ODD_WAYS = (Fault("submit", "garbage"), Fault("submit", "status", status=500, accepts=True))
_NO_TO_A_QUESTION = tuple(Fault("status", "status", status=each, times=None) for each in (401, 429))


class DoubtContract(Contract):
    """What holds whether or not a backend says when it sends."""

    async def test_accepted_work_counts_as_sent(
        self, backend: VideoBackend, simulator: Simulator, request_factory: RequestFactory
    ) -> None:
        """Who promises to say when it sends sends nothing else that is accepted."""
        with follow_submission() as sent:
            await backend.submit(request_factory(), key="accepted")

        assert simulator.accepted == 1
        assert sent.may_be_accepted, "it promised to send within sending(), and did not"

    @pytest.mark.parametrize("faults", [(Fault("submit", "stall"),)], ids=["stall"])
    async def test_a_request_on_its_way_counts_as_sent(
        self, backend: VideoBackend, simulator: Simulator, request_factory: RequestFactory
    ) -> None:
        """Whatever breaks here while the reply is waited for, it may have been accepted."""
        with follow_submission() as sent:
            sending = asyncio.create_task(backend.submit(request_factory(), key="on-its-way"))
        async with asyncio.timeout(self.deadline):
            while simulator.accepted == 0:  # noqa: ASYNC110  # it is another thread
                await asyncio.sleep(0.005)
        was_sent = sent.may_be_accepted
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, MediaAgentError):
            await sending

        assert was_sent
        assert sent.may_be_accepted

    @pytest.mark.parametrize("faults", [(each,) for each in _ODD_WAYS], ids=["garbage", "500"])
    async def test_trouble_of_its_own_after_acceptance_is_no_refusal(
        self, backend: VideoBackend, simulator: Simulator, request_factory: RequestFactory
    ) -> None:
        """An answer that it cannot use is such trouble, whatever error it makes of it."""
        refusal = await _find_refusal(backend, request_factory(), key="own-trouble")

        assert simulator.accepted == 1
        assert refusal is None, f"treated as a refusal: {refusal!r}"

    @pytest.mark.parametrize("faults", [(each,) for each in _NO_TO_A_QUESTION], ids=["401", "429"])
    async def test_a_no_to_a_question_after_acceptance_is_no_refusal(
        self, backend: VideoBackend, simulator: Simulator, request_factory: RequestFactory
    ) -> None:
        """It answers that question only; the work itself continues."""
        refusal = await _find_refusal(backend, request_factory(), key="a-question")

        assert simulator.accepted == 1
        assert refusal is None, f"treated as a refusal: {refusal!r}"

    @pytest.mark.parametrize(
        "faults", [(each,) for each in _PLAIN_NOS], ids=[str(each.status) for each in _PLAIN_NOS]
    )
    async def test_a_definite_refusal_is_one(
        self, backend: VideoBackend, simulator: Simulator, request_factory: RequestFactory
    ) -> None:
        """The work is offered to the next backend, and the money is released."""
        with follow_submission() as sent, pytest.raises(MediaAgentError) as caught:
            await backend.submit(request_factory(), key="definite-no")

        doubts = SubmitUncertainError | BackendResponseError
        assert not isinstance(caught.value, doubts), caught.value
        assert as_refusal(caught.value, backend.name, sent) is not None, f"{caught.value!r}"
        assert simulator.accepted == 0


async def _find_refusal(
    backend: VideoBackend, request: VideoRequest, *, key: str
) -> MediaAgentError | None:
    """Submit; return the refusal that trouble with it would count as, None if it counts as none."""
    with follow_submission() as sent:
        try:
            await backend.submit(request, key=key)
        except Exception as error:  # noqa: BLE001  # of any class, that is the point
            return as_refusal(error, backend.name, sent)
    return None
