"""What speaks against a model whatever it could do: wishes, licence, budget, a missing key."""

from collections.abc import Iterator

from media_agent.catalogue import ModelFacts
from media_agent.errors import (
    BudgetExceededError,
    ConfigurationError,
    MediaAgentError,
    Mismatch,
    ModelRetiredError,
    UnsupportedRequestError,
)
from media_agent.lengths import longest_shot, usual_fps
from media_agent.routes import Route
from media_agent.spans import wanted_seconds
from media_agent_schemas.capabilities import Capabilities, Plan
from media_agent_schemas.request import VideoRequest


def refusals_of(limits: Capabilities, facts: ModelFacts, route: Route) -> Iterator[MediaAgentError]:
    """Yield what speaks against a model whatever it could do."""
    name = f"{limits.backend}/{limits.model}"
    names = {limits.backend, name}
    by_name = route.model is not None or not names.isdisjoint(route.allow or ())
    if route.allow is not None and names.isdisjoint(route.allow):
        yield _against(name, "allow", ", ".join(route.allow), "it is not among them")
    if not names.isdisjoint(route.deny):
        yield _against(name, "deny", ", ".join(route.deny), "it is among them")
    if route.local_only and not limits.local:
        yield _against(name, "local only", "yes", "it works elsewhere")
    if route.licences is not None and limits.licence not in route.licences:
        licence = limits.licence or "unknown"
        yield _against(name, "licence", ", ".join(route.licences), f"its licence is {licence}")
    if facts.status == "test" and not by_name:
        yield UnsupportedRequestError(
            f"{name} is no model and is chosen only by name", hint=f"--backend {limits.backend}"
        )
    if facts.status == "retired":
        yield ModelRetiredError(f"{name} is gone", hint="choose another model")
    if limits.missing is not None:
        yield ConfigurationError(f"{name} lacks {limits.missing}")


def _against(name: str, wish: str, asked: str, reason: str) -> UnsupportedRequestError:
    return UnsupportedRequestError(
        f"{name} is not wanted", mismatches=[Mismatch(wish, asked, reason)]
    )


def too_long(request: VideoRequest, limits: Capabilities) -> Mismatch:
    """Return what of a request does not fit into one shot of a model that makes no other."""
    ways = "and neither extends films nor begins from a picture"
    if request.endless:
        return Mismatch("endless", "on", f"it makes films of a given length {ways}")
    longest = longest_shot(limits)
    fps = usual_fps(request.fps, limits)
    if longest is None or wanted_seconds(request, fps, limits) < longest + 1 / fps:
        return Mismatch("shots", str(len(request.shots)), f"it takes {limits.max_shots} {ways}")
    asked = f"{wanted_seconds(request, fps, limits):g}"
    return Mismatch("duration", asked, f"it makes at most {longest:g} s at once {ways}")


def too_dear(name: str, plan: Plan, budget: float | None) -> Iterator[MediaAgentError]:
    """Yield what a budget says against a plan; an unknown price is not within it."""
    cost = plan.estimate.cost_usd
    if budget is None or (plan.repeats and cost == 0):
        return
    if cost is None:
        yield BudgetExceededError(
            f"nobody knows what {name} will cost; the budget is {budget:g} USD",
            hint="leave the budget out, or choose a backend with a known price",
        )
    elif cost > budget:
        yield BudgetExceededError(
            f"{name} would cost {cost:g} USD; the budget is {budget:g} USD",
            hint="raise the budget, or ask for less",
        )
