"""Submissions: the intent first, one accepted, and what was spent."""

import contextlib
import multiprocessing
import multiprocessing.synchronize
from datetime import timedelta

import pytest

from media_agent.errors import (
    BudgetExceededError,
    ContentRejectedError,
    LedgerBusyError,
    to_info,
)
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.state import JobOptions, OwnershipLostError, SubmissionState
from media_agent_schemas import Cost, Estimate, JobCancelled, Segment, VideoJob
from tests.ledger.samples import NOW, REF, Place, job, plan


def test_an_intent_stands_before_anything_is_sent_and_once_per_plan(ledger: Ledger) -> None:
    ledger.jobs.create(job(), JobOptions((plan(), plan("a dog"))))

    first = ledger.submissions.record_intent("one", 0, NOW)
    second = ledger.submissions.record_intent("one", 1, NOW)

    assert [first.key, second.key] == ["one", "one-2"]
    assert ledger.submissions.of("one") == [first, second]
    assert first.state is SubmissionState.INTENDED
    assert ledger.jobs.get("one").plan.request.prompt == "a dog"
    with pytest.raises(OwnershipLostError):
        ledger.submissions.record_intent("one", 1, NOW)


def test_what_became_of_a_submission_is_kept(ledger: Ledger) -> None:
    ledger.jobs.create(job(), JobOptions((plan(), plan("a dog"))))
    refused, accepted = (
        ledger.submissions.record_intent("one", 0, NOW),
        ledger.submissions.record_intent("one", 1, NOW),
    )
    reason = to_info(ContentRejectedError("no cats"))

    ledger.submissions.mark_refused(refused, reason, NOW)
    ledger.submissions.mark_unknown(accepted)
    ledger.submissions.record_retry(accepted, NOW)
    ledger.submissions.mark_accepted(accepted, REF)

    first, second = ledger.submissions.of("one")
    assert (first.state, first.error, first.ref) == (SubmissionState.REFUSED, reason, None)
    assert (second.state, second.ref) == (SubmissionState.ACCEPTED, REF)
    assert (first.attempts, second.attempts) == (1, 2)
    assert ledger.jobs.get("one").ref == REF


def test_a_job_can_have_one_accepted_submission_only(ledger: Ledger) -> None:
    ledger.jobs.create(job(), JobOptions((plan(), plan("a dog"))))
    ledger.submissions.mark_accepted(ledger.submissions.record_intent("one", 0, NOW), REF)
    second = ledger.submissions.record_intent("one", 1, NOW)

    with pytest.raises(OwnershipLostError, match="accepted"):
        ledger.submissions.mark_accepted(second, REF)


def test_what_was_spent_counts_bills_then_quotes_and_what_nobody_knows(ledger: Ledger) -> None:
    before = NOW.replace(year=2025)
    for name, cost in (("billed", 5.0), ("quoted", 2.0), ("lost", 1.0), ("refused", 9.0)):
        ledger.jobs.create(job(name, cost=cost))
    ledger.jobs.create(job("old", cost=7.0))
    sent = {
        name: ledger.submissions.record_intent(name, 0, NOW)
        for name in ("billed", "quoted", "lost", "refused")
    }
    ledger.submissions.record_intent("old", 0, before)
    ledger.submissions.bill(sent["billed"], Cost(usd=0.5))
    ledger.submissions.mark_unknown(sent["lost"])
    ledger.submissions.mark_refused(sent["refused"], to_info(ContentRejectedError("no")), NOW)

    assert ledger.submissions.spent(NOW) == 3.5
    assert ledger.submissions.spent(before) == 10.5


def test_what_does_not_fit_into_the_day_is_not_intended(ledger: Ledger) -> None:
    for name, cost in (("first", 0.6), ("second", 0.6), ("small", 0.4), ("free", 0.0)):
        ledger.jobs.create(job(name, cost=cost))
    ledger.jobs.create(job("unpriced"))
    ledger.submissions.record_intent("first", 0, NOW, per_day=1.0)

    with pytest.raises(
        BudgetExceededError,
        match=r"would cost 0\.60 USD; .*0\.60 USD are spent or held and 0\.40 USD are left",
    ):
        ledger.submissions.record_intent("second", 0, NOW, per_day=1.0)
    with pytest.raises(BudgetExceededError, match="an unknown price"):
        ledger.submissions.record_intent("unpriced", 0, NOW, per_day=1.0)

    assert ledger.submissions.of("second") == []
    ledger.submissions.record_intent("small", 0, NOW, per_day=1.0)
    ledger.submissions.record_intent("free", 0, NOW, per_day=1.0)
    assert ledger.submissions.spent(NOW) == 1.0
    ledger.submissions.record_intent("second", 0, NOW + timedelta(hours=25), per_day=1.0)


def intend_at_once(place: Place, name: str, barrier: multiprocessing.synchronize.Barrier) -> None:
    ledger = place.open()
    ledger.jobs.create(job(name, cost=0.5))
    barrier.wait(30)
    with contextlib.suppress(BudgetExceededError):
        ledger.submissions.record_intent(name, 0, NOW, per_day=1.0)


def test_processes_that_intend_at_once_do_not_cross_the_budget_together(place: Place) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    processes = [
        context.Process(target=intend_at_once, args=(place, name, barrier)) for name in "abc"
    ]

    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert place.open().submissions.spent(NOW) == 1.0


def in_parts(name: str, *parts: float) -> tuple[VideoJob, JobOptions]:
    whole = plan(cost=sum(parts))
    pieces = tuple(
        Segment(request=whole.request, estimate=Estimate(cost_usd=cost)) for cost in parts
    )
    whole = whole.model_copy(update={"segments": pieces})
    return job(name).model_copy(update={"plan": whole}), JobOptions((whole,))


def part_of(video: str, name: str, cost: float) -> tuple[VideoJob, JobOptions]:
    planned = plan(cost=cost)
    return job(name).model_copy(update={"plan": planned}), JobOptions((planned,), part_of=video)


def test_a_video_in_segments_takes_the_price_of_all_and_its_segments_take_from_that(
    ledger: Ledger,
) -> None:
    ledger.jobs.create(*in_parts("video", 0.4, 0.4))
    ledger.jobs.create(*part_of("video", "part", 0.4))
    ledger.jobs.create(job("other", cost=0.4))

    ledger.submissions.record_intent("video", 0, NOW, per_day=1.0)
    before = ledger.submissions.spent(NOW)
    part = ledger.submissions.record_intent("part", 0, NOW, per_day=1.0)
    with pytest.raises(BudgetExceededError):
        ledger.submissions.record_intent("other", 0, NOW, per_day=1.0)
    ledger.submissions.bill(part, Cost(usd=0.3))

    assert (before, ledger.submissions.spent(NOW)) == (0.8, pytest.approx(0.7))
    ledger.events.append("video", JobCancelled(), NOW)
    assert ledger.submissions.spent(NOW) == 0.3


def test_what_a_removed_video_in_segments_had_reserved_is_free_again(ledger: Ledger) -> None:
    ledger.jobs.create(*in_parts("video", 0.4, 0.4))
    ledger.jobs.create(*part_of("video", "part", 0.4))
    ledger.jobs.create(job("other", cost=0.6))
    ledger.submissions.record_intent("video", 0, NOW, per_day=1.0)
    ledger.submissions.record_intent("part", 0, NOW, per_day=1.0)

    ledger.jobs.remove("part")
    ledger.jobs.remove("video")

    assert ledger.submissions.spent(NOW) == 0.4, "what was sent still counts"
    ledger.submissions.record_intent("other", 0, NOW, per_day=1.0)


def test_an_intent_of_which_nothing_was_sent_is_withdrawn_as_if_it_never_was(
    ledger: Ledger,
) -> None:
    ledger.jobs.create(*in_parts("video", 0.4, 0.4))
    ledger.jobs.create(*part_of("video", "part", 0.4))
    ledger.submissions.record_intent("video", 0, NOW, per_day=1.0)
    part = ledger.submissions.record_intent("part", 0, NOW, per_day=1.0)

    ledger.submissions.withdraw("part", 0)
    ledger.submissions.withdraw("part", 0)

    assert (ledger.submissions.of("part"), ledger.submissions.spent(NOW)) == ([], 0.8)
    assert ledger.submissions.record_intent("part", 0, NOW, per_day=1.0) == part
    assert ledger.submissions.spent(NOW) == 0.8


def test_what_was_sent_or_is_looked_for_by_another_process_is_not_withdrawn(
    ledger: Ledger, place: Place
) -> None:
    for name in ("one", "two"):
        ledger.jobs.create(job(name, cost=0.4))
    sent = ledger.submissions.record_intent("one", 0, NOW)
    ledger.submissions.mark_accepted(sent, REF)
    ledger.submissions.record_intent("two", 0, NOW)

    ledger.submissions.withdraw("one", 0)
    with (
        place.open().owners.claim("two", force=True),
        pytest.raises(OwnershipLostError),
    ):
        ledger.submissions.withdraw("two", 0)

    assert ledger.submissions.spent(NOW) == 0.8


@pytest.mark.parametrize("names", ["video", "video-2", "another job", ""])
def test_a_label_of_the_caller_takes_nothing_from_what_a_video_in_segments_reserved(
    ledger: Ledger, names: str
) -> None:
    ledger.jobs.create(*in_parts("video", 3.0, 2.0))
    ledger.submissions.record_intent("video", 0, NOW)
    labels = {"part_of": names, "part": "1"}
    labelled = plan().request.model_copy(update={"labels": labels})
    of_its_own = plan(cost=4.0).model_copy(update={"request": labelled})
    other = job("other").model_copy(update={"request": labelled, "plan": of_its_own})
    ledger.jobs.create(other, JobOptions((of_its_own,)))

    ledger.submissions.record_intent("other", 0, NOW)

    assert ledger.submissions.spent(NOW) == 9.0


def test_a_video_in_segments_that_costs_more_than_is_left_of_the_day_is_not_begun(
    ledger: Ledger,
) -> None:
    ledger.jobs.create(*in_parts("video", 0.4, 0.4, 0.4))

    with pytest.raises(BudgetExceededError, match=r"1\.20 USD; .* and 1\.00 USD are left"):
        ledger.submissions.record_intent("video", 0, NOW, per_day=1.0)


@pytest.mark.anyio
@pytest.mark.parametrize("table", ["submissions", "jobs"])
async def test_what_a_server_lost_before_the_flush_is_not_called_flushed(
    ledger: Ledger, place: Place, table: str
) -> None:
    ledger.jobs.create(job("one"), durably=False)
    sent = ledger.submissions.record_intent("one", 0, NOW, durably=False)
    await ledger.flushed(job_id="one", key=sent.key)
    place.change(f"DELETE FROM {table}")  # as a crash would undo it, before it is on disk

    with pytest.raises(LedgerBusyError, match="lost what was not on its disk"):
        await ledger.flushed(job_id="one", key=sent.key)
