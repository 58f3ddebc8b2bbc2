"""What is wrong with data, from the words of pydantic: where, what, and the name meant."""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from media_agent.errors import Fault
from media_agent.nearest import did_you_mean


def faults_of(
    error: ValidationError, shape: type[BaseModel], at: Sequence[str] = ()
) -> list[Fault]:
    """Return one fault per problem, none of them with a value; `at` is where `shape` belongs."""
    problems = error.errors(include_url=False, include_input=False)
    return [
        Fault((*at, *map(str, problem["loc"])), _said(problem["type"], problem, shape))
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
    shapes: list[Any] = [shape]
    for part in place:
        shapes = [inner for each in shapes for inner in _inside(each, str(part))]
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
    said = str(problem["msg"]).removeprefix("Value error, ").partition(", unable to parse")[0]
    return said.replace("Input should be", "it should be")


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
