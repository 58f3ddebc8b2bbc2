"""What nobody vouches for is chosen only by name: unrated, unverified and test models."""

import datetime
from typing import Any

import pytest

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.routing.facts import ModelFacts
from media_agent.routing.rules import Route, refusals_of
from media_agent_schemas import Capabilities, VideoRequest
from media_agent_schemas.plan import Quality
from media_agent_schemas.request import Routing

pytestmark = pytest.mark.anyio

MODEL = Capabilities(backend="noise", model="gray")
RATED = Quality(tier=3, opinion_of="its author", date=datetime.date(2026, 11, 20))
UNRATED, UNVERIFIED = ModelFacts(), ModelFacts(status="unverified", quality=RATED)


def refusals(facts: ModelFacts, route: Route, **more: Any) -> list[str]:
    return [error.message for error in refusals_of(MODEL, facts, route, **more)]


@pytest.mark.parametrize("facts", [UNRATED, UNVERIFIED])
@pytest.mark.parametrize(
    "route", [Route(model="noise"), Route(allow=("noise",)), Route(allow=("noise/gray",))]
)
def test_a_model_that_is_named_or_allowed_may_be_unknown(facts: ModelFacts, route: Route) -> None:
    assert refusals(facts, route, is_declared=False) == []


def test_a_model_that_nobody_rated_is_not_chosen_unless_the_settings_declare_it() -> None:
    said = refusals(UNRATED, Route(), is_declared=False)

    assert said == ["noise/gray has no quality rating and is used only when named"]
    assert refusals(UNRATED, Route(), is_declared=True) == []
    assert refusals(ModelFacts(quality=RATED), Route(), is_declared=False) == []


def test_a_model_that_may_be_retired_is_not_chosen_even_if_its_backend_is_declared() -> None:
    facts = UNVERIFIED.model_copy(update={"status_since": datetime.date(2026, 6, 5)})

    (said,) = refusals(facts, Route(), is_declared=True)

    assert "unverified since June 2026" in said


async def test_an_unrated_provider_is_refused_in_the_plan_until_it_has_a_section() -> None:
    asked = VideoRequest(prompt="a fox", routing=Routing(avoid=("sandbox",)))

    async def said_of(settings: Any) -> str:
        async with VideoClient(settings=settings) as client:
            report = await client.plan_all(asked)
        (found,) = [each for each in report.candidates if each.name == "xai/grok-imagine-video"]
        return " ".join(refusal.message for refusal in found.refusals)

    declared = load_settings(backends={"xai": {"key": "no-real-key"}})

    assert "has no quality rating" in await said_of(load_settings())
    assert await said_of(declared) == ""


async def test_ids_that_fal_does_not_list_any_more_are_never_chosen_by_themselves() -> None:
    settings = load_settings(backends={"fal": {"key": "no-real-key"}})

    async with VideoClient(settings=settings) as client:
        report = await client.plan_all(VideoRequest(prompt="a fox", duration=4))
        named = await client.plan(VideoRequest(prompt="a fox", model="fal/fal-ai/magi"))

    candidates = [each for each in report.candidates if each.backend == "fal"]
    refused = sorted(each.model for each in candidates if "unverified" in str(each.refusals))
    assert refused == [
        *("fal-ai/magi", "fal-ai/magi/extend-video", "fal-ai/magi/image-to-video"),
        "fal-ai/mochi-v1",
    ]
    assert named.model == "fal-ai/magi"


def test_a_model_of_an_unknown_kind_is_not_chosen_even_if_its_backend_is_declared() -> None:
    unknown = MODEL.model_copy(update={"only_by_name": True})
    rated = ModelFacts(quality=RATED)

    (error,) = refusals_of(unknown, rated, Route(), is_declared=True)

    assert error.message == "noise/gray is of an unknown kind and is used only when named"
    assert not list(refusals_of(unknown, rated, Route(model="noise/gray")))
