"""Jobs as they are looked up: filters, pages, names; answered by an index."""

from datetime import timedelta
from itertools import chain

import pytest

from media_agent.errors import GenerationFailedError, InvalidRequestError, JobNotFoundError, to_info
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.pages import JobFilter
from media_agent.ledger.state import JobOptions
from media_agent_schemas import (
    Artifact,
    Cost,
    JobCompleted,
    JobFailed,
    JobProgressed,
    JobStatus,
    Shot,
    VideoMetadata,
    VideoRequest,
)
from tests.ledger.samples import NOW, Place, job, plan

COMPLETED, FAILED, QUEUED = JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.QUEUED
FACTS = VideoMetadata(width=64, height=64, fps=24, frames=816, duration=34.0, codec="h264")
VIDEO = Artifact(path="/videos/a.mp4", metadata=FACTS)
CHOICES = {
    "statuses": (COMPLETED, FAILED),
    "since": NOW,
    "backend": "b/m",
    "label": "spring",
    "before": "job-1",
}


def keep(
    ledger: Ledger,
    name: str,
    *,
    minutes: int = 0,
    backend: str = "b",
    label: str | None = None,
    part_of: str | None = None,
    cost: float | None = None,
) -> None:
    planned = plan(cost=cost).model_copy(update={"backend": backend})
    created_at = NOW + timedelta(minutes=minutes)
    kept = job(name, created_at).model_copy(update={"plan": planned})
    ledger.jobs.create(kept, JobOptions((planned,), part_of=part_of, label=label))


def complete(ledger: Ledger, name: str) -> None:
    ledger.events.append(name, JobCompleted(artifacts=(VIDEO,)), NOW)


def names(ledger: Ledger, **choices: object) -> list[str]:
    return [each.id for each in ledger.jobs.list(JobFilter(**choices))]  # type: ignore[arg-type]


def test_a_line_has_the_delivered_length_the_cost_and_the_first_words(ledger: Ledger) -> None:
    request = VideoRequest(
        shots=(Shot(prompt="a  fox", duration=2), Shot(prompt="snow " * 100)), endless=True
    )
    planned = plan(cost=2.0).model_copy(update={"request": request})
    kept = job().model_copy(update={"request": request, "plan": planned})
    ledger.jobs.create(kept, JobOptions((planned,), label="spring"))
    sent = ledger.submissions.record_intent("one", 0, NOW)
    ledger.submissions.bill(sent, Cost(usd=1.5))
    complete(ledger, "one")

    (line,) = ledger.jobs.list()

    assert (line.seconds, line.path, line.status) == (34.0, "/videos/a.mp4", COMPLETED)
    assert (line.quote_usd, line.cost_usd, line.cost_source) == (2.0, 1.5, "billed")
    assert (line.backend, line.model, line.label, line.segments) == ("b", "m", "spring", 0)
    assert line.title.startswith("a fox / snow snow")
    assert len(line.title) == 100


def test_a_line_of_a_job_under_way_says_how_far_it_is(ledger: Ledger) -> None:
    keep(ledger, "one")
    keep(ledger, "two", minutes=1)
    ledger.events.append("one", JobProgressed(phase="denoising", fraction=0.25), NOW)

    waiting, running = ledger.jobs.list()

    assert (waiting.progress, waiting.phase) == (None, None)
    assert (running.progress, running.phase) == (0.25, "denoising")


def test_a_job_that_moved_to_another_plan_is_found_under_its_backend(ledger: Ledger) -> None:
    first = plan(cost=2.0).model_copy(update={"backend": "first"})
    second = plan(cost=1.0).model_copy(update={"backend": "second"})
    kept = job().model_copy(update={"plan": first})
    ledger.jobs.create(kept, JobOptions((first, second)))

    ledger.submissions.record_intent("one", 1, NOW)

    assert names(ledger, backend="first") == []
    (line,) = ledger.jobs.list(JobFilter(backend="second/m"))
    assert line.quote_usd == 1.0


def test_filters_narrow_each_other(ledger: Ledger) -> None:
    keep(ledger, "old", minutes=-60)
    keep(ledger, "done", minutes=1, label="spring")
    keep(ledger, "lost", minutes=2, backend="fal", label="spring")
    keep(ledger, "new", minutes=3)
    complete(ledger, "done")
    error = to_info(GenerationFailedError("no"))
    ledger.events.append("lost", JobFailed(error=error), NOW)

    assert names(ledger) == ["new", "lost", "done", "old"]
    assert names(ledger, statuses=(FAILED, COMPLETED)) == ["lost", "done"]
    assert names(ledger, since=NOW) == ["new", "lost", "done"]
    assert names(ledger, label="spring") == ["lost", "done"]
    assert names(ledger, label="spring", backend="fal") == ["lost"]
    assert names(ledger, backend="b/m") == ["new", "done", "old"]
    assert names(ledger, backend="b/other") == []


def test_pages_follow_each_other_without_gap_or_repetition(ledger: Ledger) -> None:
    for number in range(7):
        keep(ledger, f"job-{number}", minutes=number // 3)  # three were accepted at a time

    pages, last = [], None
    while page := names(ledger, limit=2, before=last):
        pages.append(page)
        last = page[-1]

    assert list(chain(*pages)) == [f"job-{number}" for number in reversed(range(7))]
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    with pytest.raises(JobNotFoundError, match="unknown job 'nobody'"):
        names(ledger, before="nobody")


def test_segments_stand_in_the_line_of_their_job_and_cost_with_it(ledger: Ledger) -> None:
    keep(ledger, "whole", cost=0.0)
    ledger.submissions.record_intent("whole", 0, NOW)
    for number in (1, 2):
        keep(ledger, f"whole.segment-{number}", minutes=number, part_of="whole", cost=0.5)
        ledger.submissions.record_intent(f"whole.segment-{number}", 0, NOW)

    (line,) = ledger.jobs.list()

    assert (line.id, line.segments, line.cost_usd) == ("whole", 2, 1.0)
    assert ledger.jobs.segments_of("whole") == ("whole.segment-1", "whole.segment-2")
    assert ledger.jobs.whole_of("whole.segment-2") == "whole"
    assert ledger.jobs.whole_of("whole") == "whole"
    assert ledger.jobs.whole_of("nobody") is None
    assert [each.id for each in ledger.jobs.unsettled()] == [
        "whole",
        "whole.segment-1",
        "whole.segment-2",
    ]


def test_a_line_whose_file_is_damaged_in_the_ledger_is_there_all_the_same(
    ledger: Ledger, place: Place
) -> None:
    keep(ledger, "one")
    complete(ledger, "one")
    place.change("UPDATE artifacts SET artifact = '{'")

    (line,) = ledger.jobs.list()

    assert (line.seconds, line.path) == (34.0, "/videos/a.mp4")


def test_a_name_is_an_id_the_beginning_of_one_or_the_newest(ledger: Ledger) -> None:
    keep(ledger, "20260102-a")
    keep(ledger, "20260102-ab", minutes=1)
    keep(ledger, "20260103-c", minutes=-5)
    keep(ledger, "20260103-c.segment-1", minutes=9, part_of="20260103-c")

    assert ledger.jobs.find("20260102-a") == "20260102-a"
    assert ledger.jobs.find("20260103") == "20260103-c"
    assert ledger.jobs.find("20260103-c.segment-1") == "20260103-c.segment-1"
    assert ledger.jobs.find("last") == "20260102-ab"


def test_a_beginning_of_several_ids_names_them(ledger: Ledger) -> None:
    for number in range(8):
        keep(ledger, f"2026-{number}")

    with pytest.raises(InvalidRequestError, match="begins the ids of several jobs") as caught:
        ledger.jobs.find("2026-")

    assert caught.value.hint == "one of 2026-7, 2026-6, 2026-5, 2026-4, 2026-3, ..."


@pytest.mark.parametrize("name", ["", "202", "2026-9", "%", "last"])
def test_a_name_of_no_job_is_said(ledger: Ledger, name: str) -> None:
    if name != "last":
        keep(ledger, "2026-1")

    with pytest.raises(JobNotFoundError, match="unknown job"):
        ledger.jobs.find(name)


def test_what_is_left_of_a_removed_job_is_what_it_cost_and_its_id(ledger: Ledger) -> None:
    options = JobOptions((plan(cost=2.0),), idempotency_key="k")
    kept = ledger.jobs.create(job(cost=2.0), options)
    ledger.submissions.record_intent("one", 0, NOW)
    complete(ledger, "one")

    ledger.jobs.remove("one")

    assert ledger.jobs.list() == []
    assert not ledger.jobs.has_key("k")
    assert ledger.submissions.spent(NOW) == 2.0
    assert [row.usd for row in ledger.costs.since(NOW, "day")] == [2.0]
    for look in (ledger.jobs.get, ledger.jobs.find, ledger.jobs.remove):
        with pytest.raises(JobNotFoundError, match="unknown job 'one'"):
            look("one")
    with pytest.raises(Exception, match="job one exists already"):
        ledger.jobs.create(kept)


def test_the_jobs_of_one_caller_are_listed_alone_and_oldest_first_if_asked(ledger: Ledger) -> None:
    for number, caller in enumerate(("ann", "ben", "ann", None)):
        made = job(f"j{number}", NOW + timedelta(minutes=number))
        ledger.jobs.create(made, JobOptions((made.plan,), caller=caller))

    assert names(ledger, caller="ann") == ["j2", "j0"]
    assert names(ledger, oldest_first=True, limit=2) == ["j0", "j1"]
    assert names(ledger, oldest_first=True, before="j1") == ["j2", "j3"]
    assert names(ledger, caller="ann", oldest_first=True, before="j0") == ["j2"]
