"""What is wrong with data, from the words of pydantic: where, what, and the name meant."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from media_agent.errors import Fault
from media_agent.nearest import did_you_mean

_KEY = "[key]"  # how pydantic says that the name itself is meant
_SUBJECT = re.compile(r"^(Input|String|Tuple|List|Dictionary) should")


def faults_of(
    error: ValidationError, shape: type[BaseModel], at: Sequence[str] = ()
) -> list[Fault]:
    """Return one fault per problem, none of them with a value; `at` is where `shape` belongs."""
    problems = error.errors(include_url=False, include_input=False)
    return [
        Fault(
            (*at, *(str(part) for part in problem["loc"] if part != _KEY)),
            _said(problem["type"], problem, shape),
        )
        for problem in problems
    ]


def in_words(error: ValidationError, shape: type[BaseModel]) -> str:
    """Return all that is wrong, each with its place where it does not begin with its name."""
    said = []
    for fault in faults_of(error, shape):
        place = ".".join(fault.place)
        begins = fault.problem.startswith(place)
        said.append(fault.problem if begins else f"{place}: {fault.problem}")
    return "; ".join(said)


def known_names(shape: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """Return the keys that may stand at a place of a model."""
    shapes = _shapes_at(shape, place)
    return sorted({name for each in shapes if _is_model(each) for name in each.model_fields})


def _said(kind: str, problem: Any, shape: type[BaseModel]) -> str:
    place = problem["loc"]
    if kind == "extra_forbidden":
        return (
            f"there is no such key; {did_you_mean(str(place[-1]), known_names(shape, place[:-1]))}"
        )
    if kind == "missing":
        return "it is missing"
    if kind == "tuple_type":
        return 'it should be a list, such as ["one", "two"]'
    if kind == "string_pattern_mismatch":
        subject = "its name" if place[-1] == _KEY else "it"
        return f"{subject} should be {_wanted(shape, place)}"
    said = str(problem["msg"]).removeprefix("Value error, ")
    said = said.partition(", unable to parse")[0].partition(" after validation")[0]
    return _SUBJECT.sub("it should", said)


def _wanted(shape: type[BaseModel], place: Sequence[str | int]) -> str:
    """Return what a text should be: like its example, or what is said of it."""
    *above, name = place[:-1] if place[-1] == _KEY else place
    said = [info for each in _shapes_at(shape, above) for info in _fields_of(each, str(name))]
    for info in said:
        if info.examples:
            return f"like {info.examples[0]}"
    described = next((info.description for info in said if info.description), "of another form")
    return f"{described[0].lower()}{described[1:]}".removesuffix(".")


def _fields_of(shape: Any, name: str) -> Iterator[FieldInfo]:
    """Yield what is said of a field of a model, or of the keys of a dict."""
    if _is_model(shape):
        field = shape.model_fields.get(name)
        if field is not None:
            yield field
            yield from _annotations(field.annotation)
    else:
        yield from _annotations(shape)


def _annotations(annotation: Any) -> Iterator[FieldInfo]:
    for each in get_args(annotation):
        if isinstance(each, FieldInfo):
            yield each
        else:
            yield from _annotations(each)


def _shapes_at(shape: type[BaseModel], place: Sequence[str | int]) -> list[Any]:
    """Return the types that may stand at a place of a model."""
    shapes: list[Any] = [shape]
    for part in place:
        shapes = [inner for each in shapes for inner in _inside(each, str(part))]
    return shapes


def _inside(shape: Any, part: str) -> Iterator[Any]:
    """Yield the types that may stand under a key of a type."""
    if _is_model(shape):
        field = shape.model_fields.get(part)
        if field is not None:
            yield from _unfolded(field.annotation)
    else:
        for inner in get_args(shape)[1:]:  # dict[str, inner]
            yield from _unfolded(inner)


def _unfolded(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, or the type itself."""
    members = get_args(annotation)
    is_mapping = getattr(annotation, "__origin__", None) is dict
    yield from (annotation,) if is_mapping or not members else members


def _is_model(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, BaseModel)
