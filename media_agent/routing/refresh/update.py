"""An update of the catalogue: read leniently, and put over what a release knows.

A file may be newer than the program that reads it. What is unknown there is left out; what is
malformed is left out and named; the rest is used. Only facts about a model are taken, nothing that
decides how a request is made.
"""

import datetime
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from media_agent.errors import InvalidRequestError
from media_agent.routing.facts import ModelFacts, Price, Speed, find_facts
from media_agent.validation import in_words
from media_agent_schemas.base import Schema, format_usd
from media_agent_schemas.plan import Quality

_TAKEN = (
    "offer_of",
    "status",
    "status_since",
    "status_source",
    "successor",
    "licence",
    "quality",
    "prices",
    "speed",
)
_PRICES = TypeAdapter(tuple[Price, ...])
_TABLES: Mapping[str, type[Schema]] = {"quality": Quality, "speed": Speed}
Changes = Mapping[str, object]
"""The facts about one model that a file says, by their names."""
Files = Mapping[str, Mapping[str, ModelFacts]]
"""The facts by backend, and by the name or pattern of a model."""


@dataclass(frozen=True, slots=True)
class CatalogueUpdate:
    """What one file says."""

    date: datetime.date
    """When it was made; an older one never takes the place of a newer one."""
    backends: Mapping[str, Mapping[str, Changes]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    """What could not be read, and why."""

    def apply(self, kind: str, models: Mapping[str, ModelFacts]) -> dict[str, ModelFacts]:
        """Return the facts of a backend with what this file knows better.

        Prices that a release read later than the file did are kept.
        """
        merged = dict(models)
        for name, changes in self.backends.get(kind, {}).items():
            known = find_facts(models, name)
            skipped = {"prices"} if _is_older(changes, known) else set()
            news = {fact: value for fact, value in changes.items() if fact not in skipped}
            merged[name] = known.model_copy(update=news)
        return merged


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact about a model that an update changes."""

    model: str
    """As "backend/model"."""
    fact: str
    before: str
    after: str
    is_unknown_id: bool = False
    """Whether no release knows this model: it can be named, with its own fields."""

    def __str__(self) -> str:
        flag = " (an id that this version does not know)" if self.is_unknown_id else ""
        return f"{self.model}{flag}: {self.fact}: {self.before} -> {self.after}"


def read_update(content: bytes) -> CatalogueUpdate:
    """Read a file: {"date": "2026-12-01", "backends": {NAME: {MODEL: {fact: ...}}}}.

    Raises:
        InvalidRequestError: it is no such file at all.
    """
    try:
        data = json.loads(content.decode())
        json.dumps(data, ensure_ascii=False).encode()  # half surrogates could not be written again
        date = datetime.date.fromisoformat(data["date"])
        backends = dict(data["backends"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidRequestError(
            f"the catalogue file cannot be read: {type(error).__name__}: {error}",
            hint='it is JSON with "date" (YYYY-MM-DD) and "backends"',
        ) from None
    left_out: list[str] = []
    read = {
        str(backend): dict(_read_models(str(backend), models, date, left_out))
        for backend, models in backends.items()
    }
    return CatalogueUpdate(date, read, tuple(left_out))


def list_differences(
    update: CatalogueUpdate, files: Files, listed: Mapping[str, set[str]]
) -> Iterator[Difference]:
    """Yield what an update changes; `listed` are the models that each backend knows."""
    for backend, models in update.backends.items():
        before = files.get(backend, {})
        after = update.apply(backend, before)
        for name in models:
            old, new = find_facts(before, name), after[name]
            is_unknown = "*" not in name and name not in listed.get(backend, set())
            for fact in _TAKEN:
                was, is_now = getattr(old, fact), getattr(new, fact)
                if was != is_now:
                    texts = _format(fact, was), _format(fact, is_now)
                    yield Difference(f"{backend}/{name}", fact, *texts, is_unknown)


def _read_models(
    backend: str, models: object, made: datetime.date, left_out: list[str]
) -> Iterator[tuple[str, Changes]]:
    """Yield the facts about each model of a backend that can be read."""
    if not isinstance(models, dict):
        left_out.append(f"{backend}: it should have a table of models")
        return
    for name, said in models.items():
        if not isinstance(said, dict):
            left_out.append(f"{backend}/{name}: it should have a table of facts")
            continue
        if not name.isprintable() or not name:
            left_out.append(f"{backend}/{name}: no model has such a name")
            continue
        changes = dict(_read_facts(f"{backend}/{name}", said, made, left_out))
        if changes:
            yield name, changes


def _read_facts(
    name: str, said: Mapping[str, Any], made: datetime.date, left_out: list[str]
) -> Iterator[tuple[str, object]]:
    for fact in _TAKEN:
        if fact not in said:
            continue
        value = said[fact]
        try:
            if fact == "prices":
                prices = _PRICES.validate_python([_known_only(each, Price) for each in value])
                if any(price.date > made for price in prices):  # it would never count as old
                    left_out.append(f"{name}: prices: read after the file was made, on {made}")
                    continue
                yield fact, prices
            else:
                known = ModelFacts.model_validate({fact: _known_only(value, _TABLES.get(fact))})
                yield fact, getattr(known, fact)
        except ValidationError as error:
            left_out.append(f"{name}: {fact}: {in_words(error, ModelFacts)}")
        except TypeError:
            left_out.append(f"{name}: {fact}: it should be a list of tables")


def _known_only(said: Any, shape: type[Schema] | None) -> Any:
    """Return a table without the fields that are not known here; anything else as it is."""
    if shape is None or not isinstance(said, dict):
        return said
    return {name: value for name, value in said.items() if name in shape.model_fields}


def _is_older(changes: Changes, known: ModelFacts) -> bool:
    """Return whether the prices of a release were read after those of a file."""
    prices = changes.get("prices")
    if not isinstance(prices, tuple) or not prices or not known.prices:
        return False
    return bool(max(each.date for each in known.prices) > max(each.date for each in prices))


def _format(fact: str, value: object) -> str:
    if value is None or value == ():
        return "unknown"
    if fact == "prices" and isinstance(value, tuple):
        return ", ".join(map(_format_price, value))
    return str(value)


def _format_price(price: Price) -> str:
    upto = "" if price.up_to is None else f" up to {price.up_to}"
    audio = "" if price.audio is None else " with audio" if price.audio else " without audio"
    return f"{format_usd(price.usd)} USD a {price.per}{upto}{audio}"
