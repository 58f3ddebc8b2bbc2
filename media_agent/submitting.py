"""Gets the work of a job accepted, at most once, and finds it again when the reply was lost."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from media_agent.backend import VideoBackend
from media_agent.branching import token_of
from media_agent.errors import (
    BackendError,
    BackendResponseError,
    ConfigurationError,
    InvalidRequestError,
    JobCancelledError,
    MediaAgentError,
    PluginError,
    SubmitUncertainError,
    UnsupportedRequestError,
    from_info,
    to_info,
)
from media_agent.jobs import JobMovedError, JobTerms, Submission, SubmissionState
from media_agent.ledger import Ledger
from media_agent.sending import Sending, followed, is_refusal
from media_agent.stopping import LOOK_SECONDS, while_wanted
from media_agent_schemas.capabilities import Capabilities, Plan
from media_agent_schemas.events import BackendEvent, JobProgressed
from media_agent_schemas.jobs import OperationRef, ResumeToken, VideoJob

_LOGGER = logging.getLogger(__name__)
_LOOK_AGAIN = (1.0, 2.0, 4.0, 8.0, 15.0)  # seconds; a provider's list may lag behind
_LONGEST_LOOK = 60.0  # seconds, also for a provider that never answers
_WRITE_AGAIN = (0.2, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)  # seconds between two attempts

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


class NotKeptError(SubmitUncertainError):
    """It was accepted, and where it is could not be written down: trouble of our own."""


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
        limits = _limits(backend, self._plans[last.number])
        if limits.resubmits:
            self._check_wanted()
            token = self._token(self._plans[last.number])
            again = self._store.intend_again(last)
            answer = await self._submit(backend, again, token, limits)
            if isinstance(answer, OperationRef):
                return backend, answer, token
            raise answer
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
        await self._keep_ref(last, ref)
        return ref

    async def _first_to_accept(
        self, number: int
    ) -> tuple[VideoBackend, OperationRef, ResumeToken | None]:
        """Offer the plans in order; only a refusal before acceptance leads to the next."""
        while True:
            backend = await self._around.open_backend(self._plans[number])
            self._check_wanted()
            limits = _limits(backend, self._plans[number])  # first: it may break
            token = self._token(self._plans[number])
            intent = self._store.intend(
                self.job.id,
                number,
                self._around.now(),
                per_day=self._around.max_cost_usd_per_day,
            )
            self._reached("intent")
            answer = await self._submit(backend, intent, token, limits)
            if isinstance(answer, OperationRef):
                return backend, answer, None
            await self._written(partial(self._store.refuse, intent, to_info(answer)))
            number = self._next(intent, answer)

    def _check_wanted(self) -> None:
        """Look once more, with nothing to wait for between this and the intent."""
        if self._is_unwanted():
            raise JobCancelledError(f"job {self.job.id} was stopped before anything was sent")

    def _token(self, plan: Plan) -> ResumeToken | None:
        """Return where the film goes on: after its newest chunk, else where it branches."""
        token = self._store.resume_token(self.job.id)
        return token_of(self._store, plan.origin) if token is None and plan.origin else token

    async def _submit(
        self,
        backend: VideoBackend,
        intent: Submission,
        token: ResumeToken | None,
        limits: Capabilities,
    ) -> OperationRef | MediaAgentError:
        """Return where the work is, or the word that nothing was accepted."""
        with followed() as sent:
            sending = asyncio.create_task(self._sent(backend, intent, token, sent))
        try:
            return await self._to_its_end(sending, sent)
        except (JobMovedError, NotKeptError):
            raise
        except Exception as error:  # also a plugin's own: what it means depends on what was sent
            if limits.resubmits and not isinstance(error, MediaAgentError):
                raise
            refusal = error if limits.resubmits else _as_refusal(error, backend.name, sent)
            if isinstance(refusal, MediaAgentError):
                return refusal
            _LOGGER.debug("the reply of %s was lost", backend.name, exc_info=True)
            with contextlib.suppress(MediaAgentError):  # an intent is looked for as well
                self._store.lose(intent)
            return await self._found(backend, intent, error)

    async def _sent(
        self, backend: VideoBackend, intent: Submission, token: ResumeToken | None, sent: Sending
    ) -> OperationRef:
        request = self._plans[intent.number].request
        ref = await backend.submit(request, key=intent.key, resume=token)
        await self._keep_ref(intent, ref)
        if sent.inputs:
            with contextlib.suppress(MediaAgentError):  # those read before the intent stand there
                self._store.note_inputs(self.job.id, sent.inputs)
        return ref

    async def _to_its_end(
        self, sending: "asyncio.Task[OperationRef]", sent: Sending
    ) -> OperationRef:
        """Wait for a reply also when this is cancelled meanwhile: it says where paid work is.

        Raises:
            JobCancelledError: it was not wanted any more, and nothing can have been accepted.
        """
        try:
            while not sending.done():
                await asyncio.wait({sending}, timeout=LOOK_SECONDS)
                if sent.may_be_accepted or sending.done() or not self._is_stopped():
                    continue
                sending.cancel()
                await asyncio.wait({sending})
                if sending.cancelled():
                    said = f"job {self.job.id} was stopped before anything was accepted"
                    raise JobCancelledError(said)
        except asyncio.CancelledError:
            await asyncio.wait({sending})
            raise
        if sending.cancelled():  # by nobody here
            raise RuntimeError("it cancelled itself")
        return sending.result()

    async def _keep_ref(self, submission: Submission, ref: OperationRef) -> None:
        """Write down where accepted work is: it stands nowhere else.

        Raises:
            NotKeptError: that was in vain; the message says where it is.
            JobMovedError: other work of this job was accepted.
        """
        self._reached("submit")
        try:
            await self._written(partial(self._store.accept, submission, ref))
        except JobMovedError:
            raise
        except Exception as error:  # whatever it is, it is no refusal
            where = _address_in(ref) or self._around.base_url(submission.backend)
            at = f" ({where})" if where else ""
            raise NotKeptError(
                f"{submission.backend} accepted job {self.job.id} as {ref.operation_id}{at}, "
                f"which could not be written down: {error or type(error).__name__}",
                hint=f"keep this line; media-agent jobs resume {self.job.id} looks again",
            ) from error
        self._reached("ref")

    def _reached(self, step: str) -> None:
        """Call the checkpoint of a step; what breaks there is no word about the work."""
        try:
            self._around.checkpoint(step)
        except Exception:
            _LOGGER.warning("the checkpoint of job %s broke", self.job.id, exc_info=True)

    async def _written(self, write: Callable[[], object]) -> None:
        """Write into the ledger, again and again: what is written is known nowhere else."""
        for pause in (*_WRITE_AGAIN, None):
            try:
                await asyncio.to_thread(write)
            except JobMovedError:
                raise
            except Exception:  # a lock, a full disk, no memory: it may pass
                if pause is None:
                    raise
                _LOGGER.debug("the ledger is written again in %g s", pause, exc_info=True)
            else:
                return
            try:
                await self._around.sleep(pause)
            except asyncio.CancelledError:
                with contextlib.suppress(MediaAgentError):
                    write()
                raise

    async def _found(
        self, backend: VideoBackend, submission: Submission, lost: Exception | None = None
    ) -> OperationRef:
        """Look for the work for a while, unless it is to stop; it is never sent again.

        Raises:
            SubmitUncertainError: it was not found.
        """
        limits = _limits(backend, self._plans[submission.number])
        can_ask = limits.lookup != "none"
        if can_ask:
            said = f"asking {backend.name} about work whose reply was lost"
            self._tell(JobProgressed(phase=said))
        is_stopped = self._is_stopped()  # then one look must do: what is found can be stopped
        looking = self._looked_for(_LOOK_AGAIN if can_ask and not is_stopped else ())
        under = "its key" if limits.lookup == "key" else "its list"
        trouble: str | None
        try:
            async with asyncio.timeout(_LONGEST_LOOK):
                found = await (looking if is_stopped else while_wanted(looking, self._is_stopped))
            if isinstance(found, OperationRef):
                return found
            trouble = found or f"it shows no work under {under}"
        except TimeoutError:
            trouble = f"it could not be asked within {_LONGEST_LOOK:g} s"
        except JobCancelledError:
            trouble = "it was stopped while it was asked"
        why = "" if lost is None else f": {lost}"
        asks_again = f"{trouble}; media-agent jobs reconcile {self.job.id} asks again"
        raise SubmitUncertainError(
            f"nobody knows whether {backend.name} accepted job {self.job.id}{why}",
            hint=asks_again if can_ask else _look_yourself(backend.name),
        ) from lost

    async def _looked_for(self, pauses: tuple[float, ...]) -> OperationRef | str | None:
        """Return where the work is, or else what kept from asking."""
        trouble = None
        for pause in (*pauses, None):
            try:
                if (ref := await self.find()) is not None:
                    return ref
            except (JobMovedError, NotKeptError):
                raise
            except BackendResponseError as error:  # it was asked, and nobody can be sure
                trouble = error.message
            except Exception as error:  # noqa: BLE001  # a plugin's own too: it says nothing about the work
                trouble = f"it could not be asked ({error})"
            if pause is not None:
                await self._around.sleep(pause)
        return trouble

    def _is_stopped(self) -> bool:
        """Return whether the job is to stop, as far as that can be seen."""
        with contextlib.suppress(MediaAgentError, JobMovedError):
            return self._is_unwanted()
        return False

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


def _limits(backend: VideoBackend, plan: Plan) -> Capabilities:
    return backend.capabilities(plan.model)


def _as_refusal(error: Exception, backend: str, sent: Sending) -> MediaAgentError | None:
    """Return the word that nothing was accepted; None: it may have been."""
    if isinstance(error, MediaAgentError) and is_refusal(error):
        return error
    if sent.may_be_accepted or isinstance(error, SubmitUncertainError):
        return None
    if isinstance(error, MediaAgentError):
        return error
    if isinstance(error, ValueError):  # such as text that is no Unicode, or a number without JSON
        return InvalidRequestError(f"{backend} cannot send this: {error}", hint="nothing was sent")
    said = f"{backend} broke before anything was sent: {type(error).__name__}: {error}"
    return PluginError(said)


def _lets_others_try(error: MediaAgentError) -> bool:
    """Return whether the fault lies with this backend, not with the request or its content."""
    own = BackendError | UnsupportedRequestError | ConfigurationError | PluginError
    return isinstance(error, own)


def _address_in(ref: OperationRef) -> str | None:
    """Return the first address in a reference."""
    addresses = (each for each in ref.data.values() if isinstance(each, str) and "://" in each)
    return next(addresses, None)


def _look_yourself(backend: str) -> str:
    return (
        f"{backend} cannot be asked: look at its own page of jobs or bills; only when the work is "
        "not there, make it again"
    )
