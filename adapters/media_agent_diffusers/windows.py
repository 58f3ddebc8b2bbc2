"""A continuation, made by calls that each make no more frames than the model usually does.

Every call is given the end of what is there already, and makes it again before the new frames.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from media_agent_diffusers.families.family import Call, Variant
from media_agent_diffusers.output import Output, join_outputs
from media_agent_schemas.media import InputRole

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Window:
    """One call of the pipeline."""

    history: int
    """Frames that it is given."""
    new: int
    """Frames that are kept of what it makes."""
    total: int
    """Frames that it is asked for, by the rule of the model: some may be left over at the end."""


def run_windows(call: Call, variant: Variant, run: Callable[[Call, int, int], Output]) -> Output:
    """Return what a call makes: of a continuation the new frames alone, and their audio.

    A pipeline that works in windows of its own can make more than asked; the rest is cut off.

    `run(call, index, count)` makes one window of so many.
    """
    if call.history == 0:
        return run(call, 0, 1).cut(0, call.num_frames, fps=call.fps)
    from PIL import Image

    known = _read_source(call.inputs)
    windows = list(
        plan_windows(
            call.num_frames - call.history,
            known=len(known),
            history=call.history,
            longest=variant.default_frames,
            multiple=variant.frame_multiple,
        )
    )
    made: list[Output] = []
    for index, window in enumerate(windows):
        inputs = {**call.inputs, InputRole.SOURCE_VIDEO: known[-window.history :]}
        part = replace(call, num_frames=window.total, history=window.history, inputs=inputs)
        whole = run(part, index, len(windows))
        start = len(whole.frames) - (window.total - window.history)
        made.append(whole.cut(start, window.new, fps=call.fps))
        known = [*known, *map(Image.fromarray, made[-1].frames)][-call.history :]
    return join_outputs(made)


def plan_windows(
    new: int, *, known: int, history: int, longest: int, multiple: int
) -> Iterator[Window]:
    """Yield the windows that make `new` frames after the `known` ones.

    A model makes multiple * k + 1 frames, `longest` at most; `history` is what it is given, less
    where there is less.
    """
    while new > 0:
        given = (min(known, history) - 1) // multiple * multiple + 1
        part = min(new, max(multiple, longest - given))
        total = -(-(given + part - 1) // multiple) * multiple + 1
        yield Window(given, part, total)
        new, known = new - part, known + part


def _read_source(inputs: Mapping[InputRole, object]) -> "list[Image]":
    frames = inputs[InputRole.SOURCE_VIDEO]
    if not isinstance(frames, list):
        raise TypeError("a source video is a list of images")
    return frames
