"""Where the video that came is not the one that was planned, whoever made it."""

from collections.abc import Iterator

from media_agent_schemas.media import VideoMetadata
from media_agent_schemas.request import VideoMode, VideoRequest

_PLAYED = ("h264", "yuv420p", "yuvj420p")
_SQUARE = 0.01
_SAME_LENGTH = 0.02  # of the length planned; services round to a frame or two


def differences(asked: VideoRequest, planned: VideoRequest, video: VideoMetadata) -> Iterator[str]:
    """Say each of them, as a warning for the record; what was left open cannot differ."""
    yield from _hard_to_play(video)
    size = None if planned.inputs else planned.size  # an image may give the video its shape
    if size is not None and (video.width, video.height) != (size.width, size.height):
        yield f"requested {size}, received {video.width}x{video.height}"
    rate = None if asked.fps is None else planned.fps
    if rate is not None and abs(video.fps - rate) > 0.01:
        yield f"requested {rate:g} frames per second, received {video.fps:g}"
    seconds = None if planned.endless else planned.seconds()
    if seconds is None or abs(video.duration - seconds) <= _SAME_LENGTH * seconds:
        return
    has_its_source = planned.infer_mode() is VideoMode.VIDEO_EXTEND
    if video.duration < seconds or not has_its_source:
        yield f"requested {seconds:g} s, received {video.duration:g} s ({video.frames} frames)"


def _hard_to_play(video: VideoMetadata) -> Iterator[str]:
    """Say what not every player shows, or what programs that read the frames may overlook."""
    form = video.codec, video.pixel_format or _PLAYED[1]
    if video.container not in (None, "mp4"):
        yield f"the file is {video.container}, not MP4, whatever its name"
    if form[0] != _PLAYED[0] or form[1] not in _PLAYED[1:]:
        yield f"the video is {form[0]} in {form[1]}; every player shows only H.264 in yuv420p"
    if video.rotation % 360:
        yield f"the frames are stored turned: players turn them by {video.rotation} degrees"
    if abs(video.pixel_aspect - 1) > _SQUARE:
        yield f"its pixels are not square: players stretch them by {video.pixel_aspect:.3g}"
