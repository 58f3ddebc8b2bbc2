"""What is wrong with data, from the words of pydantic: where, what, and the name meant."""

import json
import re
from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic.fields import FieldInfo

from media_agent.concealing import without_keys
from media_agent.errors import Fault
from media_agent.suggest import did_you_mean

_KEY = "[key]"  # how pydantic says that the name itself is meant
_NO_OBJECT = ("model_type", "model_attributes_type", "dict_type", "mapping_type")
_SUBJECT = re.compile(r"^(Input|String|Tuple|List|Dictionary) should")


def faults_of(
    error: ValidationError, shape: type[BaseModel], at: Sequence[str] = ()
) -> list[Fault]:
    """Return one fault per problem, none of them with a value; `at` is where `shape` belongs."""
    problems = error.errors(include_url=False, include_input=False)
    return [fault_of(problem, shape, at) for problem in problems]


def fault_of(problem: Any, shape: type[BaseModel], at: Sequence[str] = ()) -> Fault:
    """Return a problem as pydantic tells it, in words."""
    return Fault(
        (*at, *(str(part) for part in problem["loc"] if part != _KEY)),
        without_keys(_said(problem["type"], problem, shape)),
    )


def in_words(error: ValidationError, shape: type[BaseModel]) -> str:
    """Return all that is wrong, each with its place where it does not begin with its name."""
    return "; ".join(map(fault_in_words, faults_of(error, shape)))


def fault_in_words(fault: Fault) -> str:
    """Return what is wrong, with its place where it does not begin with its name."""
    place = without_keys(".".join(fault.place))
    return fault.problem if fault.problem.startswith(place) else f"{place}: {fault.problem}"


def example_of(shape: type[BaseModel]) -> str:
    """Return what such a model looks like, as JSON: what it needs, else its first field."""
    return json.dumps(_sample(shape, "one"))


def known_names(shape: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """Return the keys that may stand at a place of a model."""
    shapes = _shapes_at(shape, place)
    return sorted({name for each in shapes if _is_model(each) for name in each.model_fields})


def _said(kind: str, problem: Any, shape: type[BaseModel]) -> str:
    place = problem["loc"]
    if kind == "extra_forbidden":
        return f"unknown key; {did_you_mean(str(place[-1]), known_names(shape, place[:-1]))}"
    if kind == "missing":
        return "it is missing"
    if kind == "tuple_type":
        return f"it should be a list, such as {_example(shape, place)}"
    if kind in _NO_OBJECT:
        return f"it should be a valid dictionary, such as {_example(shape, place)}"
    if kind == "string_pattern_mismatch":
        subject = "its name" if place[-1] == _KEY else "it"
        return f"{subject} should be {_wanted(shape, place)}"
    said = str(problem["msg"]).removeprefix("Value error, ")
    said = said.partition(", unable to parse")[0].partition(" after validation")[0]
    return _SUBJECT.sub("it should", said)


def _example(shape: type[BaseModel], place: Sequence[str | int]) -> str:
    """Return what could stand at a place, as JSON."""
    shapes = [each for each in _shapes_at(shape, place) if each is not NoneType]
    return json.dumps(_sample(shapes[0], "one") if shapes else {"name": "one"})


def _sample(annotation: Any, word: str) -> JsonValue:
    """Return a value of a type; texts are numbered words."""
    if _is_model(annotation):
        fields = annotation.model_fields
        needed = [name for name in fields if fields[name].is_required()]
        needed = needed or [name for name in fields if name != "schema_version"][:1]
        kinds = {name: next(_unfolded(fields[name].annotation)) for name in needed}
        return {name: _sample(kind, word) for name, kind in kinds.items()}
    if get_origin(annotation) is tuple:
        items = [next(_unfolded(get_args(annotation)[0]))] * 2
        words = ("one", "two") if items[0] is str else ("one",)
        return [_sample(item, word) for item, word in zip(items, words, strict=False)]
    if get_origin(annotation) is dict:
        return {"name": word}
    return 1 if annotation in (int, float) else word


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
    elif get_origin(shape) is tuple:  # tuple[inner, ...]
        yield from _unfolded(get_args(shape)[0])
    else:
        for inner in get_args(shape)[1:]:  # dict[str, inner]
            yield from _unfolded(inner)


def _unfolded(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, or the type itself, without what is said of them."""
    origin, members = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        for each in members:
            yield from _unfolded(each)
    elif origin is Annotated:
        yield from _unfolded(members[0])
    else:
        yield annotation


def _is_model(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, BaseModel)
