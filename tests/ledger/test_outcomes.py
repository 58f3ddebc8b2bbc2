"""How submissions ended is kept, once each, and nothing of what was asked."""

from dataclasses import asdict, replace
from datetime import timedelta

import pytest

from media_agent.errors import (
    BackendRateLimitError,
    ContentRejectedError,
    GenerationFailedError,
    MediaAgentError,
    StorageError,
    UnsupportedRequestError,
    to_info,
)
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.outcomes import Ending
from media_agent_schemas import (
    Cost,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    JobStarted,
    TerminalEvent,
)
from tests.ledger.samples import NOW, REF, job


def later(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def end(ledger: Ledger, event: TerminalEvent, *, bill: float | None = None) -> None:
    ledger.jobs.create(job(cost=0.4))
    sent = ledger.submissions.record_intent("one", 0, NOW)
    ledger.submissions.mark_accepted(sent, REF)
    ledger.events.append("one", JobStarted(), NOW + later(5))
    if bill is not None:
        ledger.submissions.bill(sent, Cost(usd=bill))
    ledger.events.append("one", event, NOW + later(65))


def failed(error: MediaAgentError) -> JobFailed:
    return JobFailed(error=to_info(error))


def test_a_video_is_kept_with_its_times_and_its_price(ledger: Ledger) -> None:
    end(ledger, JobCompleted(), bill=0.5)

    ((_, outcome),) = ledger.outcomes.read()

    assert outcome.offer == "b/m"
    assert (outcome.ending, outcome.code) == (Ending.DONE, None)
    assert (outcome.queue_seconds, outcome.seconds) == (5, 65)
    assert (outcome.quoted_usd, outcome.billed_usd, outcome.cost_usd) == (0.4, 0.5, 0.5)
    assert outcome.video_seconds == 2
    assert outcome.ended_at - outcome.began_at == 65


@pytest.mark.parametrize(
    ("event", "ending"),
    [
        (failed(GenerationFailedError("no")), Ending.FAILED),
        (failed(ContentRejectedError("no")), Ending.MODERATED),
    ],
)
def test_a_failure_of_the_offer_is_kept(
    ledger: Ledger, event: TerminalEvent, ending: Ending
) -> None:
    end(ledger, event)

    ((_, outcome),) = ledger.outcomes.read()

    assert outcome.ending is ending
    assert outcome.cost_usd == 0.4


@pytest.mark.parametrize(
    "event",
    [
        JobCancelled(),
        JobOutcomeUnknown(error=to_info(GenerationFailedError("who knows"))),
        failed(StorageError("the disk is full")),
        failed(UnsupportedRequestError("not this")),
    ],
)
def test_what_says_nothing_of_the_offer_is_left_out(ledger: Ledger, event: TerminalEvent) -> None:
    end(ledger, event)

    assert ledger.outcomes.read() == []


def test_a_refusal_before_acceptance_costs_nothing_and_counts(ledger: Ledger) -> None:
    ledger.jobs.create(job(cost=0.4))
    sent = ledger.submissions.record_intent("one", 0, NOW)

    ledger.submissions.mark_refused(sent, to_info(BackendRateLimitError("slowly")), NOW + later(2))

    ((_, outcome),) = ledger.outcomes.read()
    assert (outcome.ending, outcome.cost_usd, outcome.seconds) == (Ending.REFUSED, 0.0, 2)


def test_work_that_lay_still_has_no_time(ledger: Ledger) -> None:
    end(ledger, failed(GenerationFailedError("no")))
    ledger.events.reopen("one", "found again", NOW + later(9000))
    ledger.events.append("one", JobCompleted(), NOW + later(9065))

    first, second = (outcome for _, outcome in ledger.outcomes.read())

    assert (first.ending, first.seconds) == (Ending.FAILED, 65)
    assert (second.ending, second.seconds) == (Ending.DONE, None)


def test_a_prompt_is_nowhere_among_the_outcomes(ledger: Ledger) -> None:
    end(ledger, failed(GenerationFailedError("a cat was refused")))

    with ledger.database.reading() as transaction:
        kept = [dict(row) for row in transaction.rows("SELECT * FROM outcomes")]

    assert len(kept) == 1
    assert "a cat" not in str(kept)


@pytest.mark.parametrize("newest", [0, 3, 4, 5, 100])
def test_the_newest_outcomes_are_read_in_batches_in_their_order(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, newest: int
) -> None:
    monkeypatch.setattr("media_agent.ledger.outcomes._BATCH", 2)
    end(ledger, JobCompleted())
    ((first, outcome),) = ledger.outcomes.read()
    for number in range(1, 9):
        with ledger.database.writing() as transaction:
            late = replace(outcome, ended_at=outcome.ended_at + number % 4)
            transaction.insert("outcomes", asdict(late))
    numbers = [first, *range(first + 1, first + 9)]

    def read(**chosen: float) -> list[int]:
        return [number for number, _ in ledger.outcomes.read(newest=newest, **chosen)]  # type: ignore[arg-type]  # as named

    assert read() == (numbers[-newest:] if newest else [])
    of_these = [n for n in numbers[3:] if (n - first) % 4 >= 2]
    assert read(after=first + 2, since=outcome.ended_at + 2) == (
        of_these[-newest:] if newest else []
    )
