"""Sizes, media that go in, files that come out."""

import os
import re
from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import AwareDatetime, Field, model_validator

from media_agent_schemas.base import Asked, OnlyNumbers, Schema, Sha256
from media_agent_schemas.provenance import Signature

SMALLEST_SIDE = 16
LARGEST_SIDE = 8192


class Size(Schema):
    """Width and height of a frame; both even, because H.264 in yuv420p needs it."""

    width: int = Field(description="Width in pixels, even, 16 to 8192.")
    height: int = Field(description="Height in pixels, even, 16 to 8192.")

    @model_validator(mode="after")
    def _check_sane(self) -> Self:
        for name, side in (("width", self.width), ("height", self.height)):
            if not SMALLEST_SIDE <= side <= LARGEST_SIDE:
                raise ValueError(f"{name} {side} is not within {SMALLEST_SIDE} to {LARGEST_SIDE}")
            if side % 2:
                raise ValueError(f"{name} {side} is odd; give an even number of pixels")
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `"640x360"`.

        Raises:
            ValueError: the text is not WIDTHxHEIGHT, or a side is odd or out of range.
        """
        match = re.fullmatch(r"\s*(\d{1,6})\s*[xX]\s*(\d{1,6})\s*", text)
        if match is None:
            raise ValueError(f"size {text!r} is not WIDTHxHEIGHT, for example 640x360")
        return cls(width=int(match[1]), height=int(match[2]))

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class ResolutionTier(StrEnum):
    """A nominal resolution; the frames that come may differ, the record says what came."""

    P360 = "360p"
    P480 = "480p"
    P540 = "540p"
    P720 = "720p"
    P768 = "768p"
    P1080 = "1080p"
    K2 = "2k"
    K4 = "4k"


class CameraMove(StrEnum):
    """A camera movement that models commonly know."""

    STATIC = "static"
    PAN_LEFT = "pan_left"
    PAN_RIGHT = "pan_right"
    TILT_UP = "tilt_up"
    TILT_DOWN = "tilt_down"
    ZOOM_IN = "zoom_in"
    ZOOM_OUT = "zoom_out"
    DOLLY_IN = "dolly_in"
    DOLLY_OUT = "dolly_out"
    ORBIT_LEFT = "orbit_left"
    ORBIT_RIGHT = "orbit_right"
    HANDHELD = "handheld"


class InputRole(StrEnum):
    """What an input medium is for."""

    FIRST_FRAME = "first_frame"
    LAST_FRAME = "last_frame"
    KEYFRAME = "keyframe"
    SUBJECT = "subject"
    STYLE = "style"
    MOTION = "motion"
    SOURCE_VIDEO = "source_video"
    MASK = "mask"


class MediaInput(Asked):
    """One image or video of a request, from exactly one source."""

    sources: ClassVar[tuple[str, ...]] = ("path", "url", "data")
    """The fields that may say what it is; one of them does."""

    role: InputRole = Field(description="What the medium is for.")
    path: str | None = Field(default=None, min_length=1, description="A file on this machine.")
    url: str | None = Field(default=None, pattern=r"^https?://", description="An http(s) address.")
    data: bytes | None = Field(
        default=None, min_length=1, description="The bytes (base64 in JSON)."
    )
    mime_type: str | None = Field(default=None, description="Media type, for example image/png.")
    at: Annotated[float, Field(ge=0, allow_inf_nan=False), OnlyNumbers] | None = Field(
        default=None, description="Place of a keyframe, in seconds."
    )
    own_id: str | None = Field(
        default=None,
        min_length=1,
        description="What the service that made the video calls it; some continue no others.",
    )

    @classmethod
    def from_place(cls, role: InputRole, place: str) -> Self:
        """Return the medium at an http(s) address or in a file of this machine.

        The path of a file is made absolute, so that it holds whatever folder a later process
        starts in.
        """
        if place.startswith(("http://", "https://")):
            return cls(role=role, url=place)
        return cls(role=role, path=place and os.path.abspath(os.path.expanduser(place)))  # noqa: PTH100, PTH111

    @model_validator(mode="after")
    def _check_one_source(self) -> Self:
        given = [name for name in self.sources if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"input {self.role.value} needs exactly one of {', '.join(self.sources)}; "
                f"it has {', '.join(given) or 'none'}"
            )
        if self.at is not None and self.role is not InputRole.KEYFRAME:
            raise ValueError(f"input {self.role.value} has a time; only a keyframe can have one")
        if self.at is None and self.role is InputRole.KEYFRAME:
            raise ValueError("a keyframe needs a time: at, in seconds")
        return self


class VideoMetadata(Schema):
    """What a probe read from the file itself, not what was promised."""

    width: int = Field(gt=0, description="Width in pixels.")
    height: int = Field(gt=0, description="Height in pixels.")
    fps: float = Field(gt=0, description="Frames per second.")
    frames: int = Field(ge=0, description="Number of frames.")
    duration: float = Field(ge=0, description="Length in seconds.")
    codec: str = Field(description="Video codec, for example h264.")
    pixel_format: str | None = Field(default=None, description="Pixel format, for example yuv420p.")
    container: str | None = Field(default=None, description="Container format, for example mp4.")
    rotation: int = Field(default=0, description="Degrees by which players turn its frames.")
    pixel_aspect: float = Field(default=1.0, gt=0, description="Width of a pixel by its height.")
    has_audio: bool = Field(default=False, description="Whether an audio stream is present.")
    size_bytes: int | None = Field(default=None, ge=0, description="Size of the file in bytes.")


class SourceJoin(Schema):
    """How a video that continues another one has that one in front of the new part."""

    source: str | None = Field(default=None, description="Path or URL of the source; null: bytes.")
    sha256: Sha256 | None = Field(default=None, description="Digest of the source; null: unknown.")
    by_backend: bool = Field(default=False, description="The backend returned it so.")
    seconds: float = Field(ge=0, description="Where the new part begins.")
    new_frames: int = Field(ge=0, description="Frames of the new part, as it was generated.")
    encoded_again: bool = Field(default=False, description="Whether the frames were encoded again.")
    scaled_from: Size | None = Field(
        default=None, description="Size of the new part before it was scaled to the source."
    )
    resampled_from: float | None = Field(
        default=None, gt=0, description="Its frame rate before it was given that of the source."
    )


class Marking(Schema):
    """What was put into the frames of a video beside what was generated."""

    watermark: str | None = Field(
        default=None,
        pattern=r"^0x[0-9a-f]{8}$",
        description="The 32 bits of the watermark, which find the job; null: none.",
    )
    label: str | None = Field(default=None, description="The words of the label; null: none.")
    start: float = Field(
        default=0.0,
        ge=0,
        description="First moment that this job marked, in seconds; what comes before is of the "
        "source, or of the job that it continues.",
    )


class ArtifactKind(StrEnum):
    """What a file that came out is."""

    VIDEO = "video"
    PARTIAL_VIDEO = "partial_video"
    CONTACT_SHEET = "contact_sheet"


class Artifact(Schema):
    """A file that came out: on this machine (path), elsewhere (uri), or both."""

    kind: ArtifactKind = Field(default=ArtifactKind.VIDEO, description="What the file is.")
    path: str | None = Field(default=None, description="The file on this machine.")
    uri: str | None = Field(default=None, description="Where it can be fetched; may expire.")
    mime_type: str = Field(default="video/mp4", description="Media type.")
    size_bytes: int | None = Field(default=None, ge=0, description="Size in bytes.")
    sha256: Sha256 | None = Field(default=None, description="Digest of the file's bytes.")
    expires_at: AwareDatetime | None = Field(
        default=None, description="When the uri stops working."
    )
    own_id: str | None = Field(
        default=None,
        description="What the service that made the video calls it, where that continues it by "
        "this name; null: it does not.",
    )
    metadata: VideoMetadata | None = Field(default=None, description="Probed from the file.")
    joined: SourceJoin | None = Field(
        default=None, description="The source video in front of the new part; null: none."
    )
    marking: Marking | None = Field(
        default=None, description="The watermark and the label in its frames; null: none."
    )
    signature: Signature | None = Field(
        default=None, description="Whether it says, signed, that AI made it; null: not delivered."
    )

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if self.path is None and self.uri is None:
            raise ValueError("an artifact needs a path or a uri")
        return self
