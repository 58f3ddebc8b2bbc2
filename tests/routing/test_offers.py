"""One model at several providers: named by its own name, each offer planned, the best first."""

import datetime
from collections.abc import Mapping
from pathlib import Path

import pytest

from media_agent.backend.protocol import VideoBackend
from media_agent.client import VideoClient
from media_agent.config.settings import Settings
from media_agent.errors import InvalidRequestError, MediaAgentError
from media_agent.registry.registry import Registry
from media_agent.routing.catalogue import Catalogue
from media_agent.routing.facts import ModelFacts, Price
from media_agent.routing.router import Router
from media_agent.setup.check import check
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.plan import PlanReport
from media_agent_schemas.request import Routing, VideoRequest
from tests.routing.test_router import Shelf, model

TODAY = datetime.date(2026, 11, 20)
FOX = VideoRequest(prompt="a fox", model="wan-2.7")


def offer(usd: float | None = None, **facts: object) -> ModelFacts:
    prices = () if usd is None else (Price(usd=usd, per="second", source="a page", date=TODAY),)
    return ModelFacts.model_validate({"offer_of": "wan-2.7", "prices": prices, **facts})


def router(
    facts: Mapping[str, ModelFacts], broken: Mapping[str, MediaAgentError] | None = None
) -> Router:
    """Return a router over models that are named "backend/model"."""
    models: dict[str, list[Capabilities]] = {}
    files: dict[str, dict[str, ModelFacts]] = {}
    for name, known in facts.items():
        backend, _, each = name.partition("/")
        names = [other.partition("/")[2] for other in facts if other.startswith(f"{backend}/")]
        models.setdefault(backend, []).append(model(backend, each, models=tuple(names)))
        files.setdefault(backend, {})[each] = known
    backends: dict[str, VideoBackend] = {name: Shelf(*found) for name, found in models.items()}
    files |= {name: {"x": offer(0.01)} for name in broken or {}}
    return Router(backends, Catalogue(files), draw_seed=lambda: 7, broken=broken)


def names(report: PlanReport) -> list[str]:
    return [each.name for each in report.ranked]


def test_all_offers_of_a_named_model_are_planned_the_cheapest_first() -> None:
    three = {"one/wan": offer(0.3), "two/wan-fast": ModelFacts(), "two/wan": offer(0.1)}

    report = router(three).report(FOX)

    assert names(report) == ["two/wan", "one/wan"]
    assert report.summary.startswith("selected two/wan, an offer of wan-2.7: ")
    assert [each.offer_of for each in report.candidates] == ["wan-2.7", "wan-2.7"]


def test_the_plan_says_which_offer_was_chosen_and_why() -> None:
    plan = router({"one/wan": offer(0.3), "two/wan": offer(0.1)}).plan(FOX)

    (note,) = [each for each in plan.adjustments if each.field == "model"]
    assert (plan.request.model, note.asked, note.used) == ("two/wan", "wan-2.7", "two/wan")
    assert note.reason == "an offer of wan-2.7, routed by preference: local-first"


def test_preferences_hold_among_the_offers() -> None:
    offers = {"one/wan": offer(0.3), "two/wan": offer(0.1)}
    avoided = FOX.model_copy(update={"routing": Routing(avoid=("two",))})

    assert names(router(offers).report(avoided)) == ["one/wan"]


def test_an_offer_needs_no_rating_but_an_unverified_one_is_named_itself() -> None:
    offers = {"one/wan": offer(0.1, status="unverified"), "two/wan": offer(0.3)}

    report = router(offers).report(FOX)

    assert names(report) == ["two/wan"]
    assert "is used only when named" in report.candidates[-1].refusals[0].message


def test_a_plan_warns_of_a_model_that_is_named_although_it_is_unverified() -> None:
    models = {"one/wan": offer(0.1, status="unverified", status_since=datetime.date(2026, 6, 5))}

    plan = router(models).plan(VideoRequest(prompt="a fox", model="one/wan"))

    assert plan.warnings == ("one/wan is unverified since June 2026, probably retired",)


def test_a_list_of_allowed_models_may_name_one_by_its_own_name() -> None:
    asked = VideoRequest(prompt="a fox", routing=Routing(allow=("wan-2.7",)))

    report = router({"one/wan": offer(0.3), "one/other": ModelFacts()}).report(asked)

    assert names(report) == ["one/wan"]


def test_a_backend_that_is_broken_is_a_refused_offer() -> None:
    broken = {"three": InvalidRequestError("it has no model yet")}

    report = router({"one/wan": offer(0.3)}, broken).report(FOX)

    assert names(report) == ["one/wan"]
    assert [each.backend for each in report.candidates if each.refusals] == ["three"]


def test_a_name_of_a_backend_and_of_a_model_is_refused_with_both() -> None:
    both = router({"wan-2.7/own": ModelFacts(), "one/wan": offer(0.3)})

    with pytest.raises(InvalidRequestError) as caught:
        both.report(FOX)

    assert "is the name of a backend, and of a model offered by one" in caught.value.message
    assert "wan-2.7/MODEL" in str(caught.value.hint)
    assert both.plan(FOX.model_copy(update={"model": "wan-2.7/own"})).backend == "wan-2.7"


@pytest.mark.anyio
@pytest.mark.parametrize("given", ["Wan 2.7", "wan2.7", "wan-2,7", "WAN_2.7"])
async def test_a_name_that_is_nearly_one_is_answered_with_it(given: str) -> None:
    async with VideoClient() as client:
        with pytest.raises(InvalidRequestError) as caught:
            await client.plan(VideoRequest(prompt="a fox", model=given))

    assert str(caught.value.hint).startswith("did you mean wan-2.7, which is offered by ")


@pytest.mark.anyio
async def test_what_is_of_one_backend_asks_for_one_offer() -> None:
    async with VideoClient() as client:
        with pytest.raises(InvalidRequestError, match=r"wan-2\.7 is a model offered by .*fal"):
            await client.capabilities("wan-2.7")


@pytest.mark.anyio
async def test_a_job_of_a_named_model_has_a_plan_for_each_offer_that_could(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAI_API_KEY", "xai-key-0123456789")
    aliases = {"mine": {"kind": "xai"}, "yours": {"kind": "xai"}}
    keyed = {name: {**each, "key": "a-key-0123456789"} for name, each in aliases.items()}
    settings = Settings(data_dir=tmp_path, backends=keyed)  # type: ignore[arg-type]

    async with VideoClient(settings=settings) as client:
        plans = await client.plans(VideoRequest(prompt="a fox", model="grok-imagine"))

    assert [each.backend for each in plans] == ["mine", "xai", "yours"]


def test_the_settings_may_name_a_model_that_several_offer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('[routes.good]\nmodel = "wan-2.7"\n[routes.bad]\nmodel = "wan-2,7"\n')
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(path))

    (fault,) = [each.text for each in check().findings if each.is_fault]

    assert "routes.bad.model" in fault
    assert "did you mean wan-2.7" in fault


def test_every_name_of_a_model_is_unlike_every_backend() -> None:
    registry = Registry.discover()
    offers = Catalogue.load(registry.specs).offers

    assert offers["wan-2.7"]
    assert not offers.keys() & set(registry.names())
