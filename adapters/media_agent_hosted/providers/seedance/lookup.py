"""Which tasks in a list may be the one whose reply was lost: it repeats no prompt, so none is sure.

What a task repeats of a request can only speak against it.
"""

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from media_agent_hosted.base.identity import fits_a_path
from media_agent_hosted.base.listed import is_before
from media_agent_hosted.parsing.lenient import moment, text

_REPEATED = ("model", "seed", "resolution", "duration", "generate_audio", "service_tier")


def candidates(
    body: JsonValue, sent: Mapping[str, JsonValue], since: float | None
) -> Iterator[str]:
    """Yield the ids of listed tasks that may be the one that was sent, at that time or later.

    It is told by their clock; None: nobody knows.
    """
    listed = body.get("items") if isinstance(body, dict) else None
    for task in listed if isinstance(listed, list) else []:
        if not isinstance(task, dict):
            continue
        name, made = text(task.get("id")), moment(task.get("created_at"))
        if name is None or not fits_a_path(name) or is_before(made, since):
            continue
        if _fits(task, sent):
            yield name


def _fits(task: Mapping[str, JsonValue], sent: Mapping[str, JsonValue]) -> bool:
    """Whether nothing that a task repeats differs from what was sent; -1 is left to the model."""
    return all(
        task[name] == sent[name]
        for name in _REPEATED
        if task.get(name) is not None and sent.get(name) not in (None, -1)
    )
