"""What the answer of a policy means: a note for the record, or an error that says why not."""

from media_agent.errors import PolicyFailedError, PolicyRefusedError
from media_agent.policy.decisions import Allow, Refuse
from media_agent_schemas.policies import PolicyDecision, PolicyNote, PolicyStage

Notes = tuple[PolicyNote, ...]
UNPAID = "nothing was sent, and nothing was paid"
_LONGEST = 500  # characters of what a policy says
_LONGEST_CODE = 100


def judge(name: str, stage: PolicyStage, answer: object, notes: Notes) -> PolicyNote:
    """Return the note of an answer that changes nothing.

    Raises:
        PolicyRefusedError: it is a refusal.
        PolicyFailedError: it is no answer.
    """
    match answer:
        case Allow():
            return note_of(name, stage, PolicyDecision.ALLOWED)
        case Refuse(code=code, reason=reason, hint=hint):
            note = note_of(name, stage, PolicyDecision.REFUSED, code=code, reason=reason)
            what = "the video" if stage is PolicyStage.AFTER_RESULT else "the request"
            way_out = [] if hint is None else [_on_a_line(hint)]
            way_out += [] if stage is PolicyStage.AFTER_RESULT else [UNPAID]
            raise PolicyRefusedError(
                f"policy {name} refused {what} ({note.code}): {note.reason}",
                notes=(*notes, note),
                hint="; ".join(way_out) or None,
            )
        case _:
            raise failure(name, stage, f"it answered {type(answer).__name__}", notes)


def failure(name: str, stage: PolicyStage, said: str, notes: Notes) -> PolicyFailedError:
    """Return the error of a policy that could not be asked, or broke."""
    note = note_of(name, stage, PolicyDecision.FAILED, reason=said)
    paid = "" if stage is PolicyStage.AFTER_RESULT else f"; {UNPAID}"
    return PolicyFailedError(
        f"the policy {name} failed: {note.reason}",
        notes=(*notes, note),
        hint=f"see [policies.{name}] in the settings{paid}",
    )


def note_of(
    name: str,
    stage: PolicyStage,
    decision: PolicyDecision,
    *,
    code: str | None = None,
    reason: str | None = None,
) -> PolicyNote:
    """Return what a policy said, on one line."""
    return PolicyNote(
        policy=name,
        stage=stage,
        decision=decision,
        code=None if code is None else _on_a_line(code)[:_LONGEST_CODE],
        reason=None if reason is None else _on_a_line(reason),
    )


def describe(error: BaseException) -> str:
    """Return the kind of an error and what it says, on one line."""
    said = _on_a_line(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _on_a_line(said: object) -> str:
    """Return what a policy said as text, whatever it is: its author may have meant no text."""
    try:
        return " ".join(str(said).split())[:_LONGEST]
    except Exception:  # noqa: BLE001  # a plugin's own
        return type(said).__name__
