"""What a request wants in the frames beside what is generated: a watermark, a visible label."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from media_agent.distribution import install_hint
from media_agent.errors import InvalidRequestError
from media_agent_schemas.media import Marking, VideoMetadata
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from media_agent.video.codec import Mark

SMALLEST_SIDE = 64
"""Pixels of the shorter side from which frames have room for a watermark."""


def build_mark(request: VideoRequest, key: str) -> "Mark | None":
    """Return what marks the frames of the submission of this key; None: nothing is wanted."""
    marks: list[Mark] = []
    if request.watermark is not None:
        from media_agent.provenance.watermark.payload import find_payload
        from media_agent.provenance.watermark.write import Watermarker

        marks.append(Watermarker(find_payload(key)))
    if request.visible_label is not None:
        from media_agent.video.label import Label

        marks.append(Label(request.visible_label))
    if not marks:
        return None

    def mark(frame: "VideoFrame") -> "VideoFrame":
        for each in marks:
            frame = each(frame)
        return frame

    return mark


def describe_marking(
    request: VideoRequest, key: str, video: VideoMetadata | None
) -> Marking | None:
    """Return what `build_mark` has put into a video; None: nothing."""
    watermark = None
    if request.watermark is not None and video is not None and _has_room(video):
        from media_agent.provenance.watermark.payload import find_payload, to_hex

        watermark = to_hex(find_payload(key))
    if watermark is None and request.visible_label is None:
        return None
    return Marking(watermark=watermark, label=request.visible_label)


def check_marks(request: VideoRequest) -> None:
    """Check before any work that the marks of a request can be made.

    Raises:
        InvalidRequestError: a package is missing, or the label has no room in frames of this size.
    """
    for wanted, what, modules in (
        (request.watermark, "a watermark", ("numpy",)),
        (request.visible_label, "a visible label", ("numpy", "PIL")),
    ):
        missing = [name for name in modules if find_spec(name) is None]
        if wanted is not None and missing:
            raise InvalidRequestError(
                f"{what} needs {' and '.join(missing)}", hint=install_hint("local")
            )
    if request.visible_label is not None and request.size is not None:
        from media_agent.video.label import choose_letter_size

        choose_letter_size(request.visible_label, request.size.width, request.size.height)


def warn_of_marks(request: VideoRequest) -> list[str]:
    """Say what of the marks that a request wants will not be there."""
    size = request.size
    if request.watermark is None or size is None or min(size.width, size.height) >= SMALLEST_SIDE:
        return []
    least = f"{SMALLEST_SIDE}x{SMALLEST_SIDE}"
    return [f"frames of {size} get no watermark: there is room for it from {least} on"]


def _has_room(video: VideoMetadata) -> bool:
    return min(video.width, video.height) >= SMALLEST_SIDE
