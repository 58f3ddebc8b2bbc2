"""What was learned decides under the preferences that it is for, and is told."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import pytest

from media_agent.ledger.outcomes import Ending, Outcome
from media_agent.routing.catalogue import Catalogue
from media_agent.routing.learning.expectation import Expectation
from media_agent.routing.learning.experience import Experience
from media_agent.routing.learning.outlook import Outlooks
from media_agent.routing.learning.scores import Exploration, find_worth_trying
from media_agent.routing.router import Router
from media_agent.routing.rules import RoutingRules
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.facts import Verification, VerificationLevel
from media_agent_schemas.plan import Candidate, PlanReport
from media_agent_schemas.request import Routing, RoutingPreference, VideoRequest
from tests.routing.learning.test_experience import BEGIN, outcome
from tests.routing.test_router import Shelf, model

NOW = BEGIN + 90_000


def report(
    prefer: RoutingPreference,
    outcomes: Sequence[Outcome],
    *,
    waiting_usd_per_second: float | None = None,
    rules: RoutingRules | None = None,
    prices: Mapping[str, float] = MappingProxyType({"a": 0.4, "b": 0.5}),
) -> PlanReport:
    experience = Experience()
    for each in outcomes:
        experience.learn(each)
    found = experience if outcomes else None
    router = Router(
        {name: Shelf(model(name, "x"), price=price) for name, price in prices.items()},
        Catalogue({}),
        rules or RoutingRules(declared=None),
        draw_seed=lambda: 7,
        recall=lambda: found,
        now=lambda: NOW,
    )
    routing = Routing(prefer=prefer, waiting_usd_per_second=waiting_usd_per_second)
    return router.report(VideoRequest(prompt="a fox", duration=4, routing=routing))


def heard(
    offer: str, seconds: float, ending: Ending = Ending.DONE, count: int = 20
) -> list[Outcome]:
    every = [outcome(BEGIN + 200 * i, seconds, offer=offer, ending=ending) for i in range(count)]
    return [replace(each, priced_on=None) for each in every]


def first(found: PlanReport) -> str:
    assert found.chosen is not None
    return found.chosen.name


def test_without_outcomes_nothing_changes() -> None:
    found = report(RoutingPreference.CHEAPEST, [])

    assert first(found) == "a/x"
    assert all(each.outlook is None for each in found.candidates)


def test_the_fastest_is_the_one_that_was() -> None:
    outcomes = [*heard("a/x", 90.0), *heard("b/x", 30.0)]

    found = report(RoutingPreference.FASTEST, outcomes)

    assert first(found) == "b/x"
    assert found.chosen is not None
    assert "last 7 days: 100 % of 20 done, median 30 s" in found.chosen.reasons
    assert "last 7 days: 100 % of 20 done, median 30 s" in found.summary


@pytest.mark.parametrize(("waiting_usd_per_second", "wanted"), [(0.0001, "a/x"), (0.01, "b/x")])
def test_balanced_weighs_waiting_against_money(waiting_usd_per_second: float, wanted: str) -> None:
    outcomes = [*heard("a/x", 90.0), *heard("b/x", 30.0)]

    found = report(
        RoutingPreference.BALANCED, outcomes, waiting_usd_per_second=waiting_usd_per_second
    )

    assert first(found) == wanted


def test_balanced_takes_what_waiting_costs_from_the_settings() -> None:
    outcomes = [*heard("a/x", 90.0), *heard("b/x", 30.0)]
    rules = RoutingRules(waiting_usd_per_second=0.01)

    assert first(report(RoutingPreference.BALANCED, outcomes, rules=rules)) == "b/x"


def test_the_cheapest_is_not_one_that_is_down() -> None:
    down = heard("a/x", 5.0, Ending.FAILED)
    now = [replace(each, began_at=NOW - 300, ended_at=NOW - 60) for each in down[:5]]

    found = report(RoutingPreference.CHEAPEST, [*heard("b/x", 30.0), *now])

    assert first(found) == "b/x"
    assert [each.name for each in found.ranked] == ["b/x", "a/x"]


def test_other_preferences_are_as_they_were() -> None:
    outcomes = [*heard("a/x", 90.0), *heard("b/x", 30.0)]

    assert first(report(RoutingPreference.LOCAL_FIRST, outcomes)) == "a/x"


def test_tries_are_off_and_bound_by_their_price() -> None:
    outcomes = [*heard("b/x", 80.0, count=1), *heard("a/x", 30.0, count=300)]
    outcomes.sort(key=lambda each: each.ended_at)

    def tried(exploration: Exploration) -> list[str]:
        rules = RoutingRules(exploration=exploration)
        many = [
            report(RoutingPreference.BALANCED, outcomes[: 200 + i], rules=rules) for i in range(40)
        ]
        again = [
            report(RoutingPreference.BALANCED, outcomes[: 200 + i], rules=rules) for i in range(40)
        ]
        assert many == again
        return [first(each) for each in many]

    assert set(tried(Exploration())) == {"a/x"}
    assert set(tried(Exploration(0.05, 0.49))) == {"a/x"}
    assert set(tried(Exploration(0.05, 0.5))) == {"a/x", "b/x"}


@pytest.mark.parametrize(("most_usd", "is_tried"), [(1.5, False), (2.5, True)])
def test_a_try_in_several_parts_is_bound_by_what_all_of_them_are_billed(
    most_usd: float, is_tried: bool
) -> None:
    dear = [replace(each, billed_usd=1.0) for each in heard("b/x", 30.0)]  # twice the quote
    experience = Experience()
    for each in (*dear, *heard("a/x", 40.0, count=3000)):
        experience.learn(each)
    outlooks = Outlooks(experience, NOW, Exploration(share=0.1, max_usd=most_usd))
    request = VideoRequest(prompt="a fox", duration=10)
    able = [
        outlooks.look(
            Candidate(
                backend=name,
                model="x",
                submissions=2,
                estimate=Estimate(cost_usd=1.0),
                verification=Verification(level=VerificationLevel.SIMULATOR),
            ),
            request,
        )
        for name in ("a", "b")
    ]

    tried = {outlooks.choose_try(able, RoutingPreference.CHEAPEST, 0.0, seed) for seed in range(40)}

    assert ("b/x" in tried) is is_tried


@pytest.mark.parametrize(
    ("most", "wanted"), [(None, {"b", None}), (0.6, {"b", None}), (3.0, {None})]
)
def test_what_may_cost_more_than_the_limit_is_no_try(
    most: float | None, wanted: set[str | None]
) -> None:
    a = Expectation(fails=0.0, seconds=10, seconds_failing=1, usd=0.4, usd_failing=0)
    expected = {"a": a, "b": replace(a, usd=0.5, most_usd=most, unheard=10_000)}

    tried = {
        find_worth_trying(
            expected, Exploration(0.05, 1.0), RoutingPreference.CHEAPEST, 0.0, random.Random(seed)
        )
        for seed in range(30)
    }

    assert tried == wanted
