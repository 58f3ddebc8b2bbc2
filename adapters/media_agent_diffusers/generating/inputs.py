"""The inputs of a request as PIL images, at the size and rate that a pipeline works at.

A mask is white where something is to be made, and black where the source video is kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from media_agent.backend.local import GenerationContext
from media_agent.errors import InvalidRequestError
from media_agent.ingest.read import Fit, check_image, measure_shape, read_all, read_end, read_image
from media_agent_schemas.media import InputRole, MediaInput, Size

if TYPE_CHECKING:
    from PIL.Image import Image

    from media_agent.video.codec import Frames

_ALIKE = 0.01  # shapes that differ by less are the same


@dataclass(frozen=True, slots=True)
class InputReader:
    """Reads the inputs of one request; what a person should know becomes a warning."""

    size: Size
    fit: Fit
    fps: float
    context: GenerationContext

    def read_images(self, inputs: Iterable[MediaInput]) -> "dict[InputRole, object]":
        """Return the images by role: first and last frame, and a list of subjects."""
        images: dict[InputRole, object] = {}
        subjects = [each for each in inputs if each.role is InputRole.SUBJECT]
        if subjects:
            tell = self.context.warn
            images[InputRole.SUBJECT] = [
                _to_image(read_image(each, tell=tell)) for each in subjects
            ]
        for medium in inputs:
            if medium.role in (InputRole.FIRST_FRAME, InputRole.LAST_FRAME):
                images[medium.role] = self._read_image(medium)
        return images

    def read_keyframes(
        self, inputs: Iterable[MediaInput], multiple: int
    ) -> "tuple[tuple[int, Image], ...]":
        """Return the frames that the model can set, every `multiple`th, and their images."""
        keyframes = []
        for medium in inputs:
            if medium.role is InputRole.KEYFRAME:
                frame, asked = place_keyframe(medium, self.fps, multiple), medium.at or 0.0
                if abs(frame / self.fps - asked) * self.fps > 0.5:
                    self.context.warn(
                        f"the keyframe at {asked:g} s is shown at {frame / self.fps:.4g} s: the "
                        f"model can set every {multiple}th frame"
                    )
                keyframes.append((frame, self._read_image(medium)))
        return tuple(keyframes)

    def read_end(self, source: MediaInput, count: int) -> "list[Image]":
        """Return the last frames of a source video, all if it has fewer."""
        frames = read_end(
            source,
            frames=count,
            size=self.size,
            fit=self.fit,
            fps=self.fps,
            tell=self.context.warn,
        )
        if len(frames) < count:
            self.context.warn(
                f"source_video has {len(frames)} frames, and the continuation begins from fewer "
                f"than {count}"
            )
        return [_to_image(pixels) for pixels in frames]

    def read_start(self, source: MediaInput, wanted: int, multiple: int) -> "list[Image]":
        """Return the frames of a source, its last one repeated up to a number that is made."""
        frames = list(self._read_frames(source, wanted))
        return self._repeat_last(frames, min(wanted - len(frames), (1 - len(frames)) % multiple))

    def read_mask(
        self, inputs: Iterable[MediaInput], source: MediaInput, count: int
    ) -> "dict[InputRole, object]":
        """Return the mask of each frame, white where something is to be made; {}: everywhere.

        What is beyond the source, where it is padded, is made as well.
        """
        from PIL import Image, ImageChops

        given = find_input(inputs, InputRole.MASK)
        bars = self._find_bars(source)
        if given is None and bars is None:
            return {}
        black = Image.new("L", (self.size.width, self.size.height), 0)
        masks = [black] * count if given is None else self._read_given_mask(given, count)
        if bars is not None:
            self.context.warn("what is beyond the source video is generated")
            masks = [ImageChops.lighter(mask, bars) for mask in masks]
        return {InputRole.MASK: masks}

    def _read_given_mask(self, mask: MediaInput, count: int) -> "list[Image]":
        if not is_video(mask):
            return [_to_mask(self._read_image(mask))] * count
        masks = [_to_mask(frame) for frame in self._read_frames(mask, count)]
        return self._repeat_last(masks, count - len(masks), "mask")

    def _find_bars(self, source: MediaInput) -> "Image | None":
        """Return the mask of what is beyond a source that is padded, None if nothing is."""
        shape = measure_shape(source, "video")
        width, height = self.size.width, self.size.height
        if self.fit != "pad" or abs(shape * height / width - 1) < _ALIKE:
            return None
        from PIL import Image

        across, down = min(width, round(height * shape)), min(height, round(width / shape))
        left, top = (width - across) // 2, (height - down) // 2
        bars = Image.new("L", (width, height), 255)
        bars.paste(0, (left, top, left + across, top + down))
        return bars

    def _read_image(self, medium: MediaInput) -> "Image":
        tell = self.context.warn
        return _to_image(read_image(medium, size=self.size, fit=self.fit, tell=tell))

    def _read_frames(self, medium: MediaInput, limit: int) -> "Iterator[Image]":
        tell = self.context.warn
        for pixels in read_all(
            medium, limit=limit, size=self.size, fit=self.fit, fps=self.fps, tell=tell
        ):
            self.context.check()
            yield _to_image(pixels)

    def _repeat_last(
        self, frames: "list[Image]", times: int, name: str = "source_video"
    ) -> "list[Image]":
        if times > 0:
            self.context.warn(f"{name}: its last frame is repeated {times} times")
        return [*frames, *[frames[-1]] * times]


def find_input(inputs: Iterable[MediaInput], role: InputRole) -> MediaInput | None:
    """Return the first input of a role, None if there is none."""
    return next((each for each in inputs if each.role is role), None)


def place_keyframe(medium: MediaInput, fps: float, multiple: int) -> int:
    """Return the frame nearest to a keyframe's time, of those that the model can set."""
    return round((medium.at or 0.0) * fps / multiple) * multiple


def check_keyframes(
    inputs: Iterable[MediaInput], frames: int, *, fps: float, multiple: int
) -> None:
    """Check that each image has a frame of its own within the video.

    Raises:
        InvalidRequestError: a keyframe is after the end, or two images are for one frame.
    """
    last = frames - 1
    ends = {InputRole.FIRST_FRAME: 0, InputRole.LAST_FRAME: last}
    taken: set[int] = set()
    for medium in inputs:
        if medium.role not in (*ends, InputRole.KEYFRAME):
            continue
        frame = ends.get(medium.role)
        frame = place_keyframe(medium, fps, multiple) if frame is None else frame
        if frame > last:
            raise InvalidRequestError(
                f"the keyframe at {medium.at:g} s is after the end of the video, which has "
                f"{frames / fps:.4g} s"
            )
        if frame in taken:
            raise InvalidRequestError(
                f"two images are for frame {frame}: the model can set every {multiple}th frame",
                hint="leave one out, or move a keyframe",
            )
        taken.add(frame)


def is_video(medium: MediaInput) -> bool:
    """Return whether a mask is a video; any other mask is taken for an image."""
    if medium.role is not InputRole.MASK:
        return False
    try:
        check_image(medium)
    except InvalidRequestError:
        return True
    return False


def check_mask(inputs: Iterable[MediaInput]) -> None:
    """Check that a mask has the shape of its video, so that both are cropped alike.

    Raises:
        InvalidRequestError: it has another one.
    """
    mask, source = (find_input(inputs, role) for role in (InputRole.MASK, InputRole.SOURCE_VIDEO))
    if mask is None or source is None:
        return
    own = measure_shape(mask, "video" if is_video(mask) else "image")
    wanted = measure_shape(source, "video")
    if abs(own / wanted - 1) >= _ALIKE:
        raise InvalidRequestError(
            f"the mask is {float(own):.4g} times as wide as high, the source video "
            f"{float(wanted):.4g} times",
            hint="make the mask at the size of the video",
        )


def _to_image(pixels: "Frames") -> "Image":
    from PIL import Image

    return Image.fromarray(pixels)


def _to_mask(image: "Image") -> "Image":
    return image.convert("L").point([0] * 128 + [255] * 128)
