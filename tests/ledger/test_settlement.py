"""What budgets hold, when it is settled, what a day is, and what was used by whom."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from media_agent.errors import BudgetExceededError, InvalidRequestError, JobError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.serving.api_keys import KeyTerms
from media_agent.ledger.state import JobOptions
from media_agent.ledger.usage import read_usage
from media_agent_schemas import (
    Artifact,
    Cost,
    ErrorInfo,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    OperationRef,
    VideoJob,
)
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.plan import Segment
from tests.ledger.samples import NOW, REF, job, plan

UNKNOWN = JobOutcomeUnknown(error=ErrorInfo(code="submit_uncertain", message="lost"))
DONE = JobCompleted(artifacts=(Artifact(path="a.mp4"),))


def priced(name: str, usd: float, most: float | None = None) -> tuple[VideoJob, JobOptions]:
    estimate = Estimate(cost_usd=usd, most_usd=most)
    planned = plan().model_copy(update={"estimate": estimate})
    return job(name).model_copy(update={"plan": planned}), JobOptions((planned,))


def test_the_most_that_work_may_cost_is_held_until_its_end_then_what_it_cost(
    ledger: Ledger,
) -> None:
    ledger.jobs.create(*priced("one", 0.5, most=1.0))
    ledger.jobs.create(*priced("two", 0.5, most=1.0))
    sent = ledger.submissions.record_intent("one", 0, NOW, per_day=1.6)
    with pytest.raises(BudgetExceededError, match=r"1\.00 USD are spent or held and 0\.60 USD"):
        ledger.submissions.record_intent("two", 0, NOW, per_day=1.6)
    assert ledger.jobs.get("one").held_usd == 1.0

    ledger.submissions.mark_accepted(sent, REF)
    ledger.submissions.bill(sent, Cost(usd=0.4, refunded_usd=0.1))
    ledger.events.append("one", DONE, NOW)

    assert ledger.jobs.get("one").held_usd == 0
    assert ledger.submissions.spent(NOW) == 0.4
    ledger.submissions.record_intent("two", 0, NOW, per_day=1.6)


def test_work_that_is_made_again_holds_its_price_beside_what_it_has_cost(ledger: Ledger) -> None:
    ledger.jobs.create(*priced("one", 0.5, most=1.0))
    sent = ledger.submissions.record_intent("one", 0, NOW)
    ledger.submissions.mark_accepted(sent, REF)
    ledger.submissions.bill(sent, Cost(usd=0.1))
    ledger.events.append("one", JobFailed(error=ErrorInfo(code="x", message="no")), NOW)
    assert ledger.submissions.spent(NOW) == 0.1

    again = ledger.submissions.record_retry(sent, NOW)
    ledger.events.reopen("one", "again", NOW)
    assert ledger.submissions.spent(NOW) == 1.1

    ledger.submissions.bill(again, Cost(usd=0.25))
    ledger.events.append("one", DONE, NOW)
    assert ledger.submissions.spent(NOW) == 0.35


def test_work_that_is_made_again_on_a_later_day_takes_of_the_budget_of_that_day(
    ledger: Ledger,
) -> None:
    tomorrow = NOW + timedelta(days=1)
    for name in ("one", "two"):
        ledger.jobs.create(job(name, cost=0.5))
    sent = ledger.submissions.record_intent("one", 0, NOW)
    ledger.submissions.mark_accepted(sent, REF)
    ledger.submissions.bill(sent, Cost(usd=0.1))
    failed = JobFailed(error=ErrorInfo(code="x", message="no"))
    ledger.events.append("one", failed, NOW)
    assert ledger.submissions.spent(tomorrow) == 0

    for attempt in (ledger.submissions.record_retry, ledger.submissions.check_again):
        target = sent if attempt == ledger.submissions.record_retry else "one"
        with pytest.raises(BudgetExceededError, match=r"0\.10 USD are spent"):
            attempt(target, tomorrow, per_day=0.55)  # type: ignore[arg-type]  # of either
    again = ledger.submissions.record_retry(sent, tomorrow, per_day=0.6)
    ledger.events.reopen("one", "again", tomorrow)

    assert ledger.submissions.spent(tomorrow) == 0.6
    with pytest.raises(BudgetExceededError):
        ledger.submissions.record_intent("two", 0, tomorrow, per_day=1.0)
    ledger.submissions.check_again("one", tomorrow, per_day=0.6)  # it is held for already
    ledger.submissions.bill(again, Cost(usd=0.2))
    ledger.events.append("one", DONE, tomorrow)
    assert ledger.submissions.spent(tomorrow - timedelta(hours=1)) == pytest.approx(0.3)
    assert ledger.submissions.spent(tomorrow + timedelta(days=1)) == 0


def test_what_failed_for_free_gives_its_hold_back(ledger: Ledger) -> None:
    ledger.jobs.create(job("one", cost=0.5))
    sent = ledger.submissions.record_intent("one", 0, NOW, per_day=0.5)
    ledger.submissions.mark_accepted(sent, REF)
    ledger.submissions.bill(sent, Cost(usd=0))
    ledger.events.append("one", JobFailed(error=ErrorInfo(code="x", message="no")), NOW)

    ledger.jobs.create(job("two", cost=0.5))
    ledger.submissions.record_intent("two", 0, NOW, per_day=0.5)


def test_an_unknown_outcome_stays_held_until_it_is_known_or_settled_by_hand(
    ledger: Ledger,
) -> None:
    ledger.jobs.create(job("one", cost=0.5))
    ledger.submissions.mark_unknown(ledger.submissions.record_intent("one", 0, NOW))
    ledger.events.append("one", UNKNOWN, NOW)
    ledger.jobs.warn("one", "it was dark")
    held = ledger.jobs.get("one")
    assert held.held_usd == 0.5
    assert [said[:35] for said in held.warnings] == [
        "it was dark",
        "0.50 USD stay held in the budgets u",
    ]
    assert ledger.jobs.unsettled() == (held,)

    ledger.submissions.settle("one", 0.0, NOW)

    assert (ledger.jobs.get("one").held_usd, ledger.submissions.spent(NOW)) == (0, 0)
    assert ledger.jobs.get("one").warnings == ("it was dark",)
    with pytest.raises(JobError, match="nothing of it waits to be settled"):
        ledger.submissions.settle("one", 0.0, NOW)


def test_settling_by_hand_takes_the_offer_of_unknown_outcome_not_one_that_refused(
    ledger: Ledger,
) -> None:
    first = job("one", cost=0.4)
    ledger.jobs.create(first, JobOptions((first.plan, first.plan)))
    refused = ledger.submissions.record_intent("one", 0, NOW)
    lost = ledger.submissions.record_intent("one", 1, NOW)
    ledger.submissions.mark_unknown(lost)
    ledger.submissions.mark_refused(refused, ErrorInfo(code="x", message="no"), NOW)
    ledger.events.append("one", UNKNOWN, NOW)

    ledger.submissions.settle("one", 0.3, NOW)

    assert ledger.submissions.spent(NOW) == 0.3


@pytest.mark.parametrize("usd", [-0.01, float("inf"), float("nan"), 1e9, True])
def test_nobody_settles_with_what_nothing_can_cost(ledger: Ledger, usd: float) -> None:
    ledger.jobs.create(job("one", cost=0.5))
    ledger.submissions.mark_unknown(ledger.submissions.record_intent("one", 0, NOW))
    ledger.events.append("one", UNKNOWN, NOW)

    with pytest.raises(InvalidRequestError, match="cannot have cost"):
        ledger.submissions.settle("one", usd, NOW)

    assert ledger.jobs.get("one").held_usd == 0.5


def test_a_video_in_segments_is_settled_with_the_segment_that_is_unknown(ledger: Ledger) -> None:
    one = plan(cost=0.5)
    parts = (Segment(request=one.request, estimate=one.estimate, count=2),)
    whole = one.model_copy(update={"segments": parts, "estimate": Estimate(cost_usd=1.0)})
    ledger.jobs.create(job("whole").model_copy(update={"plan": whole}), JobOptions((whole,)))
    ledger.submissions.mark_accepted(ledger.submissions.record_intent("whole", 0, NOW), REF)
    for name in ("whole.segment-0001", "whole.segment-0002"):
        ledger.jobs.create(job(name, cost=0.5), JobOptions((one,), part_of="whole"))
        sent = ledger.submissions.record_intent(name, 0, NOW)
        if name.endswith("1"):
            ledger.submissions.mark_accepted(sent, replace_ref(name))
            ledger.events.append(name, DONE, NOW)
    ledger.events.append("whole.segment-0002", UNKNOWN, NOW)
    ledger.events.append("whole", UNKNOWN, NOW)
    assert ledger.jobs.get("whole").held_usd == 0.5

    ledger.submissions.settle("whole", 0.2, NOW)

    assert ledger.jobs.get("whole").held_usd == 0
    assert ledger.jobs.get("whole").cost_usd == 0.7
    assert ledger.jobs.get("whole.segment-0002").cost_usd == 0.2


def test_a_job_of_unknown_outcome_that_is_removed_counts_as_quoted_and_holds_no_more(
    ledger: Ledger,
) -> None:
    ledger.jobs.create(*priced("one", 0.5, most=1.0))
    ledger.submissions.record_intent("one", 0, NOW)
    ledger.events.append("one", UNKNOWN, NOW)

    ledger.jobs.remove("one")

    assert ledger.submissions.spent(NOW) == 0.5
    assert ledger.costs.total(NOW).held_usd == 0


@pytest.mark.parametrize("usd", [0.0, 0.5])
def test_a_job_that_continues_holds_again(ledger: Ledger, usd: float) -> None:
    ledger.jobs.create(job("one", cost=0.5))
    sent = ledger.submissions.record_intent("one", 0, NOW)
    ledger.events.append("one", UNKNOWN, NOW)
    ledger.submissions.settle("one", usd, NOW)
    ledger.submissions.mark_accepted(sent, REF)

    ledger.events.reopen("one", "found again", NOW)
    assert ledger.jobs.get("one").held_usd == 0.5
    ledger.events.append("one", DONE, NOW)
    assert ledger.submissions.spent(NOW) == 0.5  # it was found: what was settled is not true


def test_a_day_budget_stops_the_eleventh_clip_with_a_clear_word(ledger: Ledger) -> None:
    for number in range(11):
        ledger.jobs.create(job(f"clip-{number}", cost=0.5))
    for number in range(10):
        ledger.submissions.record_intent(f"clip-{number}", 0, NOW, per_day=5.0)

    with pytest.raises(BudgetExceededError) as refused:
        ledger.submissions.record_intent("clip-10", 0, NOW, per_day=5.0)

    assert refused.value.message == (
        "b/m would cost 0.50 USD; of the 5.00 USD for a day (UTC) 5.00 USD are spent or held and "
        "0.00 USD are left"
    )
    assert "the next day begins at 00:00 UTC" in (refused.value.hint or "")
    tomorrow = NOW + timedelta(days=1)
    ledger.submissions.record_intent("clip-10", 0, tomorrow, per_day=5.0)


def test_a_clock_that_jumps_an_hour_lets_no_day_spend_more_than_its_budget(
    ledger: Ledger,
) -> None:
    hour, late = timedelta(hours=1), datetime(2026, 5, 1, 23, 40, tzinfo=UTC)
    for number in range(5):
        ledger.jobs.create(job(f"clip-{number}", cost=1.0))
    times = {"clip-0": late - hour, "clip-1": late, "clip-2": late + hour}  # set forward
    for name, time in times.items():
        ledger.submissions.record_intent(name, 0, time, per_day=2.0)

    with pytest.raises(BudgetExceededError):  # set back: what counts tomorrow counts today too
        ledger.submissions.record_intent("clip-3", 0, late, per_day=2.0)
    ledger.submissions.record_intent("clip-3", 0, late + hour, per_day=2.0)
    with pytest.raises(BudgetExceededError):
        ledger.submissions.record_intent("clip-4", 0, late + 2 * hour, per_day=2.0)

    days = {row.name: row.usd for row in ledger.costs.since(late - 2 * hour, "day")}
    assert days == {"2026-05-01": 2.0, "2026-05-02": 2.0}


def test_usage_is_counted_by_caller_label_and_model_with_the_price_of_resale(
    ledger: Ledger,
) -> None:
    terms = KeyTerms(owner="alice", scopes=frozenset({"videos:read"}), resale_factor=3.0)
    ledger.api_keys.add(terms, NOW)
    asked = (("one", "alice", 1.5), ("two", "alice", 2.0), ("plain", "alice", 1.0))
    for name, caller, factor in (*asked, ("own", None, 1.0)):
        made = job(name, cost=0.4)
        options = JobOptions((made.plan,), caller=caller, label="trailer", resale_factor=factor)
        ledger.jobs.create(made, options)
        sent = ledger.submissions.record_intent(name, 0, NOW)
        ledger.submissions.mark_accepted(sent, replace_ref(name))
    for name in ("one", "plain"):
        ledger.events.append(name, DONE, NOW)

    rows = read_usage(ledger.database, NOW, NOW + timedelta(days=1))

    assert [(row.caller, row.label, row.jobs) for row in rows] == [
        ("", "trailer", 1),
        ("alice", "trailer", 3),
    ]
    alice = rows[1]
    assert (alice.cost_usd, alice.resale_usd, alice.held_usd) == (0.8, 1.0, 0.4)
    ledger.api_keys.add(replace(terms, resale_factor=4.0), NOW)
    assert read_usage(ledger.database, NOW, NOW + timedelta(days=1))[1] == alice
    assert read_usage(ledger.database, NOW + timedelta(days=1), NOW + timedelta(days=2)) == []


def replace_ref(name: str) -> OperationRef:
    return REF.model_copy(update={"operation_id": name})
