"""The settings of what is found in finished videos, each kind under [findings.KIND]."""

from typing import Literal

from pydantic import Field

from media_agent_schemas.base import Schema


class FindingSection(Schema):
    """From where on something is told, and what follows, under [findings.KIND]."""

    limit: float | None = Field(
        default=None, allow_inf_nan=False, description="From where on it is told; see the kinds."
    )
    action: Literal["record", "warn", "fail", "remake"] | None = Field(
        default=None,
        description="Keep it in the record, warn, fail the job, or make the chunk again with "
        "another seed; default: as `quality` says.",
    )
