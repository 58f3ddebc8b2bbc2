"""What is done about what is found in a finished video, as the settings say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from media_agent.provenance.quality.embedding import EmbeddingSpec
from media_agent_schemas.quality import Finding, FindingKind

Action = Literal["record", "warn", "fail", "remake"]


@dataclass(frozen=True, slots=True)
class QualityRules:
    """Whether finished videos are measured, from where on something is told, and what follows."""

    mode: Literal["off", "record", "warn"] = "off"
    """What is done about kinds that have no action of their own; off: nothing is measured."""
    limits: Mapping[FindingKind, float] = field(default_factory=dict)
    actions: Mapping[FindingKind, Action] = field(default_factory=dict)
    find_embedding: Callable[[], EmbeddingSpec | None] = lambda: None
    """Returns the embedding of the settings; None: the simple one."""

    def action_of(self, finding: Finding) -> Action:
        """Return what is done about a finding."""
        usual: Action = "warn" if self.mode == "warn" else "record"
        return self.actions.get(finding.kind, usual)
