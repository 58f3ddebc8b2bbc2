"""Where the work on a video is continued, in another process or as another video."""

from pydantic import Field, JsonValue

from media_agent_schemas.base import Document, Schema
from media_agent_schemas.request import VideoRequest


class ResumeToken(Document):
    """Enough to continue after the last finished chunk, in another process."""

    backend: str = Field(description="Backend that wrote it; no other can read it.")
    model: str = Field(description="Name of the model.")
    next_chunk: int = Field(ge=0, description="Index of the first chunk still to be generated.")
    key: str | None = Field(
        default=None,
        description="The submission in whose work folder the chunks and the state are; absent: the "
        "one that resumes. Another one: its video is branched here, with the request's prompts.",
    )
    exact: bool = Field(
        default=True,
        description="Whether the video goes on, on the same machine, with the very frames that it "
        "would have had; false: with nearly these, as numbers are rounded otherwise.",
    )
    data: dict[str, JsonValue] = Field(default={}, description="The backend's own; small.")
    replay: "Replay | None" = Field(
        default=None, description="How to make the state again, where it is no longer kept."
    )


class Replay(Schema):
    """How to make a state again: the video it belongs to, resumed from an earlier state."""

    request: VideoRequest = Field(description="The video, with the prompts that it had.")
    resume: ResumeToken | None = Field(
        default=None, description="Where to resume it; null: from its beginning."
    )
    chunks: int = Field(ge=0, description="Chunks on disk already; these are only computed again.")
