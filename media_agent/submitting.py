"""Gets the work of a job accepted, at most once, and finds it again when the reply was lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from media_agent.backend import VideoBackend
from media_agent.branching import token_of
from media_agent.errors import (
    BackendError,
    BackendResponseError,
    ConfigurationError,
    GenerationFailedError,
    JobCancelledError,
    MediaAgentError,
    SubmitUncertainError,
    UnsupportedRequestError,
    from_info,
    to_info,
)
from media_agent.jobs import JobMovedError, JobTerms, Submission, SubmissionState
from media_agent.ledger import Ledger
from media_agent_schemas.capabilities import Capabilities, Plan
from media_agent_schemas.events import BackendEvent, JobProgressed
from media_agent_schemas.jobs import OperationRef, ResumeToken, VideoJob

_LOGGER = logging.getLogger(__name__)
_LOOK_AGAIN = (1.0, 2.0, 4.0, 8.0, 15.0)  # seconds; a provider's list may lag behind
_LONGEST_LOOK = 60.0  # seconds, also for a provider that never answers

OpenBackend = Callable[[Plan], Awaitable[VideoBackend]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run takes from outside, so that tests need not wait, and can end it anywhere."""

    store: Ledger
    now: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[None]]
    work_folder: Path
    open_backend: OpenBackend
    base_url: Callable[[str], str | None] = lambda backend: None
    """Where a backend is, if the settings say it: an inner address may name others."""
    checkpoint: Callable[[str], None] = lambda step: None
    """Called after each step of a job is kept: plan, intent, submit, ref, observe, collect, ..."""
    max_cost_usd_per_day: float | None = None


class Submitting:
    """The submissions of one job; asked again after a crash, it goes on from what is kept."""

    def __init__(
        self,
        job: VideoJob,
        terms: JobTerms,
        around: Surroundings,
        *,
        tell: Callable[[BackendEvent], object] = lambda event: None,
        is_unwanted: Callable[[], bool] = lambda: False,
    ) -> None:
        """Begin; `tell` hears of what takes long, `is_unwanted` is asked before work begins."""
        self.job = job
        self._tell = tell
        self._is_unwanted = is_unwanted
        self._plans = terms.plans
        self._around = around
        self._store = around.store

    async def accepted(self) -> tuple[VideoBackend, OperationRef, ResumeToken | None]:
        """Return who works on the job, where, and from which token it went on.

        Raises:
            SubmitUncertainError: it may have been accepted, and cannot be found; the hint says
                what to do next.
            JobCancelledError: it is not wanted any more; nothing is at work anywhere.
            MediaAgentError: nobody took it; nothing was accepted.
        """
        last = self._store.last_submission(self.job.id)
        if last is None:
            return await self._first_to_accept(0)
        if last.state is SubmissionState.REFUSED:
            return await self._first_to_accept(self._next(last))
        backend = await self._around.open_backend(self._plans[last.number])
        if _limits(backend, self._plans[last.number]).resubmits:
            self._check_wanted()
            token = self._token(self._plans[last.number])
            again = self._store.intend_again(last)
            return backend, await self._submit(backend, again, token), token
        if last.ref is not None:
            return backend, last.ref, None
        return backend, await self._found(backend, last), None

    async def find(self) -> OperationRef | None:
        """Ask once where work of unknown outcome is, and keep the answer; nothing is started.

        Raises:
            BackendError: the backend could not be asked.
        """
        last = self._store.last_submission(self.job.id)
        if last is None or last.ref is not None:
            return None if last is None else last.ref
        plan = self._plans[last.number]
        backend = await self._around.open_backend(plan)
        if _limits(backend, plan).lookup == "none":
            return None
        ref = await backend.find(plan.request, key=last.key, since=last.created_at)
        if ref is None or self._store.is_of_another(last, ref):
            return None
        self._store.accept(last, ref)
        self._around.checkpoint("ref")
        return ref

    async def _first_to_accept(
        self, number: int
    ) -> tuple[VideoBackend, OperationRef, ResumeToken | None]:
        """Offer the plans in order; only a refusal before acceptance leads to the next."""
        while True:
            backend = await self._around.open_backend(self._plans[number])
            self._check_wanted()
            intent = self._store.intend(
                self.job.id,
                number,
                self._around.now(),
                per_day=self._around.max_cost_usd_per_day,
            )
            self._around.checkpoint("intent")
            try:
                token = self._token(self._plans[number])
                return backend, await self._submit(backend, intent, token), None
            except SubmitUncertainError:
                raise
            except MediaAgentError as error:
                self._store.refuse(intent, to_info(error))
                number = self._next(intent, error)

    def _check_wanted(self) -> None:
        """Look once more, with nothing to wait for between this and the intent."""
        if self._is_unwanted():
            raise JobCancelledError(f"job {self.job.id} was stopped before anything was sent")

    def _token(self, plan: Plan) -> ResumeToken | None:
        """Return where the film goes on: after its newest chunk, else where it branches."""
        token = self._store.resume_token(self.job.id)
        return token_of(self._store, plan.origin) if token is None and plan.origin else token

    async def _submit(
        self, backend: VideoBackend, intent: Submission, token: ResumeToken | None
    ) -> OperationRef:
        plan = self._plans[intent.number]
        try:
            return await _to_its_end(self._sent(backend, intent, token))
        except JobMovedError:
            raise
        except Exception as error:
            if _limits(backend, plan).resubmits or _is_refusal(error):
                raise
            _LOGGER.debug("the reply of %s was lost", backend.name, exc_info=True)
            self._store.lose(intent)
            return await self._found(backend, intent, error)

    async def _sent(
        self, backend: VideoBackend, intent: Submission, token: ResumeToken | None
    ) -> OperationRef:
        request = self._plans[intent.number].request
        ref = await backend.submit(request, key=intent.key, resume=token)
        self._around.checkpoint("submit")
        self._store.accept(intent, ref)
        self._around.checkpoint("ref")
        return ref

    async def _found(
        self, backend: VideoBackend, submission: Submission, lost: Exception | None = None
    ) -> OperationRef:
        """Look for the work for a while; it is never sent again.

        Raises:
            SubmitUncertainError: it was not found.
        """
        limits = _limits(backend, self._plans[submission.number])
        said = "" if lost is None else f": {lost}"
        unknown = f"nobody knows whether {backend.name} accepted job {self.job.id}{said}"
        if limits.lookup == "none":
            raise SubmitUncertainError(unknown, hint=_look_yourself(backend.name)) from lost
        self._tell(JobProgressed(phase=f"asking {backend.name} about work whose reply was lost"))
        trouble = f"it shows no work under {'its key' if limits.lookup == 'key' else 'its list'}"
        try:
            async with asyncio.timeout(_LONGEST_LOOK):
                for pause in (*_LOOK_AGAIN, None):
                    try:
                        if (ref := await self.find()) is not None:
                            return ref
                    except BackendError as error:
                        trouble = f"it could not be asked ({error})"
                    if pause is not None:
                        await self._around.sleep(pause)
        except TimeoutError:
            trouble = f"it could not be asked within {_LONGEST_LOOK:g} s"
        hint = f"{trouble}; media-agent jobs reconcile {self.job.id} asks again"
        raise SubmitUncertainError(unknown, hint=hint) from lost

    def _next(self, refused: Submission, error: MediaAgentError | None = None) -> int:
        """Return the number of the plan to offer after a refusal, or raise the refusal."""
        if error is None:
            error = from_info(refused.error) if refused.error else MediaAgentError("refused")
        number = refused.number + 1
        if number >= len(self._plans) or not _lets_others_try(error):
            raise error
        plan = self._plans[number]
        said = f"{refused.backend} refused ({error.message}); {plan.backend}/{plan.model} is next"
        for warning in (said, *plan.warnings):
            self._store.warn(self.job.id, warning)
        return number


async def _to_its_end(sending: Coroutine[object, object, OperationRef]) -> OperationRef:
    """Wait for a reply also when this is cancelled meanwhile: it says where paid work is."""
    task = asyncio.create_task(sending)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _limits(backend: VideoBackend, plan: Plan) -> Capabilities:
    return backend.capabilities(plan.model)


def _is_refusal(error: Exception) -> bool:
    """Return whether an error of `submit` says that nothing was accepted.

    An answer that makes no sense, or a fault of the plugin, came after the request was sent.
    """
    uncertain = SubmitUncertainError | BackendResponseError | GenerationFailedError
    return isinstance(error, MediaAgentError) and not isinstance(error, uncertain)


def _lets_others_try(error: MediaAgentError) -> bool:
    """Return whether the fault lies with this backend, not with the request or its content."""
    return isinstance(error, BackendError | ConfigurationError | UnsupportedRequestError)


def _look_yourself(backend: str) -> str:
    return (
        f"{backend} cannot be asked: look at its own page of jobs or bills; only when the work is "
        "not there, make it again"
    )
