"""A plan and the families' own validation agree on every length, at every rate."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from media_agent.errors import InvalidRequestError, UnsupportedRequestError
from media_agent.negotiation.negotiate import negotiate
from media_agent_diffusers.describe import describe
from media_agent_diffusers.families.catalogue import find_families
from media_agent_diffusers.families.family import Task
from media_agent_diffusers.files import ModelFiles
from media_agent_diffusers.generating.call import check_plan
from media_agent_diffusers.model_folder.folder import ModelFolder
from media_agent_diffusers.model_folder.weights import Weights
from media_agent_schemas import Policy, VideoRequest
from media_agent_schemas.media import MediaInput
from media_agent_schemas.request import VideoMode

HERE = Path("model")


def _read_folders() -> Iterator[ModelFolder]:
    """Yield a folder of each pipeline of each family, whose configs leave all to the family."""
    for family in find_families().values():
        for pipeline in family.pipelines:
            index, configs = {"_class_name": pipeline}, defaultdict[str, dict[str, object]](dict)
            for component in family.components:
                configs[component] = {}
            variant = family.variant(ModelFiles(HERE, index, configs, {}))
            yield ModelFolder(HERE, index, configs, {}, variant, Weights((), None))


FOLDERS = {folder.pipeline: folder for folder in _read_folders()}
TASKS = [(name, task) for name, folder in FOLDERS.items() for task in folder.variant.tasks]


def ask(pipeline: str, task: Task, **length: float | None) -> VideoRequest:
    inputs = tuple(MediaInput(role=role, data=b"x") for role in task.inputs)
    fields = {"prompt": "a cat", "model": f"diffusers/{pipeline}", "seed": 0, "mode": task.mode}
    return VideoRequest.model_validate({**fields, "inputs": inputs, **length})


@given(
    which=some.sampled_from(TASKS),
    fps=some.none() | some.sampled_from([1.0, 4.0, 7.0, 8.0, 14.0, 16.0, 24.0, 25.0, 29.97, 60.0]),
    frames=some.integers(1, 600),
    seconds=some.floats(0.01, 30),
    said=some.sampled_from(["frames", "seconds", "nothing"]),
    policy=some.sampled_from(Policy),
)
def test_what_a_plan_accepts_is_accepted_when_it_is_submitted(
    which: tuple[str, Task],
    fps: float | None,
    frames: int,
    seconds: float,
    said: str,
    policy: Policy,
) -> None:
    pipeline, task = which
    folder = FOLDERS[pipeline]
    capabilities = describe(pipeline, folder)
    length = {"frames": {"num_frames": frames}, "seconds": {"duration": seconds}, "nothing": {}}
    request = ask(pipeline, task, fps=fps, **length[said])

    try:
        planned = negotiate(request, capabilities, policy, draw_seed=lambda: 0).request
    except (UnsupportedRequestError, InvalidRequestError):
        return

    check_plan(planned, folder.variant, capabilities)


@given(which=some.sampled_from(TASKS), fps=some.floats(1, 60), frames=some.integers(1, 600))
def test_what_is_accepted_when_it_is_submitted_is_planned_as_it_is(
    which: tuple[str, Task], fps: float, frames: int
) -> None:
    pipeline, task = which
    folder = FOLDERS[pipeline]
    capabilities = describe(pipeline, folder)
    rate = fps if folder.variant.fps_range else folder.variant.fps
    request = ask(pipeline, task, fps=rate, num_frames=frames)

    try:
        check_plan(request, folder.variant, capabilities)
    except InvalidRequestError:
        return
    planned = negotiate(request, capabilities, draw_seed=lambda: 0).request

    is_filled_up = task.mode is VideoMode.VIDEO_EDIT
    assert planned.fps == request.fps
    assert planned.num_frames == frames or is_filled_up
    assert (planned.num_frames or 0) >= frames


@pytest.mark.parametrize(
    ("length", "frames"),
    [
        ({"fps": 14}, 25),
        ({"fps": 4, "num_frames": 25}, 25),
        ({"fps": 30, "num_frames": 25}, 25),
        ({"fps": 14, "duration": 1}, 14),
    ],
)
def test_a_model_limited_in_frames_makes_them_at_any_rate(
    length: dict[str, float], frames: int
) -> None:
    pipeline = "StableVideoDiffusionPipeline"
    folder = FOLDERS[pipeline]
    request = ask(pipeline, folder.variant.tasks[0], **length)

    planned = negotiate(
        request, describe(pipeline, folder), Policy.STRICT, draw_seed=lambda: 0
    ).request

    assert (planned.num_frames, planned.fps) == (frames, length["fps"])


def test_too_many_frames_are_refused_in_frames() -> None:
    pipeline = "StableVideoDiffusionPipeline"
    folder = FOLDERS[pipeline]
    request = ask(pipeline, folder.variant.tasks[0], num_frames=30, fps=4)

    with pytest.raises(UnsupportedRequestError, match=r"num_frames = 30: .* makes 2 to 25 frames"):
        negotiate(request, describe(pipeline, folder), draw_seed=lambda: 0)
