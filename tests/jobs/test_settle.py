"""What the end of work says of money, by its backend's word and by what is declared of it."""

import asyncio

import pytest

from media_agent.backend.gpu_hours import by_the_hour
from media_agent.errors import GenerationFailedError
from media_agent.jobs.settle import UNSENT, Work, settled
from media_agent.jobs.stopping import within
from media_agent_schemas import (
    Capabilities,
    Cost,
    ErrorInfo,
    Estimate,
    JobCancelled,
    JobCompleted,
    JobFailed,
    Plan,
    Policy,
    Timing,
    VideoRequest,
)
from media_agent_schemas.capabilities import CancelRule
from media_agent_schemas.jobs import Cancellation

ERROR = ErrorInfo(code="generation_failed", message="no")


def work(
    rule: CancelRule = CancelRule.UNKNOWN,
    *,
    estimate: Estimate | None = None,
    has_begun: bool = True,
    was_sent: bool = True,
    **facts: object,
) -> Work:
    capabilities = Capabilities.model_validate(
        {"backend": "acme", "model": "one", "cancel_rule": rule, **facts}
    )
    priced = Estimate(cost_usd=0.5) if estimate is None else estimate
    plan = Plan(
        backend="acme",
        model="one",
        policy=Policy.ADJUST,
        request=VideoRequest(prompt="a fox"),
        estimate=priced,
    )
    return Work(plan, capabilities, has_begun, was_sent)


@pytest.mark.parametrize(
    ("rule", "has_begun", "stopped", "may_bill", "said"),
    [
        (CancelRule.QUEUED_ONLY, False, True, 0.0, "before it began: nothing is billed"),
        (CancelRule.QUEUED_ONLY, True, True, 0.5, "up to 0.50 USD may still be billed"),
        (CancelRule.NOT_REFUNDED, True, True, 0.5, "acme stopped it: up to 0.50 USD"),
        (CancelRule.NOT_REFUNDED, False, True, 0.5, "up to 0.50 USD may still be billed"),
        (CancelRule.STOPS, False, True, 0.0, "nothing is billed"),
        (CancelRule.STOPS, True, True, 0.5, "acme stopped it: up to 0.50 USD"),
        (CancelRule.FORGETS, True, True, 0.5, "acme forgot it, and its work continues there"),
        (CancelRule.NONE, True, False, 0.5, "cannot stop it"),
        (CancelRule.UNKNOWN, False, "unknown", 0.5, "not confirmed"),
    ],
)
def test_a_cancel_says_what_stopped_and_what_may_still_be_billed(
    rule: CancelRule, has_begun: bool, stopped: bool | str, may_bill: float, said: str
) -> None:
    words = {False: "acme cannot stop it", "unknown": "it is not confirmed"}.get(stopped, "")  # type: ignore[call-overload]
    end = JobCancelled(cancellation=Cancellation(stopped=stopped, said=words))

    told = settled(end, work(rule, has_begun=has_begun))

    assert isinstance(told, JobCancelled)
    expected = False if rule is CancelRule.FORGETS else stopped
    assert (told.cancellation.stopped, told.cancellation.may_bill_usd) == (expected, may_bill)
    assert said in told.cancellation.said
    assert (told.cancellation.said in told.warnings) is (may_bill > 0)
    assert (told.cost is not None) is (may_bill == 0)


def test_the_word_of_the_backend_goes_before_its_rule() -> None:
    end = JobCancelled(cost=Cost(usd=0.3, source="acme"))

    told = settled(end, work(CancelRule.QUEUED_ONLY, has_begun=False))

    assert isinstance(told, JobCancelled)
    assert told.cancellation.may_bill_usd == 0
    assert "0.30 USD are billed" in told.cancellation.said


def test_what_was_never_sent_and_what_is_free_bill_nothing() -> None:
    unsent = settled(JobCancelled(), work(was_sent=False))
    free = settled(JobCancelled(), work(estimate=Estimate(cost_usd=0)))
    unknown = settled(JobCancelled(), work(estimate=Estimate()))

    assert isinstance(unsent, JobCancelled)
    assert unsent.cancellation == UNSENT
    assert isinstance(free, JobCancelled)
    assert free.cancellation.may_bill_usd == 0
    assert isinstance(unknown, JobCancelled)
    assert "an unknown amount may still be billed" in unknown.cancellation.said


def test_failed_work_that_is_not_billed_gives_its_hold_back() -> None:
    free = settled(JobFailed(error=ERROR), work(bills_failed=False))
    unsaid = settled(JobFailed(error=ERROR), work())

    assert free.cost == Cost(usd=0, source="acme does not bill work that failed")
    assert unsaid.cost is None


def test_hours_of_this_machine_are_estimated_held_and_settled_as_measured() -> None:
    estimate = by_the_hour(Estimate(cost_usd=0, seconds=90), 4.0)
    assert (estimate.cost_usd, estimate.bound_usd) == (0.1, 0.2)

    end = settled(
        JobCompleted(timing=Timing(total_seconds=126.0)),
        work(estimate=estimate, resubmits=True),
    )

    assert end.cost is not None
    assert (end.cost.usd, end.cost.seconds) == (0.14, 126.0)


def test_a_deadline_bounds_the_price_of_hours_that_nobody_can_estimate() -> None:
    assert by_the_hour(Estimate(cost_usd=0), 4.0).cost_usd is None
    assert by_the_hour(Estimate(cost_usd=0), 4.0, 90.0).bound_usd == 0.1
    assert by_the_hour(Estimate(cost_usd=0, seconds=90), 4.0, 45.0).cost_usd == 0.05
    for at_once in (Estimate(cost_usd=0, seconds=0), Estimate(cost_usd=0, seconds=90)):
        assert by_the_hour(at_once, 4.0, 5e-324).bound_usd == 0.06667  # no budget takes it for free
    hosted = Estimate(cost_usd=0.5)
    assert by_the_hour(hosted, 4.0) is hosted
    assert by_the_hour(Estimate(), None) == Estimate()


@pytest.mark.anyio
async def test_work_past_its_deadline_is_told_to_stop_and_what_never_ends_is_let_go() -> None:
    told = asyncio.Event()

    async def stop() -> None:
        told.set()

    async def obedient() -> str:
        await told.wait()
        return "stopped"

    assert await within(obedient(), 0.01, stop) == "stopped"
    assert await within(obedient(), None, stop) == "stopped"
    with pytest.raises(GenerationFailedError, match="told to stop at its deadline"):
        await within(asyncio.sleep(60), 0.01, stop, grace=0.01)
