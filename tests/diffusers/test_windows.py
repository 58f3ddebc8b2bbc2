"""A continuation is made in calls that the model is good for, and holds the new frames alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from media_agent_diffusers.families.family import Call
from media_agent_diffusers.folder import read_folder
from media_agent_diffusers.output import Output
from media_agent_diffusers.windows import Window, plan_windows, run_windows
from media_agent_schemas.media import InputRole, Size


@pytest.mark.parametrize("new", [1, 4, 79, 80, 81, 97, 500])
@pytest.mark.parametrize("known", [1, 3, 8, 17, 40])
@pytest.mark.parametrize(("longest", "multiple"), [(97, 4), (81, 4), (161, 8)])
def test_windows_hold_all_new_frames_and_keep_the_rules_of_the_model(
    new: int, known: int, longest: int, multiple: int
) -> None:
    windows = list(plan_windows(new, known=known, history=17, longest=longest, multiple=multiple))

    assert sum(window.new for window in windows) == new
    have = known
    for window in windows:
        assert 1 <= window.history <= min(17, have)
        assert window.total % multiple == window.history % multiple == 1
        assert 0 <= window.total - window.history - window.new < multiple
        assert window.total <= longest
        have += window.new


def test_as_much_is_given_as_there_is() -> None:
    windows = list(plan_windows(97, known=6, history=17, longest=97, multiple=4))

    assert windows == [Window(5, 92, 97), Window(17, 5, 25)]


def frame(shade: int) -> Image.Image:
    return Image.new("RGB", (2, 2), (shade, shade, shade))


def count_on(call: Call, index: int, count: int) -> np.ndarray:
    """Return frames whose shades count on from the first frame that is given."""
    start = np.asarray(call.inputs[InputRole.SOURCE_VIDEO][0])[0, 0, 0]
    shades = np.arange(start, start + call.num_frames, dtype=np.uint8)
    return np.broadcast_to(shades[:, None, None, None], (call.num_frames, 2, 2, 3))


@pytest.mark.parametrize("repeats_source", [False, True])
def test_each_window_continues_the_one_before_and_gives_its_new_frames(
    folder_of: Callable[[str], Path], repeats_source: bool
) -> None:
    variant = read_folder(folder_of("skyreels-df")).variant
    calls: list[tuple[int, int, int, int]] = []

    def run(call: Call, index: int, count: int) -> Output:
        source = call.inputs[InputRole.SOURCE_VIDEO]
        calls.append((index, count, len(source), call.history))
        made = count_on(call, index, count)
        return Output(np.concatenate([np.stack(source), made]) if repeats_source else made)

    call = Call(
        prompt="x",
        negative_prompt=None,
        size=Size(width=32, height=32),
        num_frames=17 + 100,
        fps=24.0,
        max_tokens=16,
        options={},
        inputs={InputRole.SOURCE_VIDEO: [frame(shade) for shade in range(17)]},
        history=17,
    )

    frames = run_windows(call, variant, run).frames

    assert frames[:, 0, 0, 0].tolist() == list(range(17, 117))
    assert calls == [(0, 2, 17, 17), (1, 2, 17, 17)]
