"""Looks after the jobs of workers that are gone; any worker can do it, one at a time does.

A turn whose worker has shown no life is queued again; a job that nobody works on, and that has no
turn, gets one; a turn that is queued for an older version gets a successor. A wrong guess costs a
turn run twice: the ledger lets only one of the two work, and nothing is submitted a second time.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from media_agent.cluster.turns import FIRST, VERSION, Stage, Turn, TurnQueue, name_queue
from media_agent.config.backend_section import BackendSection
from media_agent.errors import JobNotFoundError, LedgerBusyError, StorageError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.owner import Owner
from media_agent.telemetry.jobs import tell_handover

MOST_IN_A_ROUND = 500
REST_SECONDS = 60.0  # between two turns of a job that could not go on
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tended:
    """What one round did, as numbers of turns."""

    handed_over: int = 0
    begun: int = 0
    carried_over: int = 0

    @property
    def is_anything(self) -> bool:
        """Whether there was anything to do."""
        return any((self.handed_over, self.begun, self.carried_over))


class Watchdog:
    """Does a round when it is told to."""

    def __init__(
        self,
        store: Ledger,
        queue: TurnQueue,
        backends: Mapping[str, BackendSection],
        *,
        clock: Callable[[], float] = time.time,
        version: int = VERSION,
    ) -> None:
        self._store = store
        self._queue = queue
        self._backends = backends
        self._clock = clock
        self._version = version

    async def tend(self) -> Tended | None:
        """Do a round; None: another worker is doing one.

        Raises:
            StorageError: the ledger or the queue is out of reach; nothing is half-done.
        """
        with self._store.owners.tending() as is_ours:
            if not is_ours:
                return None
            open_turns = await self._queue.list_open()
            handed_over = await self._hand_over(open_turns)
            carried_over = await self._carry_over(open_turns)
            begun = await self._begin({turn.job_id for turn in open_turns})
        return Tended(handed_over, begun, carried_over)

    async def _hand_over(self, turns: Sequence[Turn]) -> int:
        """Queue the turns again whose worker is gone."""
        running = [turn for turn in turns if turn.stage is Stage.RUNNING]
        gone = self._store.owners.find_gone({turn.worker or "" for turn in running})
        left = [turn for turn in running if (turn.worker or "") in gone]
        if left:
            await self._queue.requeue(left)
        for turn in left:
            tell_handover(turn.job_id, _place_of(turn))
        return len(left)

    async def _carry_over(self, turns: Sequence[Turn]) -> int:
        """Give turns that wait for workers of an older version a successor in this one."""
        older = [
            turn for turn in turns if turn.stage is Stage.QUEUED and turn.version < self._version
        ]
        for turn in older:
            await self._queue.add(turn.job_id, turn.number + 1, turn.queue)
        if older:
            await self._queue.cancel(older)
        return len(older)

    async def _begin(self, have_turns: Set[str]) -> int:
        """Give a turn to each job that nobody works on and that has none; many in one round."""
        left = [each for each in self._store.owners.list_unworked() if each not in have_turns]
        some = left[:MOST_IN_A_ROUND]
        last = {turn.job_id: turn for turn in await self._queue.list_of(*some)}
        begun = 0
        for job_id in some:
            turn = last.get(job_id)
            if turn is not None and not self._is_over(turn):
                continue
            try:
                queue = name_queue(self._store.jobs.get(job_id).plan, self._backends)
            except LedgerBusyError:
                raise
            except (JobNotFoundError, StorageError) as error:  # others are not held up
                _LOGGER.warning("job %s cannot be queued: %s", job_id, error.message)
                continue
            if turn is None:
                await self._queue.add(job_id, 0, queue, priority=FIRST)
            else:
                await self._queue.add(job_id, turn.number + 1, queue)
                tell_handover(job_id, _place_of(turn))
            begun += 1
        return begun

    def _is_over(self, turn: Turn) -> bool:
        """Return whether a turn ended long enough ago for another one."""
        rest = min(REST_SECONDS, 2.0**turn.number)  # longer where they come to nothing
        return turn.stage is Stage.ENDED and self._clock() - (turn.ended_at or 0.0) >= rest


def _place_of(turn: Turn) -> str:
    """Return where a turn was run, for people."""
    try:
        return Owner.parse(turn.worker or "").place
    except (ValueError, TypeError):
        return "its worker"
