"""Measures how long a page of the list of jobs takes: `python benchmarks/jobs.py`.

A ledger of 10,000 jobs of all kinds is generated, a tenth of them in segments that are jobs too.
Then the first page, a late one and one by each filter are read, each from an open ledger, as a
program does it. Times are of the processor, so that other work on the machine does not count.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from machine import describe_machine, load_average

from media_agent.ledger.ledger import Ledger
from media_agent.ledger.pages import JobFilter
from media_agent.ledger.rows import insert, replace_artifacts, row_of
from media_agent.ledger.state import JobOptions
from media_agent.ledger.store.database import Transaction
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.media import Artifact, VideoMetadata
from media_agent_schemas.plan import Plan, Policy
from media_agent_schemas.request import VideoRequest

RESULTS = Path(__file__).parent / "results"
GOAL_MS = 5.0
PAGE = 20
SEGMENTS = 6  # of every tenth job
START = datetime(2026, 1, 1, tzinfo=UTC)
STATUSES = (*[JobStatus.COMPLETED] * 17, *list(JobStatus)[:3])
FACTS = VideoMetadata(width=1280, height=720, fps=24, frames=120, duration=5.0, codec="h264")


def keep_job(transaction: Transaction, number: int, part: int | None = None) -> None:
    """Put a job into the ledger, or a segment of it, with its submission and its video."""
    name = f"job-{number:06d}"
    job_id = name if part is None else f"{name}.segment-{part:04d}"
    backend = ("fal", "replicate", "magi", "rare")[3 if number % 997 == 0 else number % 3]
    request = VideoRequest(prompt=f"a fox runs through snow, view {number}", duration=5)
    plan = Plan(
        backend=backend,
        model="text-to-video",
        policy=Policy.ADJUST,
        request=request,
        estimate=Estimate(cost_usd=0.25),
    )
    label = "rare" if number % 991 == 0 else f"label {number % 5}"
    at = START + timedelta(minutes=number)
    status = STATUSES[number % len(STATUSES)]
    job = VideoJob(
        id=job_id, status=status, created_at=at, updated_at=at, request=request, plan=plan
    )
    terms = JobOptions((plan,), label=label, part_of=None if part is None else name)
    insert(transaction, "jobs", **row_of(job, terms))
    video = Artifact(path=f"/videos/{job_id}.mp4", metadata=FACTS)
    replace_artifacts(transaction, job_id, (video,))
    insert(
        transaction,
        "submissions",
        job_id=job_id,
        number=0,
        key=job_id,
        backend=backend,
        model=plan.model,
        quoted_usd=0.25,
        has_old_price=False,
        reserved_usd=0.0,
        state="intended",
        attempts=1,
        created_at=at,
    )


def fill(path: Path, jobs: int) -> Ledger:
    """Return a ledger of so many jobs."""
    ledger = Ledger(path)
    with ledger.database.writing() as transaction:
        for number in range(jobs):
            keep_job(transaction, number)
            for part in range(SEGMENTS if number % 10 == 0 else 0):
                keep_job(transaction, number, part)
    return ledger


def milliseconds(ledger: Ledger, chosen: JobFilter, repeats: int) -> list[float]:
    """Return how long a page took, once per repeat."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        page = ledger.jobs.list(chosen)
        times.append(1000 * (time.process_time() - began))
        assert page
    return times


def main() -> None:
    """Measure, print, write results/jobs.json, and say by the exit code if the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs in the ledger")
    parser.add_argument("--repeats", type=int, default=100, help="readings of each page")
    given = parser.parse_args()
    pages = {
        "first page": JobFilter(limit=PAGE),
        "late page": JobFilter(limit=PAGE, before=f"job-{given.jobs // 10:06d}"),
        "completed": JobFilter(limit=PAGE, statuses=(JobStatus.COMPLETED,)),
        "of two statuses": JobFilter(
            limit=PAGE, statuses=(JobStatus.COMPLETED, JobStatus.IN_PROGRESS)
        ),
        "of a rare backend": JobFilter(limit=PAGE, backend="rare"),
        "of a common backend and a rare label": JobFilter(limit=PAGE, backend="fal", label="rare"),
        "completed, of a rare backend": JobFilter(
            limit=PAGE, backend="rare/text-to-video", statuses=(JobStatus.COMPLETED,)
        ),
        "since the last hundred": JobFilter(
            limit=PAGE, since=START + timedelta(minutes=given.jobs - 100)
        ),
    }
    load = load_average()
    with tempfile.TemporaryDirectory() as folder:
        ledger = fill(Path(folder) / "ledger.sqlite", given.jobs)
        runs = {name: milliseconds(ledger, page, given.repeats) for name, page in pages.items()}
        lines = [line.model_dump_json() for line in ledger.jobs.list(pages["first page"])]
        ledger.close()
    result = {
        "command": " ".join(["python", "benchmarks/jobs.py", *sys.argv[1:]]),
        "machine": describe_machine(),
        "load_average": load,
        "goal_ms": GOAL_MS,
        "jobs": given.jobs,
        "page": PAGE,
        "json_bytes_of_a_job": round(statistics.mean(map(len, lines))),
        "page_ms": {
            name: {
                "median": round(statistics.median(times), 2),
                "smallest": round(min(times), 2),
                "largest": round(max(times), 2),
            }
            for name, times in runs.items()
        },
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "jobs.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, times in runs.items():
        print(f"{name}: {statistics.median(times):.2f} ms")
    sys.exit(max(map(statistics.median, runs.values())) > GOAL_MS)


if __name__ == "__main__":
    main()
