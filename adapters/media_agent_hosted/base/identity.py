"""The name of a piece of work: whether it can be asked for, and whether an answer is about it.

A reply about another video says nothing about the one that was asked for.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from media_agent_hosted.http.replies import Reply
from media_agent_hosted.parsing.lenient import (
    STATES,
    WRAPPERS,
    is_envelope,
    space_words,
    text,
    value_at,
)
from media_agent_hosted.parsing.states import state_of

_OF_RESULTS_TOO = ("id", "uuid", "videoid", "videouuid")
"""Names of work that a file has as well, where it stands in an answer that says a state."""
_NAMES = (
    *_OF_RESULTS_TOO,
    *("taskid", "taskuuid", "jobid", "jobuuid", "generationid", "predictionid", "operationid"),
    *("renderid", "runid", "inferenceid", "executionid", "workid"),
)
_OF_OPERATIONS = ("name", "operation", "operationname")
_IS_AN_OPERATION = re.compile(r"operations?/", re.IGNORECASE)
_OF_ANYTHING = (*_OF_OPERATIONS, "requestid")
"""Where our own name proves an answer ours, and any other proves nothing."""
_DEPTH = 4  # objects within objects in which names are looked for

_Object = dict[str, JsonValue]


def fits_a_path(name: str) -> bool:
    """Whether the name of work can stand in a path: dots alone would climb out of it."""
    return name.strip(".") != "" and len(name) <= 500 and name.isprintable()


def answer_about(
    reply: Reply,
    work: str,
    place: str = "id",
    *,
    state: str | None = None,
    result: str | None = None,
    usual: bool = True,
) -> JsonValue:
    """Return the JSON of an answer about this work, whose name is due at `place`.

    Of a list of several pieces of work only that of this one is left. What stands at the places of
    its `state` and its `result`, where they are declared, must be of this work too. Where an
    answer may hold anything, as a result may, it is not `usual`: only the name that is due counts.

    Raises:
        BackendResponseError: it is about other work.
    """
    states = STATES if state is None else (*STATES, _last(state))
    sought = _Sought(work, _join(_last(place)), usual, states)
    body = sought.own(reply.json())
    seen = [*sought.around(body)]
    for way in filter(None, (place, state, result)):
        seen += sought.on_the_way(body, way)
    named = [each for each, is_result in seen if sought.names_work(each, is_result=is_result)]
    if named and not any(sought.names_it(each) for each, _ in seen):
        raise reply.senseless(f"it is about other work than {work}, which was asked for")
    return body


@dataclass(frozen=True, slots=True)
class _Sought:
    """The work that was asked about, and where its name and its state are due."""

    work: str
    due: str
    usual: bool
    states: Collection[str]

    def own(self, body: JsonValue, depth: int = _DEPTH) -> JsonValue:
        """Return an answer without what is of other work in a list that has this one too."""
        if isinstance(body, dict) and depth:
            return {name: self.own(each, depth - 1) for name, each in body.items()}
        if not isinstance(body, list) or not depth:
            return body
        objects = [each for each in body if isinstance(each, dict)]
        own: list[JsonValue] = [each for each in objects if self.names_it(each)]
        if own and any(self._is_other(each) for each in objects):
            return own[0] if len(own) == 1 else own
        return [self.own(each, depth - 1) for each in body]

    def around(
        self, body: JsonValue, depth: int = _DEPTH, *, has_state: bool = False
    ) -> Iterator[tuple[_Object, bool]]:
        """Yield the objects that tell what an answer is about, and whether each is a result."""
        if isinstance(body, list) and not has_state:
            for each in body:
                yield from self.around(each, depth - 1)
        if isinstance(body, dict) and depth:
            yield body, has_state and not self._says_a_state(body)
            has_state = has_state or self._says_a_state(body)
            for name in ("data", *WRAPPERS):
                inner = body.get(name)
                if name == "data" or isinstance(inner, dict):
                    yield from self.around(inner, depth - 1, has_state=has_state)

    def on_the_way(self, body: JsonValue, place: str) -> Iterator[tuple[_Object, bool]]:
        """Yield the objects that what stands at a place lies in, from outside."""
        parts, has_state = place.split("."), False
        for length in range(len(parts)):
            each = value_at(body, ".".join(parts[:length])) if length else body
            if isinstance(each, dict):
                yield each, has_state and not self._says_a_state(each)
                has_state = has_state or self._says_a_state(each)

    def names_it(self, said: _Object) -> bool:
        """Whether an object names this work."""
        places = (self.due, *_NAMES, *_OF_ANYTHING)
        return any(
            _is_it(text(value), self.work) for name, value in said.items() if _join(name) in places
        )

    def names_work(self, said: _Object, *, is_result: bool) -> bool:
        """Whether an object names any work: the name of a result alone is that of a file."""
        for name, value in said.items():
            joined, word = _join(name), _name(value)
            is_known = joined == self.due or (self.usual and joined in _NAMES)
            if word is None or (is_result and joined in _OF_RESULTS_TOO):
                continue
            if is_known or (joined in _OF_OPERATIONS and self._is_operation(word, said)):
                return True
        return False

    def _is_operation(self, word: str, said: _Object) -> bool:
        """Whether a word names an operation; one that says no state may have another name too."""
        is_due = self._says_a_state(said) or _IS_AN_OPERATION.search(self.work) is not None
        return is_due and _IS_AN_OPERATION.search(word) is not None

    def _is_other(self, said: _Object) -> bool:
        is_result = not self._says_a_state(said)
        return not self.names_it(said) and self.names_work(said, is_result=is_result)

    def _says_a_state(self, said: _Object) -> bool:
        words = {name: said[name] for name in self.states if said.get(name) not in (None, "")}
        return any(
            name not in STATES or not is_envelope(word) or state_of(word) is not None
            for name, word in words.items()
        )


def _is_it(name: str | None, work: str) -> bool:
    """Whether a name means this work: long ones, such as "operations/7", may be cut to the end."""
    return name is not None and (
        name == work or name.endswith(f"/{work}") or work.endswith(f"/{name}")
    )


def _name(value: JsonValue) -> str | None:
    """Return what may be a name; a fraction, as a service in trouble may send, is none."""
    return None if isinstance(value, float | bool) else text(value)


def _join(name: str) -> str:
    """Return a name without what parts its words: "taskId", "task_id" and "Task-ID" are one."""
    return space_words(name).replace(" ", "")


def _last(place: str) -> str:
    return place.rpartition(".")[2]
