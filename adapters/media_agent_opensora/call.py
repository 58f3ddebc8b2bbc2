"""From a negotiated request to one run of Open-Sora: what is asked, and the files for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError
from media_agent.ingest.read import (
    check_image,
    check_video,
    read_all,
    read_end,
    read_image,
    read_video_seconds,
)
from media_agent_opensora.models import FPS, Model
from media_agent_opensora.prompts import check_folder, check_prompt
from media_agent_schemas.media import InputRole, MediaInput, Size
from media_agent_schemas.request import VideoMode, VideoRequest

if TYPE_CHECKING:
    from media_agent.video.codec import Frames

_CONDITIONS = {
    (): ("t2v", VideoMode.TEXT_TO_VIDEO),
    (InputRole.FIRST_FRAME,): ("i2v_head", VideoMode.IMAGE_TO_VIDEO),
    (InputRole.LAST_FRAME,): ("i2v_tail", VideoMode.FIRST_LAST_FRAME),
    (InputRole.FIRST_FRAME, InputRole.LAST_FRAME): ("i2v_loop", VideoMode.FIRST_LAST_FRAME),
}
_NEEDED = {
    VideoMode.TEXT_TO_VIDEO: "no input",
    VideoMode.IMAGE_TO_VIDEO: "one first_frame",
    VideoMode.FIRST_LAST_FRAME: "one last_frame, and at most one first_frame",
}
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Call:
    """What one run is asked for."""

    model: Model
    condition: str
    prompt: str
    negative_prompt: str | None
    size: Size
    new_frames: int
    seed: int
    options: Mapping[str, JsonValue]

    @property
    def frames(self) -> int:
        """Return the frames of the run: the new ones, and those that are made again."""
        return self.new_frames + self.model.overlap


def read_call(request: VideoRequest, model: Model, options: Mapping[str, JsonValue]) -> Call:
    """Return what a request asks of a run; the inputs are not opened.

    Raises:
        InvalidRequestError: an input is missing or too many, or Open-Sora would misread it.
    """
    shots = request.storyboard()
    prompt = shots[0].prompt if shots else None
    check_prompt(prompt, "prompt")
    if request.negative_prompt is not None:
        check_prompt(request.negative_prompt, "negative prompt")
    size, frames = request.size, request.num_frames
    if prompt is None or size is None or frames is None or request.seed is None:
        raise InvalidRequestError("the request has no size, num_frames or seed; a plan sets them")
    if size not in model.resolution.sizes.values():
        known = ", ".join(map(str, model.resolution.sizes.values()))
        raise InvalidRequestError(f"it makes videos of {known}, not {size}")
    if not model.fewest <= frames <= model.longest:
        raise InvalidRequestError(
            f"it makes {model.fewest} to {model.longest} new frames, not {frames}"
        )
    if (frames + model.overlap) % 4 != 1:
        raise InvalidRequestError(
            f"it makes {'4k' if model.overlap else '4k+1'} new frames, not {frames}"
        )
    return Call(
        model=model,
        condition=_find_condition(request, model),
        prompt=prompt,
        negative_prompt=request.negative_prompt,
        size=size,
        new_frames=frames,
        seed=request.seed,
        options=options,
    )


def check_inputs(request: VideoRequest, model: Model, folder: Path) -> None:
    """Check that each input can be opened, is long enough, and can be handed on from a folder.

    Raises:
        InvalidRequestError: it cannot.
    """
    if request.inputs:
        check_folder(folder)
    for medium in request.inputs:
        if medium.role is not InputRole.SOURCE_VIDEO:
            check_image(medium)
            continue
        check_video(medium)
        _check_length(round(read_video_seconds(medium) * FPS), model)


def write_references(
    request: VideoRequest, call: Call, folder: Path, tell: Tell
) -> tuple[Path, ...]:
    """Write the files that the run starts from, in the size of its frames, and return them.

    Raises:
        InvalidRequestError: an input cannot be used.
    """
    media = {medium.role: medium for medium in request.inputs}
    source = media.get(InputRole.SOURCE_VIDEO)
    if source is not None:
        return (_write_clip(folder / "source.mp4", _read_source(source, call, tell)),)
    return tuple(
        _write_image(
            folder / f"{role.value}.png", read_image(media[role], size=call.size, tell=tell)
        )
        for role in (InputRole.FIRST_FRAME, InputRole.LAST_FRAME)
        if role in media
    )


def _find_condition(request: VideoRequest, model: Model) -> str:
    """Return what Open-Sora calls this kind of work."""
    given = [medium.role for medium in request.inputs]
    mode = request.infer_mode()
    if mode not in model.modes:
        raise InvalidRequestError(f"it does {', '.join(model.modes)}, not {mode}")
    if mode is VideoMode.VIDEO_EXTEND:
        if given != [InputRole.SOURCE_VIDEO]:
            raise InvalidRequestError(
                f"it continues one source_video; given: {', '.join(given) or 'none'}"
            )
        if request.join_source and model.place == "tail":
            raise InvalidRequestError(
                "what comes before a video is not joined behind it",
                hint="ask for the new part alone: --only-new",
            )
        return model.condition
    condition, own = _CONDITIONS.get(tuple(sorted(given)), ("", None))
    if own is not mode:
        raise InvalidRequestError(
            f"{mode} starts from {_NEEDED[mode]}; given: {', '.join(given) or 'none'}",
            hint=None if given else "without one, Open-Sora would use the text alone",
        )
    return condition


def _check_length(frames: int, model: Model) -> None:
    if frames < model.overlap:
        raise InvalidRequestError(
            f"source_video has {frames} frames at {FPS:g} frames per second; "
            f"Open-Sora needs at least {model.overlap}",
            hint=f"give a video of at least {model.overlap / FPS:.3g} s",
        )


def _read_source(source: MediaInput, call: Call, tell: Tell) -> "Frames":
    """Return exactly the frames that are taken, so that it does not matter which end is read."""
    import numpy as np

    overlap = call.model.overlap
    if call.model.place == "head":
        frames = read_end(source, frames=overlap, size=call.size, fps=FPS, tell=tell)
    else:
        images = read_all(source, limit=overlap, size=call.size, fps=FPS)
        frames = np.stack(list(images))
    _check_length(len(frames), call.model)
    return frames


def _write_clip(path: Path, frames: "Frames") -> Path:
    from media_agent.video.codec import write_images
    from media_agent.video.images import frame_of

    height, width = frames.shape[1:3]
    images = (frame_of(pixels.tobytes(), width, height) for pixels in frames)
    write_images(path, images, size=(width, height), fps=FPS)
    return path


def _write_image(path: Path, pixels: "Frames") -> Path:
    from media_agent.video.images import as_png, frame_of

    height, width = pixels.shape[:2]
    path.write_bytes(as_png(frame_of(pixels.tobytes(), width, height)))
    return path
