"""Undoes what stands between a language model and its tools: arguments that were encoded again.

Some bridges hand a list or object on as its JSON text, or as Python writes it, or wrap it.
"""

import json
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, JsonValue, model_validator

from media_agent.backend.python_text import read_literal
from media_agent.errors import InvalidRequestError
from media_agent.validation import example_of
from media_agent_schemas.base import Schema

_WRAPPER = "arguments"
_MOST_LAYERS = 4  # of encoding or wrapping; each is seen in the wild, more of them is nonsense


class Reencoded(Schema):
    """A shape whose fields may arrive as text of what they should be; "" is a field left out."""

    @model_validator(mode="before")
    @classmethod
    def _decode_fields(cls, given: object) -> object:
        given = decode(given)
        if not isinstance(given, Mapping):
            return given
        return {name: cls._decode_field(name, value) for name, value in given.items()}

    @classmethod
    def _decode_field(cls, name: object, value: object) -> object:
        field = cls.model_fields.get(str(name))
        if field is None:
            return value
        if value == "" and not field.is_required():
            return None
        kinds = _list_kinds(field.annotation)
        if str in kinds:
            return value
        value = decode(value)
        return [value] if tuple in kinds and isinstance(value, Mapping) else value


def as_object(arguments: object, *, shape: type[BaseModel]) -> dict[str, JsonValue]:
    """Return arguments as the object that they are meant to be.

    Raises:
        InvalidRequestError: they are none.
    """
    for _ in range(_MOST_LAYERS):
        arguments = decode(arguments)
        if not isinstance(arguments, Mapping) or set(arguments) != {_WRAPPER}:
            break
        arguments = arguments[_WRAPPER]
    if arguments is None or arguments == "":
        return {}
    if not isinstance(arguments, Mapping):
        raise InvalidRequestError(
            "the arguments are not a JSON object", hint=f"such as {example_of(shape)}"
        )
    try:
        joined: dict[str, JsonValue] = json.loads(json.dumps(arguments))
    except (TypeError, ValueError, RecursionError):  # no JSON; the shape says what is wrong
        return dict(arguments)
    return joined  # two halves of a character, which some decoders leave, are one here


def decode(value: object) -> object:
    """Return what a text of JSON or of Python's own writing says; all else as it is."""
    for _ in range(_MOST_LAYERS):
        if not isinstance(value, str):
            break
        try:
            value = _read(value)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            break
    return value


def _read(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return read_literal(text.strip())


def _list_kinds(annotation: Any) -> set[object]:
    """Return what may stand in a field: str, tuple, and so on, without what is said of them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _list_kinds(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return {kind for each in get_args(annotation) for kind in _list_kinds(each)} - {NoneType}
    return {annotation if origin is None else origin}
