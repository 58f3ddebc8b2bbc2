"""Looks for work whose reply was lost, where its backend can be asked; it is never sent again."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, repeat

from media_agent.backend.fence import describe_error
from media_agent.backend.protocol import VideoBackend
from media_agent.errors import (
    BackendResponseError,
    BackendUnavailableError,
    JobCancelledError,
    MediaAgentError,
    SubmitUncertainError,
)
from media_agent.jobs.context import JobContext
from media_agent.jobs.recovery.receipts import keep_ref
from media_agent.jobs.stopping import while_wanted
from media_agent.ledger.state import Submission
from media_agent_schemas.capabilities import USUAL_LOOKUP_SECONDS, Capabilities
from media_agent_schemas.events import BackendEvent, JobProgressed
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.plan import Plan

_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)  # seconds between looks; a provider's list may lag behind
_FURTHER_PAUSE = 30.0
_FOR_ANSWERS = 30.0  # seconds beyond all pauses, also for a provider that never answers


class LostReplies:
    """The search for the work of one job."""

    def __init__(self, job_id: str, plans: Sequence[Plan], context: JobContext) -> None:
        self._job_id = job_id
        self._plans = plans
        self._context = context

    async def find(self) -> OperationRef | None:
        """Ask once where work of unknown outcome is, and keep the answer; nothing is started.

        Raises:
            BackendError: the backend could not be asked.
        """
        last = self._context.store.submissions.last(self._job_id)
        if last is None or last.ref is not None:
            return None if last is None else last.ref
        ref = await self._ask(last)
        if ref is not None:
            await keep_ref(last, ref, self._context)
        return ref

    async def search(
        self,
        backend: VideoBackend,
        submission: Submission,
        lost: Exception | None = None,
        *,
        tell: Callable[[BackendEvent], object],
        is_stopped: Callable[[], bool],
    ) -> OperationRef:
        """Look for the work for a while, unless it is to stop.

        Raises:
            SubmitUncertainError: it was not found.
        """
        capabilities = backend.capabilities(self._plans[submission.number].model)
        can_ask = capabilities.lookup != "none"
        seconds = self._time_to_look(submission, capabilities)
        if can_ask:
            tell(JobProgressed(phase=_say_search(backend.name, seconds)))
        is_last = is_stopped()  # then one look must do: what is found can be stopped
        looking = self._search(submission, _pauses(seconds) if can_ask and not is_last else ())
        where = "under its key" if capabilities.lookup == "key" else "in its list"
        longest = seconds + _FOR_ANSWERS
        trouble: str | None
        try:
            is_unwanted = _never if is_last else is_stopped
            found = await while_wanted(looking, is_unwanted, longest=longest)
            if isinstance(found, OperationRef):
                await keep_ref(submission, found, self._context)  # however long that takes
                return found
            trouble = found or f"it shows no such work {where}"
        except TimeoutError:
            trouble = f"it could not be asked within {longest:g} s"
        except JobCancelledError:
            trouble = "it was stopped while being asked"
        why = "" if lost is None else f": {lost}"
        asks_again = f"{trouble}; media-agent jobs reconcile {self._job_id} asks again"
        raise SubmitUncertainError(
            f"it is unknown whether {backend.name} accepted job {self._job_id}{why}",
            hint=asks_again if can_ask else _look_yourself(backend.name),
        ) from lost

    def _time_to_look(self, submission: Submission, capabilities: Capabilities) -> float:
        """Return for how many seconds to look: until the work must be listed, but for a while.

        A process that was killed has looked before; a clock that was set makes it no longer.
        """
        most = capabilities.lookup_seconds
        passed = (self._context.now() - submission.created_at).total_seconds()
        return min(most, max(most - passed, USUAL_LOOKUP_SECONDS))

    async def _search(
        self, submission: Submission, pauses: Iterable[float]
    ) -> OperationRef | str | None:
        """Return where the work is, or else what kept from asking.

        What refuses to say, or says what makes no sense, each time is not asked for longer than
        usual; what cannot be reached may be again.
        """
        trouble, may_tell, waited = None, False, 0.0
        for pause in chain(pauses, (None,)):
            try:
                if (ref := await self._ask(submission)) is not None:
                    return ref
                may_tell = True
            except BackendResponseError as error:  # it was asked, and nobody can be sure
                trouble = error.message
            except MediaAgentError as error:
                may_tell = may_tell or isinstance(error, BackendUnavailableError)
                trouble = f"it could not be asked ({error.message})"
            if pause is None or (waited >= USUAL_LOOKUP_SECONDS and not may_tell):
                break
            await self._context.sleep(pause)
            waited += pause
        return trouble

    async def _ask(self, submission: Submission) -> OperationRef | None:
        """Ask once where work is.

        Raises:
            BackendError: the backend could not be asked, or broke.
        """
        plan = self._plans[submission.number]
        backend = await self._context.open_backend(plan)
        if backend.capabilities(plan.model).lookup == "none":
            return None
        try:
            ref = await backend.find(plan.request, key=submission.key, since=submission.created_at)
        except MediaAgentError:
            raise
        except Exception as error:  # a plugin's own: it says nothing about the work
            said = f"{backend.name} failed when asked: {describe_error(error)}"
            raise BackendResponseError(said) from error
        is_known = ref is not None and self._context.store.submissions.is_of_another(
            submission, ref
        )
        return None if is_known else ref


def _pauses(seconds: float) -> Iterator[float]:
    """Yield growing pauses that together take so long."""
    for pause in chain(_PAUSES, repeat(_FURTHER_PAUSE)):
        if seconds <= 0:
            return
        yield min(pause, seconds)
        seconds -= pause


def _say_search(backend: str, seconds: float) -> str:
    """Say what is looked for, and for how long where that is longer than usual."""
    said = f"asking {backend} about work whose reply was lost"
    if seconds <= USUAL_LOOKUP_SECONDS:
        return said
    return f"{said}, for up to {seconds / 60:.0f} min: it may be listed only once it has ended"


def _never() -> bool:
    return False


def _look_yourself(backend: str) -> str:
    return (
        f"{backend} cannot be asked: check its own page of jobs or bills; submit again only if the "
        "work is not there"
    )
