"""Deliveries: left with the end of a job, taken by one process, never sent after a success."""

from media_agent.ledger.ledger import Ledger
from media_agent.ledger.serving.deliveries import KEPT_DAYS, Delivery, EndpointTerms
from media_agent.ledger.state import JobOptions
from media_agent_schemas import (
    BackendEvent,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    JobStarted,
)
from media_agent_schemas.errors import ErrorInfo
from tests.ledger.samples import NOW, Place, append_all, job, plan

SHOP = EndpointTerms("https://shop.example/hook", ("video.completed", "video.failed"))
ALL = EndpointTerms(
    "https://all.example/hook",
    ("video.completed", "video.failed", "video.cancelled", "video.outcome_unknown"),
)
ENDED = NOW.timestamp()
WHY = ErrorInfo(code="generation_failed", message="it broke", retryable=False)


def end(ledger: Ledger, event: BackendEvent, job_id: str = "one") -> None:
    ledger.jobs.create(job(job_id))
    assert ledger.events.append(job_id, event, NOW) is not None


def take(ledger: Ledger, endpoint: str = "shop", now: float = ENDED) -> list[Delivery]:
    return ledger.deliveries.take(endpoint, now, lease=60, most=9)


def test_the_end_of_a_job_is_left_for_each_endpoint_that_hears_of_it(ledger: Ledger) -> None:
    ledger.deliveries.keep_endpoints({"shop": SHOP, "all": ALL}, ENDED)

    end(ledger, JobCompleted(), "one")
    end(ledger, JobFailed(error=WHY), "two")
    end(ledger, JobCancelled(), "three")
    end(ledger, JobOutcomeUnknown(error=WHY), "four")

    def ends(endpoint: str) -> set[tuple[str, str]]:
        return {(each.job_id, each.event) for each in take(ledger, endpoint)}

    assert ends("shop") == {("one", "video.completed"), ("two", "video.failed")}
    assert ends("all") - ends("shop") == {
        ("one", "video.completed"),
        ("two", "video.failed"),
        ("three", "video.cancelled"),
        ("four", "video.outcome_unknown"),
    }


def test_only_the_end_is_left_and_only_of_a_whole_video(ledger: Ledger) -> None:
    ledger.deliveries.keep_endpoints({"shop": SHOP}, ENDED)
    ledger.jobs.create(job("one"))
    ledger.jobs.create(job("segment"), JobOptions(plans=(plan(),), part_of="one"))

    append_all(ledger, JobStarted())
    ledger.events.append("segment", JobCompleted(), NOW)

    assert take(ledger) == []


def test_a_job_that_ends_twice_is_sent_twice_with_two_ids(ledger: Ledger) -> None:
    ledger.deliveries.keep_endpoints({"all": ALL}, ENDED)
    end(ledger, JobOutcomeUnknown(error=WHY))
    ledger.events.reopen("one", "found", NOW)
    append_all(ledger, JobCompleted(), JobCompleted())

    first, second = take(ledger, "all")

    assert [first.event, second.event] == ["video.outcome_unknown", "video.completed"]
    assert first.id == "evt_one_0"
    assert second.id == "evt_one_2"


def test_another_process_that_ends_a_job_leaves_its_delivery(ledger: Ledger, place: Place) -> None:
    ledger.deliveries.keep_endpoints({"shop": SHOP}, ENDED)
    ledger.jobs.create(job())
    other = place.rival(alive=False)

    with other.owners.claim("one"):
        other.events.append("one", JobCompleted(), NOW)

    assert [each.job_id for each in take(ledger)] == ["one"]


def test_what_one_takes_nobody_else_gets_until_its_time_is_over(
    ledger: Ledger, place: Place
) -> None:
    ledger.deliveries.keep_endpoints({"shop": SHOP}, ENDED)
    end(ledger, JobCompleted())
    (taken,) = take(ledger)
    ledger.close()
    other = place.open()

    assert take(other, now=ENDED + 59) == []
    (again,) = take(other, now=ENDED + 60)

    assert (taken.attempts, again.attempts) == (1, 2)
    assert again.id == taken.id


def test_what_was_delivered_is_not_sent_again_whoever_failed_at_it_too(ledger: Ledger) -> None:
    ledger.deliveries.keep_endpoints({"shop": SHOP}, ENDED)
    end(ledger, JobCompleted())
    (slow,) = take(ledger)
    (quick,) = take(ledger, now=ENDED + 60)

    ledger.deliveries.mark_missed(slow, "timed out", due_at=ENDED + 61)
    assert take(ledger, now=ENDED + 62) == []
    ledger.deliveries.mark_delivered(quick, "HTTP 200", ENDED + 63)
    ledger.deliveries.mark_missed(quick, "timed out", due_at=ENDED + 64)

    assert take(ledger, now=ENDED + 1e6) == []
    (kept,) = ledger.deliveries.list(limit=9)
    assert (kept.answer, kept.delivered_at, kept.due_at) == ("HTTP 200", ENDED + 63, None)


def test_a_disabled_endpoint_gets_what_waits_for_it_once_it_is_enabled(ledger: Ledger) -> None:
    ledger.deliveries.keep_endpoints({"shop": SHOP}, ENDED)
    end(ledger, JobCompleted(), "one")
    take(ledger)
    ledger.deliveries.disable("shop", "HTTP 410")
    end(ledger, JobCompleted(), "two")

    assert take(ledger, now=ENDED + 1e6) == []
    (state,) = ledger.deliveries.endpoints()
    assert (state.disabled, state.waiting) == ("HTTP 410", 2)
    ledger.deliveries.enable("shop", ENDED + 9)

    assert [(each.job_id, each.attempts) for each in take(ledger, now=ENDED + 9)] == [
        ("one", 1),
        ("two", 1),
    ]


def test_the_settings_say_which_endpoints_there_are(ledger: Ledger) -> None:
    ledger.deliveries.keep_endpoints({"shop": SHOP, "all": ALL}, ENDED)
    end(ledger, JobCompleted(), "one")
    for name in ("shop", "all"):
        ledger.deliveries.disable(name, "HTTP 410")

    ledger.deliveries.keep_endpoints({"shop": SHOP}, ENDED)
    assert [each.disabled for each in ledger.deliveries.endpoints()] == ["HTTP 410"]
    moved = EndpointTerms("https://new.example/hook", SHOP.events)
    ledger.deliveries.keep_endpoints({"shop": moved}, ENDED)

    (state,) = ledger.deliveries.endpoints()
    assert (state.url, state.disabled, state.waiting) == (moved.url, None, 1)
    assert len(take(ledger)) == 1


def test_what_is_over_is_forgotten_after_a_month_and_nothing_else(ledger: Ledger) -> None:
    ledger.deliveries.keep_endpoints({"shop": SHOP}, ENDED)
    for job_id in ("delivered", "given up", "waiting"):
        end(ledger, JobCompleted(), job_id)
    taken = {each.job_id: each for each in take(ledger)}
    ledger.deliveries.mark_delivered(taken["delivered"], "HTTP 200", ENDED)
    ledger.deliveries.mark_missed(taken["given up"], "HTTP 500", due_at=None)

    ledger.deliveries.keep_endpoints({"shop": SHOP}, ENDED + KEPT_DAYS * 86_400)
    assert len(ledger.deliveries.list(limit=9)) == 3
    ledger.deliveries.keep_endpoints({"shop": SHOP}, ENDED + KEPT_DAYS * 86_400 + 1)

    assert [each.job_id for each in ledger.deliveries.list(limit=9)] == ["waiting"]
    assert ledger.deliveries.has_delivered_since("shop", ENDED) is False


def test_an_endpoint_is_known_to_have_got_something(ledger: Ledger) -> None:
    ledger.deliveries.keep_endpoints({"shop": SHOP, "all": ALL}, ENDED)
    end(ledger, JobCompleted())
    (taken,) = take(ledger)
    ledger.deliveries.mark_delivered(taken, "HTTP 200", ENDED + 5)

    assert ledger.deliveries.has_delivered_since("shop", ENDED + 5)
    assert not ledger.deliveries.has_delivered_since("shop", ENDED + 6)
    assert not ledger.deliveries.has_delivered_since("all", ENDED)
