"""The name of a piece of work: whether it can be asked for, and whether an answer is about it.

Whoever is asked about one video and answers about another has told nothing of the first.
"""

from pydantic import JsonValue

from media_agent_hosted.lenient import STATES, is_envelope, merged, spaced, text, value_at
from media_agent_hosted.replies import Reply

_NAMES = ("id", "uuid", "name", "video id", "task id", "job id", "generation id", "request id")


def fits_a_path(name: str) -> bool:
    """Whether the name of work can stand in a path: dots alone would climb out of it."""
    return name.strip(".") != "" and len(name) <= 500 and name.isprintable()


def answer_about(reply: Reply, work: str, place: str = "id") -> JsonValue:
    """Return the JSON of an answer about this work, whose name is due at `place`.

    Of a list of several pieces of work only the entry of this one is left.

    Raises:
        BackendResponseError: it is none, or about other work.
    """
    body = reply.json()
    found = _about(body, work, place)
    if found is None and body is not None:
        raise reply.senseless(f"it is about other work than {work}, which was asked for")
    return found


def _about(body: JsonValue, work: str, place: str) -> JsonValue:
    """Return what is about this work, None if all is about other work."""
    if isinstance(body, list):
        return _entry(body, work, place)
    if not isinstance(body, dict):
        return body
    listed = body.get("data")
    if isinstance(listed, list) and not _says_a_state(body):
        entry = _entry(listed, work, place)
        return None if entry is None else {**body, "data": entry}
    said = {} if _says_a_state(body) else merged(body)
    due = {_name(value_at(each, place)) for each in (body, said)} | {_name(said.get(_last(place)))}
    is_other = bool(due - {None}) and not _names_it(body, work) and not _names_it(said, work)
    return None if is_other and not any(_is_it(name, work) for name in due) else body


def _entry(entries: list[JsonValue], work: str, place: str) -> JsonValue:
    """Return a list with the one entry of this work; all, where they have no names."""
    own: list[JsonValue] = [each for each in entries if _names_it(each, work)]
    names = [
        each.get(name)
        for each in entries
        if isinstance(each, dict)
        for name in {"id", _last(place)}
    ]
    if own or not any(text(name) for name in names):
        return own[:1] or entries
    return None


def _names_it(body: JsonValue, work: str) -> bool:
    """Whether an object names this work at one of the usual places."""
    fields = body.items() if isinstance(body, dict) else ()
    return any(_is_it(text(value), work) for name, value in fields if spaced(name) in _NAMES)


def _is_it(name: str | None, work: str) -> bool:
    """Whether a name means this work: long ones, such as "operations/7", may be cut to the end."""
    return name is not None and (
        name == work or name.endswith(f"/{work}") or work.endswith(f"/{name}")
    )


def _name(value: JsonValue) -> str | None:
    """Return what may be a name; a fraction, as a service in trouble may send, is none."""
    return None if isinstance(value, float | bool) else text(value)


def _says_a_state(body: dict[str, JsonValue]) -> bool:
    words = filter(None, (text(body.get(name)) for name in STATES))
    return any(not is_envelope(word) for word in words)


def _last(place: str) -> str:
    return place.rpartition(".")[2]
