"""What policies said of a request and of its video."""

from enum import StrEnum

from pydantic import Field

from media_agent_schemas.base import Schema

AMENDED_BY = "policy "
"""How the reason of an adjustment begins that a policy made; then come "NAME: " and its words."""


class PolicyStage(StrEnum):
    """When a policy is asked."""

    BEFORE_PLAN = "before_plan"
    BEFORE_SUBMIT = "before_submit"
    AFTER_RESULT = "after_result"


class PolicyDecision(StrEnum):
    """What it says; one that failed said nothing, which counts as a no."""

    ALLOWED = "allowed"
    AMENDED = "amended"
    REFUSED = "refused"
    FAILED = "failed"


class PolicyNote(Schema):
    """What one policy said at one stage."""

    policy: str = Field(description="Its name in the settings.")
    stage: PolicyStage = Field(description="When it was asked.")
    decision: PolicyDecision = Field(description="What it said.")
    code: str | None = Field(default=None, description="Its own word for a refusal.")
    reason: str | None = Field(default=None, description="Why; null: it allowed it.")
