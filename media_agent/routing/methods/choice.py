"""One model as a planner sees it: what it can do, what is known of it, what it would cost."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from media_agent.negotiation.prompts import AS_WRITTEN, PromptRules
from media_agent.routing.facts import ModelFacts
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import UNKNOWN, Estimate
from media_agent_schemas.plan import Candidate
from media_agent_schemas.request import VideoMode, VideoRequest


def _say_nothing(request: VideoRequest) -> Estimate:
    return UNKNOWN


@dataclass(frozen=True)
class ModelChoice:
    """One model as a planner sees it."""

    capabilities: Capabilities
    estimate: Callable[[VideoRequest], Estimate] = _say_nothing
    """What a negotiated request would take, by all that is known."""
    facts: ModelFacts = field(default_factory=ModelFacts)
    own_estimate: Callable[[VideoRequest], Estimate] = _say_nothing
    """What its backend itself says of that."""
    _by_mode: dict[VideoMode, Capabilities] = field(default_factory=dict, compare=False)

    @cached_property
    def name(self) -> str:
        """Return "backend/model"."""
        return f"{self.capabilities.backend}/{self.capabilities.model}"

    @cached_property
    def candidate(self) -> Candidate:
        """Return what a candidate says of it, whatever is asked."""
        capabilities, facts = self.capabilities, self.facts
        return Candidate(
            backend=capabilities.backend,
            model=capabilities.model,
            offer_of=facts.offer_of,
            quality=facts.quality,
            verification=capabilities.verification,
            licence=capabilities.licence,
            local=capabilities.local,
            missing=capabilities.missing,
        )

    @cached_property
    def rules(self) -> PromptRules:
        """What becomes of prompts."""
        rewriting = self.facts.rewriting
        if rewriting is None:
            return AS_WRITTEN
        return PromptRules(rewrites=True, option=rewriting.option, off=rewriting.off)

    def for_mode(self, mode: VideoMode) -> Capabilities:
        """Return what it can do in one mode."""
        if mode not in self._by_mode:
            self._by_mode[mode] = self.capabilities.for_mode(mode)
        return self._by_mode[mode]
