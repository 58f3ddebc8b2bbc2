"""From a request to a job that is kept: planned, or the job that its idempotency key belongs to."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from media_agent.errors import BudgetExceededError, IdempotencyConflictError, InvalidRequestError
from media_agent.jobs.context import JobContext
from media_agent.jobs.options import GenerateOptions
from media_agent.jobs.runner import JobRunner
from media_agent.ledger.state import JobOptions
from media_agent.routing.planner import Planner
from media_agent_schemas.jobs import Label, VideoJob
from media_agent_schemas.plan import Plan
from media_agent_schemas.request import VideoRequest

_LABEL: TypeAdapter[str | None] = TypeAdapter(Label | None)


class JobIntake:
    """Takes requests; the same idempotency key is the same job, also from another process."""

    def __init__(self, context: JobContext, planner: Planner, running: JobRunner) -> None:
        self._context = context
        self._jobs = context.store.jobs
        self._planner = planner
        self._running = running

    def new_job_id(self) -> str:
        """Return an id that no job has, sorted by time."""
        return f"{self._context.now():%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"

    async def take(self, request: VideoRequest, options: GenerateOptions) -> tuple[VideoJob, bool]:
        """Keep a job whose video has a place; return it, or the one of its key, and if it is new.

        Raises:
            RequestError: the request cannot be served, its place cannot be used, or it is more than
                a server's caller may spend or have under way.
            IdempotencyConflictError: the key has another request or other terms, or there is a job
                of this id.
        """
        key, out = options.idempotency_key, _absolute(options.out)
        if key == "":
            raise InvalidRequestError("idempotency_key is empty", hint="set a name or omit it")
        _check_label(options.label)
        known = None if key is None else self._jobs.of_key(key, request)
        if known is not None:
            self._check_terms(known, options, out)
            await self._running.wait_until_kept(known)
            return known, False
        plans = options.plans
        if plans is None:
            words = options.allow_unknown_words
            plans = await self._planner.plans(
                request, options.policy, allow_unknown_words=words, caller=options.caller
            )
        elif not plans:
            raise InvalidRequestError("no plan was given", hint="give at least one")
        if options.caller is not None:
            plans = self._affordable(plans, options.caller)
        out = _absolute(options.default_out) if out is None else out
        terms = JobOptions(
            tuple(plans),
            out,
            options.overwrite,
            key,
            label=options.label,
            caller=options.caller,
            fingerprint=options.fingerprint,
            resale_factor=options.resale_factor,
        )
        return await self._running.keep(options.job_id or self.new_job_id(), request, terms)

    def _affordable(self, plans: Sequence[Plan], caller: str) -> Sequence[Plan]:
        """Return the plans within the budgets of a server's caller; the intent is checked again.

        Raises:
            BudgetExceededError: none is; what is said of the first.
        """
        first: BudgetExceededError | None = None
        within = []
        for plan in plans:
            try:
                self._context.store.submissions.check_allowed(caller, plan, self._context.now())
            except BudgetExceededError as error:
                first = first or error
            else:
                within.append(plan)
        if first is not None and not within:
            raise first
        return within

    def _check_terms(self, known: VideoJob, options: GenerateOptions, out: Path | None) -> None:
        """Refuse a key that was given on other terms before, as far as any are given now.

        Raises:
            IdempotencyConflictError: what is asked would not be done.
        """
        terms, policy = self._jobs.terms(known.id), options.policy
        if policy is None and options.plans:
            policy = options.plans[0].policy
        differs = []
        if out is not None and out != terms.out:
            place = terms.out or self._jobs.folder(known.id)
            differs.append(f"puts its video in {place}, not in {out}")
        if policy not in (None, known.plan.policy):
            differs.append(f"was planned under policy {known.plan.policy}, not {policy}")
        if options.overwrite and not terms.overwrite:
            differs.append("does not overwrite an existing video")
        if options.label not in (None, terms.label):
            differs.append(f"has the label {terms.label!r}, not {options.label!r}")
        if differs:
            raise IdempotencyConflictError(
                f"this idempotency key belongs to job {known.id}, which {' and '.join(differs)}",
                hint="repeat it with the same options, or use a new key for a new video",
            )


def _check_label(label: str | None) -> None:
    """Refuse a label that could not be shown in a table.

    Raises:
        InvalidRequestError: it is empty, long, or more than a line.
    """
    try:
        _LABEL.validate_python(label)
    except ValidationError:
        raise InvalidRequestError(
            f"the label {label!r:.120} is not one line of 1 to 100 characters",
            hint="a word is enough, such as trailer",
        ) from None


def _absolute(out: Path | str | None) -> Path | None:
    """Return the place as it is whatever folder a later process starts in; links stay links."""
    return None if out is None else Path(os.path.abspath(out))  # noqa: PTH100
