"""Gets the work of a job accepted, at most once, and finds it again when the reply was lost."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial

from media_agent.backend.protocol import VideoBackend
from media_agent.backend.sending import Sending, as_refusal, follow_submission
from media_agent.errors import (
    BackendError,
    ConfigurationError,
    JobCancelledError,
    MediaAgentError,
    PluginError,
    PolicyFailedError,
    PolicyRefusedError,
    StorageError,
    UnsupportedRequestError,
    from_info,
    to_info,
)
from media_agent.jobs import stopping
from media_agent.jobs.commands import check_prompts
from media_agent.jobs.context import JobContext
from media_agent.jobs.continuing.branch_state import token_of
from media_agent.jobs.recovery.lost_replies import LostReplies
from media_agent.jobs.recovery.receipts import NotKeptError, NotSentError, keep_ref, write_patiently
from media_agent.ledger.state import JobOptions, OwnershipLostError, Submission, SubmissionState
from media_agent.ledger.store.database import UndecidedError
from media_agent.policy.decisions import PolicyCall
from media_agent.provenance.c2pa.ready import check_before_work
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.events import BackendEvent
from media_agent_schemas.jobs import OperationRef, ResumeToken, VideoJob
from media_agent_schemas.plan import Plan

_LOGGER = logging.getLogger(__name__)
_FAULTS_OF_A_BACKEND = (BackendError, UnsupportedRequestError, ConfigurationError, PluginError)


class Submitter:
    """The submissions of one job; asked again after a crash, it continues from what is kept."""

    def __init__(
        self,
        job: VideoJob,
        terms: JobOptions,
        context: JobContext,
        *,
        tell: Callable[[BackendEvent], object] = lambda event: None,
        is_unwanted: Callable[[], bool] = lambda: False,
    ) -> None:
        """Begin; `tell` hears of what takes long, `is_unwanted` is asked before work begins."""
        self.job = job
        self._tell = tell
        self._is_unwanted = is_unwanted
        self._plans = terms.plans
        self._caller = terms.caller
        self._context = context
        self._store = context.store
        self._lost = LostReplies(job.id, terms.plans, context)

    async def submit(self) -> tuple[VideoBackend, OperationRef, ResumeToken | None]:
        """Return who works on the job, where, and from which token it continued.

        Raises:
            SubmitUncertainError: it may have been accepted, and cannot be found; the hint says
                what to do next.
            JobCancelledError: it is not wanted any more; nothing is at work anywhere.
            MediaAgentError: nobody took it; nothing was accepted.
        """
        last = self._store.submissions.last(self.job.id)
        if last is None:
            return await self._offer_in_turn(0)
        if last.state is SubmissionState.REFUSED:
            return await self._offer_in_turn(self._next(last))
        backend = await self._context.open_backend(self._plans[last.number])
        capabilities = _capabilities(backend, self._plans[last.number])
        if capabilities.resubmits:
            await self._ask_policies(last.number, backend)
            if not self._plans[last.number].segments:  # which may be at work at a provider
                self._check_wanted()
            token = self._token(self._plans[last.number])
            again = self._store.submissions.record_retry(
                last, self._context.now(), per_day=self._context.max_cost_usd_per_day
            )
            answer = await self._offer(backend, again, token, capabilities)
            if isinstance(answer, OperationRef):
                return backend, answer, token
            raise answer
        if last.ref is not None:
            return backend, last.ref, None
        return backend, await self._find(backend, last), None

    async def _offer_in_turn(
        self, number: int
    ) -> tuple[VideoBackend, OperationRef, ResumeToken | None]:
        """Offer the plans in order; only a refusal before acceptance leads to the next."""
        while True:
            backend = await self._context.open_backend(self._plans[number])
            if self._context.signing.policy == "require":  # the job may have waited for its turn
                await asyncio.to_thread(check_before_work, self._context.signing)
            await self._ask_policies(number, backend)
            self._check_wanted()
            capabilities = _capabilities(backend, self._plans[number])  # first: it may break
            token = self._token(self._plans[number])
            intent = await self._record_intent(number)
            self._context.pass_checkpoint("intent")
            answer = await self._offer(backend, intent, token, capabilities)
            if isinstance(answer, OperationRef):
                return backend, answer, None
            await self._keep_refusal(intent, answer)
            number = self._next(intent, answer)

    async def _ask_policies(self, number: int, backend: VideoBackend) -> None:
        """Let the policies look at a plan that is about to be submitted, and keep what they say.

        Of a video in segments only a refusal counts: each segment is asked about by itself.

        Raises:
            PolicyRefusedError: one refuses it; or one failed.
            UnsupportedRequestError: the model cannot be given the words that one changed.
        """
        plan, call = self._plans[number], PolicyCall(self._caller, self.job.id)
        try:
            allowed = await self._context.policies.before_submit(plan, call)
        except (PolicyRefusedError, PolicyFailedError) as error:
            self._keep_plan(number, plan.model_copy(update={"policies": error.notes}))
            raise
        if plan.segments:
            allowed = allowed.model_copy(update={"request": plan.request})
        if allowed.request != plan.request:
            check_prompts(allowed.request, _capabilities(backend, plan))
        if allowed != plan:
            self._keep_plan(number, allowed)

    def _keep_plan(self, number: int, plan: Plan) -> None:
        self._store.jobs.replace_plan(self.job.id, number, plan)
        self._plans = (*self._plans[:number], plan, *self._plans[number + 1 :])
        self._lost = LostReplies(self.job.id, self._plans, self._context)

    def _check_wanted(self) -> None:
        """Look once more, with nothing to wait for between this and the intent."""
        if self._is_unwanted():
            raise JobCancelledError(f"job {self.job.id} was stopped before anything was sent")

    def _token(self, plan: Plan) -> ResumeToken | None:
        """Return where the video continues: after its newest chunk, else where it branches."""
        token = self._store.events.resume_token(self.job.id)
        if token is not None or plan.origin is None:
            return token
        return token_of(self._store, plan.origin, self._context.work_folder / self.job.id)

    async def _offer(
        self,
        backend: VideoBackend,
        intent: Submission,
        token: ResumeToken | None,
        capabilities: Capabilities,
    ) -> OperationRef | MediaAgentError:
        """Return where the work is, or the word that nothing was accepted."""
        with follow_submission() as sent:
            sending = asyncio.create_task(self._send(backend, intent, token, sent))
        try:
            return await self._to_its_end(sending, sent)
        except (asyncio.CancelledError, OwnershipLostError):
            await self._keep_last_word(backend, intent, sending, sent, capabilities)
            raise
        except NotKeptError:
            raise
        except NotSentError as trouble:
            await self._withdraw(intent.number)
            raise trouble.error from None
        except Exception as error:  # also a plugin's own: what it means depends on what was sent
            if capabilities.resubmits and not isinstance(error, MediaAgentError):
                raise
            refusal = error if capabilities.resubmits else as_refusal(error, backend.name, sent)
            if isinstance(refusal, MediaAgentError):
                return refusal
            _LOGGER.debug("the reply of %s was lost", backend.name, exc_info=True)
            with contextlib.suppress(MediaAgentError):  # an intent is looked for as well
                self._store.submissions.mark_unknown(intent)
            return await self._find(backend, intent, error)

    async def _send(
        self, backend: VideoBackend, intent: Submission, token: ResumeToken | None, sent: Sending
    ) -> OperationRef:
        request = self._plans[intent.number].request
        sent.is_reporting = True  # nothing can be accepted before the intent is on disk
        try:
            await self._store.flushed(key=intent.key)
            if not self._store.owners.is_safe():  # it was kept up for long, and nobody heard of us
                await asyncio.to_thread(self._store.owners.hold, self.job.id)
        except StorageError as error:
            raise NotSentError(error) from error
        sent.is_reporting = False  # unless the backend says so
        ref = await backend.submit(request, key=intent.key, resume=token)
        await keep_ref(intent, ref, self._context)
        if sent.inputs:
            with contextlib.suppress(MediaAgentError):  # those read before the intent stand there
                self._store.jobs.note_inputs(self.job.id, sent.inputs)
        return ref

    async def _keep_refusal(self, intent: Submission, error: MediaAgentError) -> None:
        mark = self._store.submissions.mark_refused
        await write_patiently(
            partial(mark, intent, to_info(error), self._context.now()), self._context
        )

    async def _record_intent(self, number: int) -> Submission:
        try:
            return self._store.submissions.record_intent(
                self.job.id,
                number,
                self._context.now(),
                per_day=self._context.max_cost_usd_per_day,
                durably=False,  # it is flushed with others before anything is sent
            )
        except UndecidedError:
            await self._withdraw(number)
            raise

    async def _withdraw(self, number: int) -> None:
        """Forget an intent of which nothing was sent, now or before: it can be offered again."""
        withdraw = self._store.submissions.withdraw
        await write_patiently(partial(withdraw, self.job.id, number), self._context)

    async def _to_its_end(
        self, sending: "asyncio.Task[OperationRef]", sent: Sending
    ) -> OperationRef:
        """Wait for a reply, as long as one can come.

        Raises:
            JobCancelledError: it was not wanted any more, and nothing can have been accepted.
        """
        while not sending.done():
            await asyncio.wait({sending}, timeout=stopping.LOOK_SECONDS)
            if sent.may_be_accepted or sending.done() or not self._is_unwanted():
                continue
            sending.cancel()
            await asyncio.wait({sending})
            if sending.cancelled():
                said = f"job {self.job.id} was stopped before anything was accepted"
                raise JobCancelledError(said)
        if sending.cancelled():  # by nobody here
            raise RuntimeError("it cancelled itself")
        return sending.result()

    async def _keep_last_word(
        self,
        backend: VideoBackend,
        intent: Submission,
        sending: "asyncio.Task[OperationRef]",
        sent: Sending,
        capabilities: Capabilities,
    ) -> None:
        """Wait for the reply though nobody continues here: whoever does is to know what it said."""
        await asyncio.wait({sending})
        error = None if sending.cancelled() else sending.exception()
        if isinstance(error, NotSentError):
            with contextlib.suppress(Exception, OwnershipLostError):
                await self._withdraw(intent.number)
            return
        if (
            capabilities.resubmits
            or not isinstance(error, Exception)
            or isinstance(error, OwnershipLostError)
        ):
            return  # a reference was kept by whoever sent
        refusal = as_refusal(error, backend.name, sent)
        if refusal is not None:
            with contextlib.suppress(Exception):  # then the intent stands, and is looked for
                await self._keep_refusal(intent, refusal)

    async def _find(
        self, backend: VideoBackend, submission: Submission, lost: Exception | None = None
    ) -> OperationRef:
        return await self._lost.search(
            backend, submission, lost, tell=self._tell, is_stopped=self._is_unwanted
        )

    def _next(self, refused: Submission, error: MediaAgentError | None = None) -> int:
        """Return the number of the plan to offer after a refusal, or raise the refusal."""
        if error is None:
            error = from_info(refused.error) if refused.error else MediaAgentError("refused")
        number = refused.number + 1
        if number >= len(self._plans) or not isinstance(error, _FAULTS_OF_A_BACKEND):
            raise error
        plan = self._plans[number]
        said = f"{refused.backend} refused ({error.message}); {plan.backend}/{plan.model} is next"
        for warning in (said, *plan.warnings):
            self._store.jobs.warn(self.job.id, warning)
        return number


def _capabilities(backend: VideoBackend, plan: Plan) -> Capabilities:
    return backend.capabilities(plan.model)
