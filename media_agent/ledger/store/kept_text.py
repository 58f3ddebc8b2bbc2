"""Values as the text that is kept of them, which is read again by another process or version."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel

from media_agent.errors import StorageError

_Value = TypeVar("_Value", bound=BaseModel)


def readable(value: _Value) -> _Value:
    """Return a value whose text is read as a value again; half a character becomes a mark.

    Raises:
        StorageError: there is no such text, as of a number outside its bounds.
    """
    return _with_text(value)[0]


def text_that_reads_back(value: BaseModel, *, indent: int | None = None) -> str:
    """Return a value as JSON that is read as a value again; what is raised is as for `readable`."""
    value, text = _with_text(value)
    return text if indent is None else value.model_dump_json(indent=indent)


def _with_text(value: _Value) -> tuple[_Value, str]:
    try:
        try:
            text = value.model_dump_json()
        except ValueError:  # Python has texts that no file can hold
            value = type(value).model_validate(mend(value.model_dump()))
            text = value.model_dump_json()
        type(value).model_validate_json(text)
    except ValueError as error:  # pydantic's are
        said = f"this {type(value).__name__} could not be read again: {error}"
        raise StorageError(said) from error
    return value, text


def mend(value: object) -> object:
    """Return data whose texts are all Unicode: two halves of a character are it, one is a mark."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case Mapping():
            return {mend(name): mend(each) for name, each in value.items()}
        case tuple() | list():
            return type(value)(mend(each) for each in value)
        case _:
            return value
