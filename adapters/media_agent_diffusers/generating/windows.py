"""A long video, made by calls that each make no more frames than the model usually does.

The first call makes what was asked for, or continues a given video; every further one is given the
end of what is there already, and makes it again before the new frames.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from media_agent_diffusers.families.family import Call, Task, Variant
from media_agent_diffusers.pipelines.output import Output
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

if TYPE_CHECKING:
    from media_agent.video.codec import Frames

_CONTINUED = (VideoMode.TEXT_TO_VIDEO, VideoMode.IMAGE_TO_VIDEO, VideoMode.REFERENCE_TO_VIDEO)
"""Kinds of work whose videos can be continued: nothing is asked of their end."""


@dataclass(frozen=True, slots=True)
class Window:
    """One call of the pipeline."""

    history: int
    """Frames that it is given."""
    new: int
    """Frames that are kept of what it makes."""
    total: int
    """Frames that it is asked for, by the rule of the model: some may be left over at the end."""


@dataclass(frozen=True, slots=True)
class Made:
    """How far a video is, and what the next window needs of it."""

    windows: int = 0
    frames: int = 0
    end: "Frames | None" = None
    """The last frames, of the source too, as many as a window is given; None: there are none."""


@dataclass(frozen=True, slots=True)
class Work:
    """A task and what its pipeline is asked for."""

    task: Task
    call: Call


def find_continuation(variant: Variant, task: Task) -> Task | None:
    """Return the task that makes the further windows of a video; None: it is made at once."""
    if task.mode is VideoMode.VIDEO_EXTEND:
        return task
    extend = next((each for each in variant.tasks if each.mode is VideoMode.VIDEO_EXTEND), None)
    if extend is None or variant.longest_frames is None or task.mode not in _CONTINUED:
        return None
    needed = [role for role in task.inputs if role is not InputRole.FIRST_FRAME]
    return extend if set(needed) <= {*extend.inputs, *extend.optional} else None


def count_at_once(variant: Variant, task: Task, frames: int) -> int:
    """Return how many frames the largest window makes of a video of so many new frames."""
    if find_continuation(variant, task) is None:
        return frames
    if task.mode is VideoMode.VIDEO_EXTEND:
        return min(frames + task.history, variant.default_frames)
    return frames if frames <= (variant.longest_frames or frames) else variant.default_frames


def plan_windows(
    new: int, *, known: int, history: int, longest: int, multiple: int
) -> Iterator[Window]:
    """Yield the windows that make `new` frames after the `known` ones.

    A model makes multiple * k + 1 frames, `longest` at most; `history` is what it is given, less
    where there is less.
    """
    while new > 0:
        given = max(0, (min(known, history) - 1) // multiple * multiple + 1)
        part = min(new, max(multiple, longest - given))
        total = -(-(given + part - 1) // multiple) * multiple + 1
        yield Window(given, part, total)
        new, known = new - part, known + part


def run_windows(
    first: Work,
    further: Work | None,
    variant: Variant,
    run: Callable[[Work, int, int], Output],
    made: Made | None = None,
) -> Iterator[tuple[Output, Made]]:
    """Yield the new frames of each window with their audio, and how far the video is by then.

    A pipeline that works in windows of its own can make more than asked; the rest is cut off.

    `run(work, index, count)` makes one window of so many; `made` is what was made before.
    """
    made = made or Made(end=_read_source(first.call))
    windows = _list_windows(first, further, variant, made)
    count = made.windows + len(windows)
    for window in windows:
        whole = run(_shorten(first, further, window, made), made.windows, count)
        start = len(whole.frames) - (window.total - window.history) if window.history else 0
        output = whole.cut(start, window.new, fps=first.call.fps)
        made = _add(made, output.frames, 0 if further is None else further.call.history)
        yield output, made


def _list_windows(first: Work, further: Work | None, variant: Variant, made: Made) -> list[Window]:
    """Return the windows that are still to be made."""
    whole = first.call.num_frames - first.call.history
    if further is None:
        return [Window(0, whole, whole)] if made.windows == 0 else []
    return list(
        plan_windows(
            whole - made.frames,
            known=0 if made.end is None else len(made.end),
            history=further.call.history,
            longest=variant.default_frames,
            multiple=variant.frame_multiple,
        )
    )


def _shorten(first: Work, further: Work | None, window: Window, made: Made) -> Work:
    """Return the work of one window: the first without any history, or what continues."""
    if further is None or made.end is None:
        return Work(first.task, replace(first.call, num_frames=window.total))
    from PIL import Image

    source = [Image.fromarray(frame) for frame in made.end[-window.history :]]
    call = replace(
        further.call,
        num_frames=window.total,
        history=window.history,
        inputs={**further.call.inputs, InputRole.SOURCE_VIDEO: source},
    )
    return Work(further.task, call)


def _add(made: Made, frames: "Frames", history: int) -> Made:
    """Return how far the video is with more frames."""
    windows, total = made.windows + 1, made.frames + len(frames)
    if history == 0:
        return Made(windows, total)
    import numpy as np

    known = frames if made.end is None else np.concatenate([made.end, frames[-history:]])
    return Made(windows, total, known[-history:].copy())


def _read_source(call: Call) -> "Frames | None":
    """Return the end of the video that a call continues, None if it continues none."""
    if call.history == 0:
        return None
    import numpy as np

    frames = call.inputs[InputRole.SOURCE_VIDEO]
    if not isinstance(frames, list):
        raise TypeError("a source video is a list of images")
    return np.stack([np.asarray(frame) for frame in frames])
