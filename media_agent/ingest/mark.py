"""A video from elsewhere, encoded again with something added to its frames."""

from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.ingest.read import iterate_upright, measure_video
from media_agent.ingest.sound import copy_sound
from media_agent.storage.files import temporary_beside
from media_agent.video.codec import write_images
from media_agent.video.remux import remux

if TYPE_CHECKING:
    from media_agent.video.codec import Mark


def encode_with_mark(source: Path, target: Path, mark: "Mark") -> None:
    """Write a video as an MP4 of its size and rate, upright; its frames pass through `mark`.

    Raises:
        InvalidRequestError: this is no video, or it is damaged or too large.
    """
    size, rate = measure_video(source)
    silent, sound = temporary_beside(target), temporary_beside(target)
    try:
        images = iterate_upright(source, size=size, fps=float(rate))
        write_images(silent, images, size=(size.width, size.height), fps=float(rate), mark=mark)
        has_sound = copy_sound(source, sound) > 0
        remux(silent, target, sound=sound if has_sound else None)
    finally:
        silent.unlink(missing_ok=True)
        sound.unlink(missing_ok=True)
