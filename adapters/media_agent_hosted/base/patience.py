"""How long a service may say the same before it is believed, or given up.

Services have bad moments: one odd answer between good ones means nothing. Patience is counted in
polls that say the same one after the other, and in the pauses between them.
"""

from dataclasses import dataclass

from pydantic import JsonValue

from media_agent.errors import OperationNotFoundError
from media_agent_hosted.base.outcomes import end_of
from media_agent_hosted.parsing.causes import Cause
from media_agent_hosted.parsing.lenient import text, unwrap
from media_agent_hosted.parsing.refusals import Refusal
from media_agent_schemas.events import JobFailed, JobOutcomeUnknown, JobProgressed
from media_agent_schemas.jobs import OperationRef

_TIMES = 3
"""How often a no, or a word that is not known here, has to be said before it means an end."""
_WORD_HOLDS_SECONDS = 60.0
"""How long a word that is not known here has to be said before its video is looked for at last."""
_NO_HOLDS_SECONDS = 60.0
"""How long a service has to say no before it is believed of work that it accepted."""
_VIDEO_MAY_TAKE_SECONDS = 90.0
"""How long a video may not be there yet after its service called it complete."""


@dataclass(frozen=True, slots=True)
class _Said:
    what: str
    times: int
    since: float  # of what was waited for the work


class Patience:
    """What was said last of each piece of work in this process, how often, and for how long."""

    def __init__(self) -> None:
        self._last: dict[str, _Said] = {}

    def forget(self, work: str) -> None:
        """Start counting again for a piece of work: a poll said how far it is."""
        self._last.pop(work, None)

    def is_refused(self, work: str, waited: float) -> bool:
        """Whether a no is to be believed that was said just now, whatever its words."""
        said = self._said(work, "a no", waited)
        return said.times >= _TIMES and waited - said.since >= _NO_HOLDS_SECONDS

    def is_stuck(self, work: str, word: str, waited: float) -> bool:
        """Whether a word that is not known here may mean that work is over: it stays the same."""
        return self._said(work, f"the word {word}", waited).times >= _TIMES

    def is_long_stuck(self, work: str, waited: float, deadline: JsonValue) -> bool:
        """Whether the last word was said for so long, or until the deadline, that it may be over.

        Nothing else need say so.
        """
        last = self._last.get(work)
        if last is None or last.times < _TIMES:
            return False
        is_due = isinstance(deadline, int | float) and waited >= deadline
        return is_due or waited - last.since >= _WORD_HOLDS_SECONDS

    def late(
        self, work: str, waited: float, end: JobOutcomeUnknown
    ) -> JobProgressed | JobOutcomeUnknown:
        """Return what it means that a video which was called complete is not there, or not yet.

        That it is complete is the service's word: it can be fetched later, and has not failed.
        """
        since = self._said(work, "no video", waited).since
        if waited - since < _VIDEO_MAY_TAKE_SECONDS:
            return JobProgressed(phase="collect", message=end.error.message)
        self.forget(work)
        return end

    def _said(self, work: str, what: str, waited: float) -> _Said:
        """Count what a poll said; anything else than the last poll said starts at one."""
        last = self._last.get(work)
        again = last is not None and last.what == what
        since = last.since if last is not None and again else waited
        self._last[work] = _Said(what, last.times + 1 if last is not None and again else 1, since)
        return self._last[work]


def may_be_of_poll(refusal: Refusal | None, body: JsonValue, work: str) -> bool:
    """Whether an answer that says "failed" may speak of the question alone, and not of the work.

    It does not name the work, and what it complains of is what polls fail for.
    """
    is_named = any(text(value) == work for value in unwrap(body).values())
    return refusal is not None and not is_named and refusal.cause in (Cause.BUSY, Cause.ACCOUNT)


def end_of_poll(
    refusal: Refusal,
    patience: Patience,
    ref: OperationRef,
    waited: float,
    host: str,
    *,
    says_failed: bool = False,
) -> JobFailed | JobProgressed:
    """Return what a poll means that says no, and not how far the work is.

    It ends the work only if it is said again and again, for a while; trouble with the poll does so
    only where the answer says that something failed.

    Raises:
        BackendError: it is trouble with the poll, and says nothing about the work.
        OperationNotFoundError: the service does not know the work.
    """
    trouble = refusal.of_poll(host)
    if trouble is not None and not says_failed:
        raise trouble
    if not patience.is_refused(ref.operation_id, waited):
        said = f"{host} says {refusal.words!r}, and not how far the work is: it is asked again"
        return JobProgressed(phase="unknown", message=said)
    if refusal.cause is Cause.UNKNOWN_WORK:
        unknown = OperationNotFoundError(f"{host} says: {refusal.words}")
        raise unknown.with_provider_code(refusal.code)
    return end_of(refusal, host, ref.model)
