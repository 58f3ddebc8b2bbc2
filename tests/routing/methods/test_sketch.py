"""A glance at a model never says more than its plan does, so that the best are found by it."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.registry.registry import Registry
from media_agent.routing.catalogue import Catalogue
from media_agent.routing.explain import make_sort_key
from media_agent.routing.methods.sketch import sketch
from media_agent.routing.router import Router
from media_agent_schemas.media import InputRole, MediaInput, ResolutionTier, Size
from media_agent_schemas.plan import Candidate, Policy
from media_agent_schemas.request import Budget, Routing, RoutingPreference, Shot, VideoRequest

IMAGE = MediaInput(role=InputRole.FIRST_FRAME, url="https://images.example/fox.png")
REQUESTS: dict[str, dict[str, object]] = {
    "nothing said": {},
    "five seconds": {"duration": 5},
    "a minute": {"duration": 60},
    "frames": {"num_frames": 100, "fps": 8},
    "large": {"duration": 8, "resolution": ResolutionTier.P1080},
    "small": {"duration": 8, "resolution": ResolutionTier.P480},
    "pixels": {"duration": 4, "size": Size(width=1920, height=1080)},
    "tall": {"duration": 4, "aspect_ratio": "9:16"},
    "silent": {"duration": 6, "audio": False},
    "with sound": {"duration": 6, "audio": True},
    "several": {"duration": 5, "n": 3},
    "shots": {"prompt": None, "shots": tuple(Shot(prompt="a fox", duration=6) for _ in range(4))},
    "an image": {"duration": 5, "inputs": (IMAGE,)},
    "an image, long": {"duration": 40, "inputs": (IMAGE,)},
    "endless": {"endless": True},
    "a budget": {"duration": 5, "budget": Budget(max_cost_usd=0.6)},
}


@pytest.fixture(scope="module")
def backends() -> dict[str, VideoBackend]:
    """Return every hosted backend, with a key."""
    registry = Registry.discover()
    found: dict[str, VideoBackend] = {}
    for name, spec in registry.specs.items():
        if spec.key_variables and spec.catalogue is not None:
            settings = BackendSettings(Path(), key=SecretStr("a-key-0123456789"))
            found[name] = registry.create(name, settings)
    return found


@pytest.fixture(scope="module")
def router(backends: dict[str, VideoBackend]) -> Router:
    return Router(backends, Catalogue.load(Registry.discover().specs), draw_seed=lambda: 7)


def asked(prefer: RoutingPreference, **said: object) -> VideoRequest:
    fields = {"prompt": "a fox", "routing": Routing(prefer=prefer), **said}
    return VideoRequest.model_validate(fields)


@pytest.mark.parametrize("name", REQUESTS)
def test_no_plan_is_better_than_its_model_looked(router: Router, name: str) -> None:
    request = asked(RoutingPreference.CHEAPEST, **REQUESTS[name])
    context = router._build_context(request, Policy.ADJUST, False)
    choices = [router.find_model(each) for each in router._list_names(context.route)]
    ranking, keys = router._rank(context, choices), list(map(make_sort_key, RoutingPreference))

    for choice in choices:
        glance = sketch(choice, context, ranking.refuse(choice), router.find_model)
        full = ranking.evaluate(choice)
        if not full.refusals:
            assert not glance.refusals, choice.name
            assert all(key(glance) <= key(full) for key in keys), choice.name


@pytest.mark.parametrize("prefer", [RoutingPreference.CHEAPEST, RoutingPreference.BEST])
@pytest.mark.parametrize("name", ["five seconds", "a minute", "large", "an image, long"])
def test_the_best_are_those_of_a_plan_of_all(
    router: Router, name: str, prefer: RoutingPreference
) -> None:
    request = asked(prefer, **REQUESTS[name])

    whole, best = router.report(request), router.report(request, best=3)

    assert names(best.ranked[:3]) == names(whole.ranked[:3])
    assert len(best.candidates) == len(whole.candidates)
    firsts = {each.backend: each.name for each in reversed(whole.ranked)}
    shown = {each.backend: each.name for each in reversed(best.ranked)}
    assert shown.keys() == firsts.keys()
    assert all(each.plan is not None for each in best.ranked)


def names(candidates: Sequence[Candidate]) -> list[str]:
    return [each.name for each in candidates]


def test_the_others_are_said_to_cost_no_less_than_the_best(router: Router) -> None:
    report = router.report(asked(RoutingPreference.CHEAPEST, duration=5), best=3)

    glanced = [each for each in report.candidates if each.rank is None and not each.refusals]
    most = report.ranked[2].estimate.cost_usd

    assert glanced
    assert most is not None
    assert all(each.plan is None for each in glanced)
    known = [each.estimate.cost_usd for each in glanced if each.estimate.cost_usd is not None]
    assert min(known) >= most - 0.05  # a glance leaves the last frame of a video out
