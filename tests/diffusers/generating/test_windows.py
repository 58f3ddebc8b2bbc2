"""A continuation is made in calls that the model is good for, and holds the new frames alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from media_agent_diffusers.families.family import Call, Variant
from media_agent_diffusers.generating.windows import (
    Made,
    Window,
    Work,
    find_continuation,
    plan_windows,
    run_windows,
)
from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_diffusers.pipelines.output import Output
from media_agent_schemas.media import InputRole, Size
from media_agent_schemas.request import VideoMode

FolderOf = Callable[[str], Path]


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


def count_on(call: Call) -> np.ndarray:
    """Return frames whose shades count on from the first frame that is given, else from 0."""
    given = call.inputs.get(InputRole.SOURCE_VIDEO)
    start = 0 if given is None else int(np.asarray(given[0])[0, 0, 0])
    shades = np.arange(start, start + call.num_frames, dtype=np.uint8)
    return np.broadcast_to(shades[:, None, None, None], (call.num_frames, 2, 2, 3))


def ask(num_frames: int, *, source: int = 0, history: int = 0) -> Call:
    given = [frame(shade) for shade in range(source)]
    return Call(
        prompt="x",
        negative_prompt=None,
        size=Size(width=32, height=32),
        num_frames=num_frames + history,
        fps=24.0,
        max_tokens=16,
        options={},
        inputs={InputRole.SOURCE_VIDEO: given} if source else {},
        history=history,
    )


def works_of(variant: Variant, mode: VideoMode, call: Call) -> tuple[Work, Work]:
    tasks = {each.mode: each for each in variant.tasks}
    further = Work(tasks[VideoMode.VIDEO_EXTEND], ask(0, history=17))
    return Work(tasks[mode], call), further


@pytest.mark.parametrize("repeats_source", [False, True])
def test_each_window_continues_the_one_before_and_gives_its_new_frames(
    folder_of: FolderOf, repeats_source: bool
) -> None:
    variant = read_folder(folder_of("skyreels-df")).variant
    first, further = works_of(variant, VideoMode.VIDEO_EXTEND, ask(100, source=17, history=17))
    calls: list[tuple[int, int, int, int]] = []

    def run(work: Work, index: int, count: int) -> Output:
        source = work.call.inputs[InputRole.SOURCE_VIDEO]
        calls.append((index, count, len(source), work.call.history))
        made = count_on(work.call)
        return Output(np.concatenate([np.stack(source), made]) if repeats_source else made)

    windows = list(run_windows(first, further, variant, run))

    frames = np.concatenate([output.frames for output, _ in windows])
    assert frames[:, 0, 0, 0].tolist() == list(range(17, 117))
    assert calls == [(0, 2, 17, 17), (1, 2, 17, 17)]


def test_a_video_from_text_is_continued_by_the_same_model_from_wherever_it_was(
    folder_of: FolderOf,
) -> None:
    variant = read_folder(folder_of("skyreels-df")).variant
    first, further = works_of(variant, VideoMode.TEXT_TO_VIDEO, ask(201))
    modes: list[VideoMode] = []

    def run(work: Work, index: int, count: int) -> Output:
        modes.append(work.task.mode)
        return Output(count_on(work.call))

    windows = list(run_windows(first, further, variant, run))
    frames = [output.frames for output, _ in windows]
    made = windows[0][1]
    resumed = list(run_windows(first, further, variant, run, made))

    text, extend = VideoMode.TEXT_TO_VIDEO, VideoMode.VIDEO_EXTEND
    assert modes == [text, extend, extend, extend, extend]
    assert [len(each) for each in frames] == [97, 80, 24]
    assert np.concatenate(frames)[:, 0, 0, 0].tolist() == list(range(201))
    assert (made.windows, made.frames) == (1, 97)
    assert made.end is not None
    assert made.end[:, 0, 0, 0].tolist() == list(range(80, 97))
    assert all(
        np.array_equal(again.frames, before) and again_made.windows == index
        for (again, again_made), before, index in zip(resumed, frames[1:], (2, 3), strict=True)
    )


def test_what_is_whole_is_not_made_again(folder_of: FolderOf) -> None:
    variant = read_folder(folder_of("skyreels-df")).variant
    first, further = works_of(variant, VideoMode.TEXT_TO_VIDEO, ask(201))

    def run(work: Work, index: int, count: int) -> Output:
        raise AssertionError("a window was made")

    assert not list(run_windows(first, further, variant, run, Made(3, 201)))
    assert not list(run_windows(first, None, variant, run, Made(1, 201)))


@pytest.mark.parametrize(
    ("family", "continued"),
    [
        ("skyreels-df", {"text_to_video", "image_to_video", "video_extend"}),
        ("ltx-condition", {"text_to_video", "image_to_video", "video_extend"}),
        ("ltx2", {"text_to_video", "image_to_video", "video_extend"}),
        (
            "wan-vace",
            {"text_to_video", "reference_to_video", "image_to_video", "video_extend"},
        ),
        ("wan", set()),
        ("helios", set()),
    ],
)
def test_what_can_be_continued_says_nothing_about_its_end(
    folder_of: FolderOf, family: str, continued: set[str]
) -> None:
    variant = read_folder(folder_of(family)).variant

    found = {each.mode for each in variant.tasks if find_continuation(variant, each) is not None}

    assert {mode.value for mode in found} == continued
