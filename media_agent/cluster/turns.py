"""The turns of jobs: each is a workflow of the engine, in which a worker does what is left to do.

What is left, the ledger says. So a turn carries the id of its job and nothing else, any turn may be
run again from its beginning, and how a worker does its work may change while jobs are queued.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from media_agent.config.backend_section import BackendSection
from media_agent_schemas.plan import Plan

VERSION = 1
"""Of the arguments of a turn and their meaning; raised only when these change.

Workers of a higher version take over what is queued for a lower one, never the other way round."""

FIRST, AGAIN = 10, 5
"""Priorities, the lowest first: what was begun goes before what is new."""

MARK = ".turn-"
"""Between the id of a job and the number of its turn."""


class Stage(StrEnum):
    """How far a turn is."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a job, as the engine keeps it."""

    job_id: str
    number: int
    stage: Stage
    queue: str
    version: int
    worker: str | None
    """Who runs it, or ran it last, by the name of an owner in the ledger."""
    ended_at: float | None = None
    """Seconds since the epoch."""

    @property
    def name(self) -> str:
        """The id of its workflow; the same twice is the same turn."""
        return name_turn(self.job_id, self.number)


class TurnQueue(Protocol):
    """What keeps the turns of jobs; every method may raise StorageError: it is out of reach."""

    async def add(
        self, job_id: str, number: int, queue: str, *, priority: int = AGAIN, resumes: bool = False
    ) -> None:
        """Queue a turn, unless there is one of this number; `resumes` a job that has ended."""
        ...

    async def list_open(self) -> Sequence[Turn]:
        """Return the turns that are queued or running."""
        ...

    async def list_of(self, *job_ids: str) -> Sequence[Turn]:
        """Return the turns of these jobs, those of each oldest first."""
        ...

    async def cancel(self, turns: Sequence[Turn]) -> None:
        """End turns that are queued; of one that runs, only the engine's word for it."""
        ...

    async def requeue(self, turns: Sequence[Turn]) -> None:
        """Let turns whose worker is gone be run by another one, from their beginning."""
        ...

    async def aclose(self) -> None:
        """Let go of the connections."""
        ...


def name_turn(job_id: str, number: int) -> str:
    """Return the name of a turn."""
    return f"{job_id}{MARK}{number}"


def parse_turn(name: str) -> tuple[str, int] | None:
    """Return job and number of a turn; None: it is none of ours."""
    job_id, mark, number = name.rpartition(MARK)
    return (job_id, int(number)) if mark and number.isdecimal() else None


def name_queue(plan: Plan, backends: Mapping[str, BackendSection]) -> str:
    """Return the queue in which a job with this plan waits."""
    section = backends.get(plan.backend)
    if section is not None and plan.model in section.queue.models:
        return f"{plan.backend}/{plan.model}"
    return plan.backend
