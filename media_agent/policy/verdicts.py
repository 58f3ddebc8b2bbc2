"""What the answer of a policy means: a note for the record, or an error that says why not."""

from media_agent.errors import PolicyFailedError, PolicyRefusedError
from media_agent.policy.decisions import Allow, Refuse
from media_agent_schemas.policies import PolicyDecision, PolicyNote, PolicyStage

Notes = tuple[PolicyNote, ...]
UNPAID = "nothing was sent, and nothing was paid"
_LONGEST = 500  # characters of what a policy says


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
            way_out = [] if hint is None else [hint]
            way_out += [] if stage is PolicyStage.AFTER_RESULT else [UNPAID]
            raise PolicyRefusedError(
                f"policy {name} refused {what} ({code}): {note.reason}",
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
    said = None if reason is None else " ".join(str(reason).split())[:_LONGEST]
    return PolicyNote(policy=name, stage=stage, decision=decision, code=code, reason=said)


def describe(error: BaseException) -> str:
    """Return the kind of an error and what it says, on one line."""
    said = " ".join(str(error).split())[:_LONGEST]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
