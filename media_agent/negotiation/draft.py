"""A plan in the making: what was resolved, changed and refused so far."""

from dataclasses import dataclass, field
from fractions import Fraction

from pydantic import JsonValue

from media_agent.errors import Mismatch
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.media import Size
from media_agent_schemas.plan import Adjustment, Policy
from media_agent_schemas.request import VideoRequest


@dataclass(frozen=True, slots=True)
class Shape:
    """What frames have that take it from an image or a video."""

    ratio: Fraction
    """Width by height."""
    size: Size | None = None
    """That of a video that is continued."""


@dataclass
class NegotiationDraft:
    """Collects the outcome of a negotiation field by field; refusals are gathered, not raised."""

    request: VideoRequest
    capabilities: Capabilities
    policy: Policy
    shape: Shape | None = None
    """That of the image or video that the caller brought, where it could be seen."""
    resolved: dict[str, object] = field(default_factory=dict)
    adjustments: list[Adjustment] = field(default_factory=list)
    mismatches: list[Mismatch] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def model(self) -> str:
        """Return the full name of who is asked."""
        return f"{self.capabilities.backend}/{self.capabilities.model}"

    def note(self, name: str, asked: JsonValue, used: JsonValue, reason: str) -> None:
        """Record what was filled in or derived; allowed under every policy."""
        self.adjustments.append(Adjustment(field=name, asked=asked, used=used, reason=reason))

    def change(self, name: str, asked: JsonValue, used: JsonValue, reason: str) -> None:
        """Record that something else is used than was asked; strict refuses it."""
        if self.policy is Policy.STRICT:
            self.refuse(name, asked, reason)
        else:
            self.note(name, asked, used, reason)

    def refuse(self, name: str, asked: JsonValue, reason: str) -> None:
        """Record that nothing near it would still be what was asked."""
        self.mismatches.append(Mismatch(name, format_value(asked), reason))


def format_value(value: JsonValue) -> str:
    """Return what was asked or is used as people read it, numbers in at most six digits."""
    match value:
        case None:
            return "not given"
        case bool():
            return "on" if value else "off"
        case float():
            return f"{value:g}"
        case str() if len(value) > 80:
            return f"{value[:77]}..."
        case _:
            return str(value)
