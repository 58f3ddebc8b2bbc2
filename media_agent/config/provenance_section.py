"""How finished videos show where they come from, under [provenance]."""

from typing import Literal

from pydantic import Field

from media_agent_schemas.base import Schema
from media_agent_schemas.request import VisibleLabel


class ProvenanceSection(Schema):
    """What is put into the frames of every video beside what is generated."""

    watermark: Literal["off", "encoded", "all"] = Field(
        default="off",
        description="encoded: frames that are encoded here anyway are marked, imperceptibly, with "
        "what finds their job; all: downloads too, which are encoded again for it.",
    )
    visible_label: VisibleLabel | None = Field(
        default=None,
        description="Words drawn in a corner of every frame, such as AI-generated; downloads are "
        "encoded again for it.",
    )
