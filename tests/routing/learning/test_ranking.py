"""What was learned decides under the preferences that it is for, and is told."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import pytest

from media_agent.ledger.outcomes import Ending, Outcome
from media_agent.routing.catalogue import Catalogue
from media_agent.routing.facts import ModelFacts, Price, Speed
from media_agent.routing.learning.expectation import Expectation
from media_agent.routing.learning.experience import Experience
from media_agent.routing.learning.outlook import Outlooks
from media_agent.routing.learning.scores import Exploration, find_worth_trying
from media_agent.routing.router import Router
from media_agent.routing.rules import RoutingRules
from media_agent_schemas.estimate import UNKNOWN, Estimate
from media_agent_schemas.facts import Verification, VerificationLevel
from media_agent_schemas.plan import Candidate, PlanReport, Quality
from media_agent_schemas.request import Routing, RoutingPreference, VideoRequest
from tests.routing.learning.test_experience import BEGIN, outcome
from tests.routing.test_router import TODAY, Shelf, model

NOW = BEGIN + 90_000


def report(
    prefer: RoutingPreference,
    outcomes: Sequence[Outcome],
    *,
    waiting_usd_per_second: float | None = None,
    rules: RoutingRules | None = None,
    prices: Mapping[str, float] = MappingProxyType({"a": 0.4, "b": 0.5}),
    facts: Mapping[str, ModelFacts] = MappingProxyType({}),
    duration: float | None = 4,
    best: int | None = None,
    seed: int = 7,
    only: str | None = None,
) -> PlanReport:
    experience = Experience()
    for each in outcomes:
        experience.learn(each)
    found = experience if outcomes else None
    router = Router(
        {name: Shelf(model(name, "x"), price=price) for name, price in prices.items()},
        Catalogue({name: {"*": each} for name, each in facts.items()}),
        rules or RoutingRules(declared=None),
        draw_seed=lambda: 7,
        recall=lambda: found,
        now=lambda: NOW,
    )
    routing = Routing(prefer=prefer, waiting_usd_per_second=waiting_usd_per_second)
    request = VideoRequest(
        prompt="a fox", model=only, duration=duration, seed=seed, routing=routing
    )
    return router.report(request, best=best)


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


BALANCED, FASTEST = RoutingPreference.BALANCED, RoutingPreference.FASTEST
CHEAPEST = RoutingPreference.CHEAPEST


RATED = Quality(tier=4, opinion_of="test", date=TODAY)


def speed(seconds_per_second: float) -> ModelFacts:
    return ModelFacts(speed=Speed(seconds_per_second=seconds_per_second, source="test", date=TODAY))


@pytest.mark.parametrize(
    ("prefer", "wanted"),
    [(BALANCED, ["c", "b", "a"]), (FASTEST, ["a", "c", "b"]), (CHEAPEST, ["c", "b", "a"])],
)
def test_an_offer_never_used_is_expected_to_take_what_others_take(
    prefer: RoutingPreference, wanted: list[str]
) -> None:
    prices = {"a": 0.5, "b": 0.3, "c": 0.2}

    found = report(prefer, heard("a/x", 40.0), prices=prices, waiting_usd_per_second=0.002)

    assert [each.backend for each in found.ranked] == wanted
    a, b, c = (each.outlook for each in sorted(found.ranked, key=lambda each: each.backend))
    assert a is not None
    assert b is not None
    assert c is not None
    assert (a.as_others, b.as_others, c.as_others) == (False, True, True)
    assert a.seconds is not None
    assert b.seconds == c.seconds
    assert a.seconds < (b.seconds or 0.0) < 2 * a.seconds
    (unknown,) = [each for each in found.ranked if each.backend == "c"]
    said = f"time unknown; {c.seconds:.0f} s as others take"
    assert said in unknown.reasons
    assert "time unknown" not in unknown.reasons
    assert unknown.estimate == Estimate(cost_usd=0.2, source="own")
    assert (said in found.summary) is (wanted[0] == "c")


class Silent(Shelf):
    """Says nothing of price and time itself: its catalogue does."""

    def estimate(self, request: VideoRequest) -> Estimate:
        return UNKNOWN


@pytest.mark.parametrize("prefer", [BALANCED, FASTEST])
def test_the_best_of_many_that_were_never_used_is_planned_in_full(
    prefer: RoutingPreference,
) -> None:
    experience = Experience()
    for each in heard("a/x", 40.0):
        experience.learn(each)
    models = [f"m{number:02d}" for number in range(40)]
    facts = {
        name: ModelFacts(
            quality=RATED,
            prices=(Price(usd=0.3 - number / 200, per="video", source="test", date=TODAY),),
        )
        for number, name in enumerate(models)
    }
    router = Router(
        {
            "a": Shelf(model("a", "x"), price=0.5),
            "d": Silent(*(model("d", each, models=tuple(models)) for each in models)),
        },
        Catalogue({"d": facts}),
        RoutingRules(declared=None, waiting_usd_per_second=0.002),
        draw_seed=lambda: 7,
        recall=lambda: experience,
        now=lambda: NOW,
    )

    found = router.report(VideoRequest(prompt="a fox", routing=Routing(prefer=prefer)), best=5)

    wanted = ["d/m39", "d/m38", "d/m37", "d/m36"]
    planned = [each.name for each in found.ranked if each.plan is not None]
    assert [name for name in planned if name != "a/x"][:4] == wanted
    assert len(planned) < 12


def test_the_fastest_is_no_unknown_one_where_one_is_faster_than_most() -> None:
    outcomes = [*heard("a/x", 30.0), *heard("b/x", 60.0), *heard("c/x", 120.0)]
    prices = {"a": 0.5, "b": 0.5, "c": 0.5, "z": 0.01}

    found = report(FASTEST, outcomes, prices=prices)

    assert [each.backend for each in found.ranked] == ["a", "b", "z", "c"]


def test_a_time_of_the_catalogue_counts_before_that_of_others() -> None:
    prices = {"a": 0.5, "b": 0.5, "z": 0.5}

    found = report(FASTEST, heard("a/x", 40.0), prices=prices, facts={"b": speed(2.0)})

    assert [each.backend for each in found.ranked] == ["b", "a", "z"]
    assert found.ranked[0].outlook is not None
    assert not found.ranked[0].outlook.as_others


def test_failures_alone_tell_no_time_and_the_price_decides() -> None:
    prices = {"a": 0.5, "b": 0.3, "z": 0.2}
    failures = heard("a/x", 5.0, Ending.FAILED, 2)

    found = report(BALANCED, failures, prices=prices, waiting_usd_per_second=0.002)

    assert [each.backend for each in found.ranked] == ["z", "b", "a"]
    assert all(each.outlook and each.outlook.seconds is None for each in found.ranked)


def test_without_outcomes_a_known_time_comes_first_and_then_the_price_decides() -> None:
    prices = {"a": 0.5, "b": 0.3, "z": 0.2}
    waiting = 0.002

    some, rated = {"a": speed(2.0)}, {"a": ModelFacts(quality=RATED)}
    one = report(BALANCED, [], prices=prices, facts=some, waiting_usd_per_second=waiting)
    fast = report(FASTEST, [], prices=prices, facts=some)
    none = report(BALANCED, [], prices=prices, facts=rated, waiting_usd_per_second=waiting)

    assert [each.backend for each in one.ranked] == ["a", "z", "b"]
    assert [each.backend for each in fast.ranked] == ["a", "z", "b"]
    assert [each.backend for each in none.ranked] == ["z", "b", "a"]


def test_what_is_for_tests_says_nothing_of_others() -> None:
    facts = {"t": ModelFacts(status="test")}
    prices = {"a": 0.5, "z": 0.2, "t": 0.0}

    alone = report(FASTEST, heard("t/x", 0.1), prices=prices, facts=facts)
    both = report(
        FASTEST, [*heard("t/x", 0.1, count=200), *heard("a/x", 40.0)], prices=prices, facts=facts
    )

    assert all(each.outlook and each.outlook.seconds is None for each in alone.ranked)
    assert [each.backend for each in alone.ranked] == ["z", "a"]
    assert [each.backend for each in both.ranked] == ["a", "z"]


def test_what_is_for_tests_says_nothing_of_others_also_where_it_is_no_choice() -> None:
    facts = {"t": ModelFacts(status="test")}
    prices = {"a": 0.5, "t": 0.0}

    named = report(FASTEST, heard("t/x", 0.1), prices=prices, facts=facts, only="a/x")
    gone = report(FASTEST, heard("t/x", 0.1), prices={"a": 0.5}, facts=facts)

    for found in (named, gone):
        assert found.chosen is not None
        assert found.chosen.outlook is not None
        assert found.chosen.outlook.seconds is None


@pytest.mark.parametrize("prefer", [BALANCED, FASTEST, CHEAPEST])
def test_an_offer_never_used_is_tried_within_the_limit(prefer: RoutingPreference) -> None:
    prices = {"a": 0.2, "b": 0.2}

    def tried(exploration: Exploration) -> list[str]:
        rules = RoutingRules(exploration=exploration, waiting_usd_per_second=0.002)
        outcomes = heard("a/x", 40.0, count=10)
        found = [
            report(prefer, outcomes, prices=prices, rules=rules, seed=seed) for seed in range(50)
        ]
        for each in found:
            is_try = each.ranked[0].backend == "b"
            assert ("a try, as it was not heard of for long" in each.summary) is is_try
        return [first(each) for each in found]

    assert set(tried(Exploration())) == {"a/x"}
    assert set(tried(Exploration(0.1, 0.19))) == {"a/x"}
    assert 5 < tried(Exploration(0.1, 0.2)).count("b/x") < 25


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
            10.0,
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
