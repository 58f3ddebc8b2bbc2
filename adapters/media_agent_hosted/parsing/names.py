"""Where an answer names work, at whatever place."""

import re

from pydantic import JsonValue

from media_agent_hosted.parsing.lenient import space_words, text

_FIELDS = re.compile(
    r"^(?!(request|trace|log|session|user|account|org|organization|team|project|model|client|app"
    r"|correlation|error|workspace|customer|key|api key) (uu)?id$)(.* )?(id|uuid|guid|uid)$"
    r"|^(task|job|operation|prediction|generation|video|ticket|handle)$"
    r"|^(status|response|result|cancel|get|self|task|job|video|operation) (url|uri|link|href)$"
)


def is_for_a_name(field: str) -> bool:
    """Whether a field of this name is for the name of work, and not of a request or an account."""
    return _FIELDS.search(space_words(field)) is not None


def work_named_in(said: dict[str, JsonValue]) -> str:
    """Return the first field that names work, such as "task_id 'a7'"; "" if there is none."""
    inner = [each for name, each in said.items() if name != "error" and isinstance(each, dict)]
    fields = (field for each in (said, *inner) for field in each.items())
    return next((f"{name} {text(value)!r}" for name, value in fields if _is_name(name, value)), "")


def _is_name(field: str, value: JsonValue) -> bool:
    if space_words(field) == "name":
        return isinstance(value, str) and "/" in value
    return text(value) is not None and is_for_a_name(field)
