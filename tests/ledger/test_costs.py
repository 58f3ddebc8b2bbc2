"""What jobs cost: billed, else as quoted; segments added up; unknown counted apart."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from media_agent.errors import GenerationFailedError, to_info
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.state import JobOptions, Submission
from media_agent_schemas import Cost, Estimate, Plan, Policy, Segment, VideoJob, VideoRequest

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
YEAR = NOW.replace(year=2025)


@pytest.fixture
def set_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def change(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield change
    monkeypatch.undo()
    time.tzset()


def plan(cost: float | None, backend: str = "fal", model: str = "m") -> Plan:
    request = VideoRequest(prompt="a cat", num_frames=48, fps=24)
    estimate = Estimate(cost_usd=cost)
    return Plan(
        backend=backend, model=model, policy=Policy.ADJUST, request=request, estimate=estimate
    )


def send(
    ledger: Ledger,
    name: str,
    planned: Plan,
    *,
    at: datetime = NOW,
    part_of: str | None = None,
    label: str | None = None,
) -> Submission:
    kept = VideoJob(
        id=name, created_at=at, updated_at=at, request=planned.request, plan=planned, label=label
    )
    ledger.jobs.create(kept, JobOptions((planned,), part_of=part_of, label=label))
    return ledger.submissions.record_intent(name, 0, at)


def money(ledger: Ledger, name: str) -> tuple[float | None, float | None, str | None]:
    job = ledger.jobs.get(name)
    return job.quote_usd, job.cost_usd, job.cost_source


def test_a_job_costs_what_was_billed_else_what_was_quoted(ledger: Ledger) -> None:
    billed = send(ledger, "billed", plan(1.0))
    ledger.submissions.bill(billed, Cost(usd=0.8))
    send(ledger, "quoted", plan(1.0))
    send(ledger, "free", plan(0.0))
    send(ledger, "unknown", plan(None))

    assert money(ledger, "billed") == (1.0, 0.8, "billed")
    assert money(ledger, "quoted") == (1.0, 1.0, "quote")
    assert money(ledger, "free") == (0.0, 0.0, "free")
    assert money(ledger, "unknown") == (None, None, None)


def test_what_was_never_sent_or_was_refused_costs_nothing(ledger: Ledger) -> None:
    refused = send(ledger, "refused", plan(1.0))
    ledger.submissions.mark_refused(refused, to_info(GenerationFailedError("no room")), NOW)
    planned = plan(2.0)
    kept = VideoJob(
        id="waiting", created_at=NOW, updated_at=NOW, request=planned.request, plan=planned
    )
    ledger.jobs.create(kept)

    assert money(ledger, "refused") == (1.0, 0.0, None)
    assert money(ledger, "waiting") == (2.0, 0.0, None)


def in_segments(*costs: float | None) -> Plan:
    whole = plan(None if None in costs else sum(cost or 0 for cost in costs))
    segments = tuple(
        Segment(request=whole.request, estimate=Estimate(cost_usd=cost)) for cost in costs
    )
    return whole.model_copy(update={"segments": segments})


def test_a_video_in_segments_costs_the_sum_of_them(ledger: Ledger) -> None:
    video = send(ledger, "video", in_segments(0.5, 0.5, 0.5), label="trailer")
    first = send(ledger, "video.1", plan(0.5), part_of=video.key)
    ledger.submissions.bill(first, Cost(usd=0.4))
    send(ledger, "video.2", plan(0.5), part_of=video.key)
    send(ledger, "other", plan(9.0))

    assert money(ledger, "video") == (1.5, 0.9, "mixed")
    assert money(ledger, "video.2") == (0.5, 0.5, "quote")


def test_a_video_of_which_one_segment_is_unknown_is_unknown(ledger: Ledger) -> None:
    video = send(ledger, "video", in_segments(0.5, None))
    send(ledger, "video.1", plan(0.5), part_of=video.key)
    before = money(ledger, "video")
    send(ledger, "video.2", plan(None), part_of=video.key)

    assert before == (None, 0.5, "quote")
    assert money(ledger, "video") == (None, None, None)


def test_sums_are_rounded(ledger: Ledger) -> None:
    video = send(ledger, "video", in_segments(*[0.1] * 3))
    for number in range(3):
        send(ledger, f"video.{number}", plan(0.1), part_of=video.key)

    (row,) = ledger.costs.since(YEAR, "backend")
    assert money(ledger, "video") == (0.3, 0.3, "quote")
    assert (row.usd, row.quoted_usd, row.jobs) == (0.3, 0.3, 1)


def test_costs_are_added_up_by_what_is_asked(
    ledger: Ledger, set_zone: Callable[[str], None]
) -> None:
    set_zone("UTC")
    first = send(ledger, "one", plan(1.0, "fal", "a"), label="trailer")
    ledger.submissions.bill(first, Cost(usd=0.75))
    send(ledger, "two", plan(2.0, "fal", "b"), label="trailer")
    send(ledger, "three", plan(0.5, "xai", "c"), at=NOW + timedelta(days=1))
    send(ledger, "dark", plan(None, "xai", "c"), at=NOW + timedelta(days=1))
    send(ledger, "own", plan(0.0, "magi", "tiny"), label="draft")
    refused = send(ledger, "refused", plan(9.0, "fal", "a"))
    ledger.submissions.mark_refused(refused, to_info(GenerationFailedError("no")), NOW)
    send(ledger, "old", plan(7.0), at=YEAR)

    def rows(by: str) -> dict[str, tuple[int, float, float, float, int]]:
        found = ledger.costs.since(NOW, by)  # type: ignore[arg-type]  # one of the four
        return {
            row.name: (row.jobs, row.usd, row.billed_usd, row.quoted_usd, row.unknown)
            for row in found
        }

    assert rows("day") == {"2026-01-02": (3, 2.75, 0.75, 2, 0), "2026-01-03": (2, 0.5, 0, 0.5, 1)}
    assert rows("backend") == {
        "fal": (2, 2.75, 0.75, 2, 0),
        "magi": (1, 0, 0, 0, 0),
        "xai": (2, 0.5, 0, 0.5, 1),
    }
    assert list(rows("model")) == ["fal/a", "fal/b", "magi/tiny", "xai/c"]
    assert rows("label")["trailer"] == (2, 2.75, 0.75, 2, 0)
    assert rows("label")[""][0] == 2


def test_a_video_in_segments_is_a_job_wherever_one_of_them_cost(
    ledger: Ledger, set_zone: Callable[[str], None]
) -> None:
    set_zone("UTC")
    late = NOW + timedelta(days=1)
    video = send(ledger, "video", in_segments(0.5, 0.2, 0.2), label="trailer")
    send(ledger, "video.1", plan(0.5, model="m"), part_of=video.key, label="trailer")
    send(ledger, "video.2", plan(0.2, model="m/extend"), part_of=video.key, label="trailer")
    send(ledger, "video.3", plan(0.2, model="m/extend"), part_of=video.key, at=late)
    send(ledger, "other", plan(1.0, model="m/extend"))

    def rows(since: datetime, by: str) -> dict[str, tuple[int, float]]:
        found = ledger.costs.since(since, by)  # type: ignore[arg-type]  # one of the four
        return {row.name: (row.jobs, row.usd) for row in found}

    assert rows(NOW, "model") == {"fal/m": (1, 0.5), "fal/m/extend": (2, 1.4)}
    assert rows(NOW, "day") == {"2026-01-02": (2, 1.7), "2026-01-03": (1, 0.2)}
    assert rows(late, "backend") == {"fal": (1, 0.2)}  # which began before
    assert (ledger.costs.total(NOW).jobs, ledger.costs.total(NOW).usd) == (2, 1.9)
    assert ledger.costs.total(NOW + timedelta(days=9)).jobs == 0


def test_days_are_those_of_utc_wherever_the_clock_is(
    ledger: Ledger, set_zone: Callable[[str], None]
) -> None:
    set_zone("CET-1CEST,M3.5.0,M10.5.0/3")
    change = datetime(2026, 3, 29, tzinfo=UTC)
    begins, ends = change, change + timedelta(days=1)
    second = timedelta(seconds=1)
    for name, at in (
        ("before", begins - second),
        ("first", begins),
        ("last", ends - second),
        ("after", ends),
    ):
        send(ledger, name, plan(1.0), at=at)

    days = {row.name: row.jobs for row in ledger.costs.since(YEAR, "day")}
    assert list(days.values()) == [1, 2, 1]
    assert list(days)[1] == f"{change:%Y-%m-%d}"
    assert ledger.costs.total(begins).jobs == 3
