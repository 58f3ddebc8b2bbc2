"""What an amendment changed, for the record; and what may still change before a submission."""

from collections.abc import Iterator

from pydantic import JsonValue

from media_agent_schemas.plan import Adjustment
from media_agent_schemas.policies import AMENDED_BY, PolicyNote
from media_agent_schemas.request import VideoRequest

_WORDS = frozenset({"prompt", "negative_prompt", "shots", "labels"})


def list_changes(
    before: VideoRequest, after: VideoRequest, note: PolicyNote
) -> Iterator[Adjustment]:
    """Yield each field that changed, with both values; of inputs only how many there are.

    `note` is that of the policy that changed them.
    """
    reason = f"{AMENDED_BY}{note.policy}: {note.reason or 'no reason given'}"
    for name in VideoRequest.model_fields:
        if getattr(before, name) != getattr(after, name):
            asked, used = (_value_of(each, name) for each in (before, after))
            yield Adjustment(field=name, asked=asked, used=used, reason=reason)


def find_planned(before: VideoRequest, after: VideoRequest) -> str | None:
    """Return a field that changed although it was planned and priced; None: only words did."""
    for name in VideoRequest.model_fields:
        if name not in _WORDS and getattr(before, name) != getattr(after, name):
            return name
    if (before.prompt is None) != (after.prompt is None):
        return "prompt"
    if [shot.duration for shot in before.shots] != [shot.duration for shot in after.shots]:
        return "shots"
    return None


def _value_of(request: VideoRequest, name: str) -> JsonValue:
    if name == "inputs":
        return [medium.role.value for medium in request.inputs]
    value: JsonValue = request.model_dump(mode="json", include={name})[name]
    return value
