"""What a file of newer facts changes, and what of it is left out."""

import datetime
import json

import pytest

from media_agent.errors import InvalidRequestError
from media_agent.routing.facts import ModelFacts, Price
from media_agent.routing.refresh.update import CatalogueUpdate, list_differences, read_update

PRICE = {"usd": 0.08, "per": "second", "source": "a page", "date": "2026-11-28"}
SHIPPED = {
    "one": ModelFacts(
        licence="MIT",
        prices=(Price(usd=0.1, per="second", source="a page", date=datetime.date(2026, 11, 20)),),
        image_model="two",
    ),
    "old-*": ModelFacts(status="retired"),
}


def read(**models: object) -> CatalogueUpdate:
    said = {"date": "2026-11-28", "backends": {"acme": models}}
    return read_update(json.dumps(said).encode())


def test_newer_facts_go_over_those_of_a_release_and_leave_the_rest() -> None:
    update = read(one={"prices": [PRICE], "status": "preview"})

    facts = update.apply("acme", SHIPPED)["one"]

    assert [each.usd for each in facts.prices] == [0.08]
    assert (facts.status, facts.licence, facts.image_model) == ("preview", "MIT", "two")


def test_a_price_that_a_release_read_later_is_kept() -> None:
    update = read(one={"prices": [{**PRICE, "date": "2026-11-19"}], "licence": "Apache-2.0"})

    facts = update.apply("acme", SHIPPED)["one"]

    assert [each.usd for each in facts.prices] == [0.1]
    assert facts.licence == "Apache-2.0"


def test_a_model_known_by_a_pattern_keeps_what_the_pattern_says() -> None:
    facts = read(**{"old-2": {"successor": "one"}}).apply("acme", SHIPPED)["old-2"]

    assert (facts.status, facts.successor) == ("retired", "one")


def test_what_decides_how_a_request_is_made_is_not_taken() -> None:
    update = read(one={"overrides": {"local": True}, "image_model": "x", "rewriting": {}})

    assert update.apply("acme", SHIPPED) == SHIPPED
    assert update.left_out == ()


def test_unknown_fields_are_ignored_at_every_depth() -> None:
    update = read(one={"colour": "red", "prices": [{**PRICE, "tax": 0.2}]})

    assert [each.usd for each in update.apply("acme", SHIPPED)["one"].prices] == [0.08]
    assert update.left_out == ()


@pytest.mark.parametrize(
    ("said", "about"),
    [
        ({"prices": [{**PRICE, "usd": -1}]}, "acme/one: prices: 0.usd"),
        ({"prices": [{**PRICE, "usd": 1e308}]}, "acme/one: prices: 0.usd"),
        ({"prices": [{**PRICE, "at_fps": 1e-300}]}, "acme/one: prices: 0.at_fps"),
        ({"prices": [{**PRICE, "minimum_seconds": 1e308}]}, "acme/one: prices: 0.minimum_seconds"),
        ({"prices": [{**PRICE, "date": "2999-01-01"}]}, "acme/one: prices: read after the file"),
        ({"prices": "free"}, "acme/one: prices"),
        ({"prices": 3}, "acme/one: prices: it should be a list"),
        ({"status": "asleep"}, "acme/one: status"),
        ({"offer_of": "Wan 2.7"}, "acme/one: offer_of"),
        ({"quality": {"tier": 9}}, "acme/one: quality"),
        ("cheap", "acme/one: it should have a table"),
    ],
)
def test_a_malformed_fact_is_left_out_alone_and_named(said: object, about: str) -> None:
    update = read(one=said, two={"licence": "MIT"})

    (left_out,) = update.left_out
    merged = update.apply("acme", SHIPPED)
    assert left_out.startswith(about)
    assert merged["one"] == SHIPPED["one"]
    assert merged["two"].licence == "MIT"


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"{}", b'{"date": "soon", "backends": {}}', b"\xff", b"[" * 100_000),
        '{"date": "2026-11-28", "backends": {}}'.encode("utf-16"),  # it is kept as UTF-8
        b'{"date": "2026-11-28", "backends": {"acme": {"\\ud800": {"licence": "MIT"}}}}',
    ],
)
def test_what_is_no_catalogue_at_all_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="the catalogue file cannot be read"):
        read_update(content)


@pytest.mark.parametrize("name", ["", "one\x1b[2J", "one\n", "\u202eeno"])
def test_a_name_that_no_model_has_is_left_out(name: str) -> None:
    update = read(**{name: {"licence": "MIT"}})

    assert update.backends == {"acme": {}}
    assert "no model has such a name" in update.left_out[0]


def test_differences_are_said_in_words_and_unknown_ids_are_flagged() -> None:
    update = read(one={"prices": [{**PRICE, "up_to": "720p"}]}, new={"licence": "MIT"})

    said = map(str, list_differences(update, {"acme": SHIPPED}, {"acme": {"one"}}))

    assert list(said) == [
        "acme/one: prices: 0.10 USD a second -> 0.08 USD a second up to 720p",
        "acme/new (an id that this version does not know): licence: unknown -> MIT",
    ]
