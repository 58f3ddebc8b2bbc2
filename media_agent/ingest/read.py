"""Images and videos from outside as frames of the size and rate wanted. PyAV at first use.

The end of a video is looked for from the end: what the decoder gives from a key frame up to the end
of the file holds the last frames, whatever the times in the file say. Where that is too little, the
next try begins four times as far back, and the last one at the start.
"""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.errors import InvalidRequestError
from media_agent.ingest.reshape import Fit as Fit
from media_agent.ingest.reshape import Shaper, Tell, measure_upright
from media_agent.ingest.source import (
    MOST_DECODED,
    Kind,
    Medium,
    Source,
    count_most_frames,
    open_medium,
)
from media_agent.ingest.source import open_ordinary as open_ordinary
from media_agent.ingest.timing import Timed, add_ends, add_times, find_last_tick, pick_nearest
from media_agent.video.codec import to_frame_rate
from media_agent.video.resample import resample
from media_agent_schemas.media import LARGEST_SIDE, SMALLEST_SIDE, Size

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from media_agent.video.codec import Frames

_MOST_HELD = 2 << 30  # bytes of decoded frames


def read_image(
    source: Source, *, size: Size | None = None, fit: Fit = "crop", tell: Tell | None = None
) -> "Frames":
    """Return an image (uint8, H W 3), upright, over black where it is transparent.

    Args:
        source: A file, its bytes, or an input of a request.
        size: The size wanted; the image's own if not given.
        fit: How to keep proportions: "crop" cuts off what is beyond, "pad" adds black.
        tell: Called with a sentence for each thing done that a person should know.

    Raises:
        InvalidRequestError: no PNG, JPEG or WebP image, damaged, or too large.
    """
    with open_medium(source, "image") as medium:
        for image in medium.decode():
            return Shaper(medium, size=size, fit=fit, tell=tell)(image)
        raise medium.given.unusable_error("it holds no image")


def read_end(
    source: Source,
    *,
    frames: int,
    size: Size | None = None,
    fit: Fit = "crop",
    fps: float | None = None,
    tell: Tell | None = None,
    most_decoded: int = MOST_DECODED,
) -> "Frames":
    """Return the last frames of a video (uint8, T H W 3); all, if it has fewer.

    Args:
        source: A file, its bytes, or an input of a request.
        frames: How many.
        size: The size wanted; the video's own if not given.
        fit: How to keep proportions: "crop" cuts off what is beyond, "pad" adds black.
        fps: The rate wanted: of the video's frames those nearest in time, counted back from its
            last. Every frame if not given.
        tell: Called with a sentence for each thing done that a person should know.
        most_decoded: Pixels that may be decoded on the way.

    Raises:
        InvalidRequestError: `frames` is below one, or this is no video, damaged, or too large.
    """
    import numpy as np

    _check_count(frames)
    rate = None if fps is None else to_frame_rate(fps)
    medium, end = _end_of(source, frames, rate, most_decoded, tell)
    _say_sound(medium, tell)
    if rate is not None:
        _say_rate(medium, rate, tell)
        end = pick_nearest(end, frames, rate)
    shape = Shaper(medium, size=size, fit=fit, tell=tell)
    return np.stack([shape(each.image) for each in end])


def read_all(
    source: Source,
    *,
    limit: int,
    size: Size | None = None,
    fit: Fit = "crop",
    fps: float | None = None,
    tell: Tell | None = None,
    keeps_sound: bool = False,
) -> Iterator["Frames"]:
    """Yield the first `limit` frames of a video (uint8, H W 3), one by one.

    The other arguments are those of `read_end`; at another rate a frame shows until the next. With
    `keeps_sound` somebody else takes the sound, and it is not told that it is left out.

    Raises:
        InvalidRequestError: this is no video, or it is damaged or too large.
    """
    _check_count(limit)
    with open_medium(source, "video") as medium:
        shape = Shaper(medium, size=size, fit=fit, tell=tell)
        if not keeps_sound:
            _say_sound(medium, tell)
        shown: VideoFrame | None = None
        images = medium.decode()
        if fps is not None:
            _say_rate(medium, to_frame_rate(fps), tell)
            images = resample(add_ends(add_times(images, medium.rate)), to_frame_rate(fps))
        for count, image in enumerate(images):
            if count == limit:
                # at another rate a whole number of frames may leave less than one over
                if tell is not None and (fps is None or next(images, None) is not None):
                    tell(f"{medium.given.name} is longer; its first {limit} frames were used")
                return
            if image is not shown:
                pixels, shown = shape(image), image
            yield pixels
        if shown is None:
            raise medium.given.unusable_error("it holds no frames")


def check_video(source: Source, name: str | None = None) -> None:
    """Decode the first frame of a video, and look whether the file holds all that it announces.

    Raises:
        InvalidRequestError: this is no video, or it is damaged, cut off, or too large.
    """
    with open_medium(source, "video", name) as medium:
        if next(medium.decode(), None) is None:
            raise medium.given.unusable_error("it holds no frames")
    with open_medium(source, "video", name) as medium:
        medium.check_whole()


def check_image(source: Source, name: str | None = None) -> None:
    """Decode an image whole.

    Raises:
        InvalidRequestError: no PNG, JPEG or WebP image, damaged, or too large.
    """
    with open_medium(source, "image", name) as medium:
        if next(medium.decode(), None) is None:
            raise medium.given.unusable_error("it holds no image")


def read_video_seconds(source: Source) -> float:
    """Return how long the frames of a video last, whatever the file and its sound claim.

    Raises:
        InvalidRequestError: this is no video, or it is damaged or too large.
    """
    with open_medium(source, "video") as medium:
        return float(medium.measure_length())


def measure_shape(source: Source, kind: Kind) -> Fraction:
    """Return the width of an image or video by its height, as it is seen.

    Raises:
        InvalidRequestError: it is something else, or damaged or too large.
    """
    with open_medium(source, kind) as medium:
        for image in medium.decode():
            width, height, aspect = measure_upright(medium, image)
            return width * aspect / height
        raise medium.given.unusable_error("it holds no image")


def read_last_image(path: Path) -> "VideoFrame":
    """Return the last frame of a video, upright, in rgb24; this needs no numpy.

    Raises:
        InvalidRequestError: this is no video, or it is damaged or too large.
    """
    medium, end = _end_of(path, 1, None, MOST_DECODED)
    return Shaper(medium, size=None, fit="crop", tell=None).reshape(end[-1].image)


def measure_video(source: Source) -> tuple[Size, Fraction]:
    """Return the size of a video, upright and with even sides, and its frames a second.

    Raises:
        InvalidRequestError: this is no video, or it is damaged or too large.
    """
    with open_medium(source, "video") as medium:
        for image in medium.decode():
            upright = Shaper(medium, size=None, fit="crop", tell=None).reshape(image)
            width, height = (side - side % 2 for side in (upright.width, upright.height))
            if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in (width, height)):
                said = f"its size is {upright.width}x{upright.height}"
                hint = f"sides of {SMALLEST_SIDE} to {LARGEST_SIDE} pixels can be used"
                raise medium.given.unusable_error(said, hint)
            return Size(width=width, height=height), medium.rate
        raise medium.given.unusable_error("it holds no frames")


def iterate_upright(
    source: Source, *, size: Size, fps: float, fit: Fit = "crop", most_pixels: int = MOST_DECODED
) -> Iterator["VideoFrame"]:
    """Yield all frames of a video, upright, in rgb24, at this size and rate; needs no numpy.

    Raises:
        InvalidRequestError: this is no video, or it is damaged or too large, or so long that its
            frames have more than `most_pixels` together, whatever stands still in it.
    """
    most = count_most_frames(size.width, size.height, most_pixels)
    with open_medium(source, "video") as medium:
        shaper = Shaper(medium, size=size, fit=fit, tell=None)
        shown = add_ends(add_times(medium.decode(), medium.rate))
        for count, image in enumerate(resample(shown, to_frame_rate(fps))):
            if count == most:
                said = f"it has more than {most} frames of {size} at {fps:g} a second"
                raise medium.given.unusable_error(said, "cut it, or shrink it")
            yield shaper.reshape(image)


def _check_count(frames: int) -> None:
    if frames < 1:
        raise InvalidRequestError(f"{frames} frames were requested; request at least one")


def _say_sound(medium: Medium, tell: Tell | None) -> None:
    if tell is not None and medium.has_sound:
        tell(f"{medium.given.name} has sound, which the model does not use")


def _say_rate(medium: Medium, rate: Fraction, tell: Tell | None) -> None:
    if tell is not None and abs(medium.rate / rate - 1) > 0.01:
        own, wanted = float(medium.rate), float(rate)
        tell(f"{medium.given.name}: {own:g} frames per second, resampled to {wanted:g}")


def _end_of(
    source: Source, frames: int, rate: Fraction | None, most: int, tell: Tell | None = None
) -> tuple[Medium, list[Timed]]:
    """Return the last frames that the decoder gives, or all that `rate` chooses from."""
    import av

    back: Fraction | None = None  # seconds before the end
    while True:
        with open_medium(source, "video") as medium:
            back = 2 * frames / (rate or medium.rate) if back is None else 4 * back
            is_whole = back >= medium.read_extent()[1]
            try:
                if is_whole:
                    end = _keep_end(medium, medium.decode(most), frames, rate)
                else:
                    medium.seek_before_end(back)
                    images = dropwhile(_is_broken, medium.decode(most))
                    end = _keep_end(medium, images, frames, rate)
            except av.error.FFmpegError:
                if is_whole:
                    raise
                continue  # no way in here
            if is_whole or _is_enough(end, frames, rate):
                _check_end(medium, end, tell)
                return medium, end


def _check_end(medium: Medium, end: list[Timed], tell: Tell | None) -> None:
    """Refuse what is damaged, and tell of a video that ends before it should."""
    if not end:
        raise medium.given.unusable_error("it holds no frames")
    if any(each.image.is_corrupt for each in end):
        raise medium.given.unusable_error("its end is damaged", "cut the damaged end off")
    start, length = medium.read_extent()
    seconds = end[-1].end - start
    if tell is not None and length - seconds > 1 and not medium.has_sound_until(start + length):
        said = f"{medium.given.name} claims {float(length):g} s and ends after {float(seconds):g} s"
        tell(f"{said}; it may be cut off")


def _is_broken(image: "VideoFrame") -> bool:
    """Whether a frame may be missing what came before the place where decoding started."""
    return image.is_corrupt or not image.key_frame


def _keep_end(
    medium: Medium, images: Iterator["VideoFrame"], frames: int, rate: Fraction | None
) -> list[Timed]:
    """Return the end of what is decoded: as many frames, or those of the time they last."""
    kept: deque[Timed] = deque(maxlen=frames if rate is None else None)
    for each in add_times(images, medium.rate):
        if rate is not None:
            if len(kept) > 1 and each.time - kept[-2].time < 1 / (4 * rate):
                kept.pop()  # so close together that it is not missed
            first = find_last_tick(each, rate) - (frames - 1) / rate
            while len(kept) > 1 and kept[1].time <= first:
                kept.popleft()
        kept.append(each)
        if len(kept) * sum(plane.buffer_size for plane in each.image.planes) > _MOST_HELD:
            raise medium.given.unusable_error(
                f"its last {len(kept)} frames take more than {_MOST_HELD >> 30} GiB",
                "shrink it, or ask for fewer frames",
            )
    return list(kept)


def _is_enough(end: list[Timed], frames: int, rate: Fraction | None) -> bool:
    if rate is None or not end:
        return len(end) == frames
    return end[0].time <= find_last_tick(end[-1], rate) - (frames - 1) / rate
