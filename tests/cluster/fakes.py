"""A queue in memory, and a service whose work is over when a test says so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from media_agent.backend.polled import PolledBackend
from media_agent.cluster.turns import AGAIN, VERSION, Stage, Turn
from media_agent.errors import StorageError
from media_agent_schemas import (
    BackendEvent,
    Capabilities,
    Estimate,
    JobProgressed,
    OperationRef,
    VideoRequest,
)


@dataclass
class MemoryQueue:
    """Keeps turns as the engine does."""

    turns: list[Turn] = field(default_factory=list)
    priorities: dict[str, int] = field(default_factory=dict)
    resuming: set[str] = field(default_factory=set)
    """The turns of jobs that had ended."""
    is_away: bool = False

    async def add(
        self, job_id: str, number: int, queue: str, *, priority: int = AGAIN, resumes: bool = False
    ) -> None:
        if self.is_away:
            raise StorageError("the queue of jobs cannot be used: it is away")
        turn = Turn(job_id, number, Stage.QUEUED, queue, VERSION, None)
        if all(each.name != turn.name for each in self.turns):
            self.turns.append(turn)
            self.priorities[turn.name] = priority
            if resumes:
                self.resuming.add(turn.name)

    async def list_open(self) -> Sequence[Turn]:
        return [turn for turn in self.turns if turn.stage is not Stage.ENDED]

    async def list_of(self, *job_ids: str) -> Sequence[Turn]:
        found = [turn for turn in self.turns if turn.job_id in job_ids]
        return sorted(found, key=lambda turn: (turn.job_id, turn.number))

    async def cancel(self, turns: Sequence[Turn]) -> None:
        self.change(lambda turn: turn in turns, stage=Stage.ENDED)

    async def requeue(self, turns: Sequence[Turn]) -> None:
        self.change(lambda turn: turn in turns, stage=Stage.QUEUED, worker=None)

    async def aclose(self) -> None:
        """Nothing is open."""

    def change(self, chosen: Callable[[Turn], bool], **values: object) -> None:
        """Change the turns that are chosen."""
        self.turns = [
            replace(turn, **values) if chosen(turn) else turn  # type: ignore[arg-type]  # of its own fields
            for turn in self.turns
        ]


class Service(PolledBackend):
    """Work at a service: `answers` says how each piece stands."""

    poll_seconds = 0.05
    longest_poll_seconds = 0.05

    @property
    def answers(self) -> "dict[str, BackendEvent | Exception]":
        return self.__dict__.setdefault("_answers", {})

    @property
    def polls(self) -> list[str]:
        return self.__dict__.setdefault("_polls", [])

    @property
    def sent(self) -> list[str]:
        return self.__dict__.setdefault("_sent", [])

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(backend=self.name, model="m", default_fps=4, seed=True)

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=0.1)

    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        self.sent.append(key)
        return OperationRef(backend=self.name, model="m", operation_id=key)

    async def status(self, ref: OperationRef) -> BackendEvent:
        self.polls.append(ref.operation_id)
        answer = self.answers.get(ref.operation_id, JobProgressed(phase="queued"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def cancel_once(self, ref: OperationRef) -> None:
        from media_agent_schemas import JobCancelled

        self.answers[ref.operation_id] = JobCancelled(model="m")
