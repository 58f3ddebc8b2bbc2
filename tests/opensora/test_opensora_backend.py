"""Every way to run Open-Sora, from the request to the decoded video."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_agent.errors import InvalidRequestError
from media_agent.testing import frames_of
from media_agent.testing.simulator.videos import write_video
from media_agent_opensora.models import LARGE, MODELS, SMALL
from media_agent_schemas.events import JobCompleted
from media_agent_schemas.media import InputRole, MediaInput, Size
from tests.opensora.conftest import Build, FakeOpenSora, make_request, run

pytestmark = pytest.mark.anyio

GREEN, BLUE = (0, 200, 0), (0, 0, 200)
RED = (200, 0, 0)  # what the stand-in makes again of a reference


def is_like(pixels: Any, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixels.reshape(-1, 3).mean(axis=0) - colour).max() < 25)


@pytest.fixture
def image(tmp_path: Path) -> Callable[..., MediaInput]:
    """Return what makes an input of one colour."""
    from media_agent.video.images import as_png, frame_of

    def image(role: InputRole, colour: tuple[int, int, int]) -> MediaInput:
        path = tmp_path / f"it's;a {role}.png"  # the file of the user may be called anything
        path.write_bytes(as_png(frame_of(bytes(colour) * (64 * 48), 64, 48)))
        return MediaInput(role=role, path=str(path))

    return image


@pytest.fixture
def video(tmp_path: Path) -> Callable[[int], MediaInput]:
    """Return what makes a source video of so many frames."""

    def video(count: int) -> MediaInput:
        frames = np.zeros((count, 48, 64, 3), np.uint8)
        frames[..., 0] = np.linspace(0, 255, count, dtype=np.uint8)[:, None, None]
        write_video(tmp_path / "source;1.mp4", frames, fps=24)
        return MediaInput(role=InputRole.SOURCE_VIDEO, path=str(tmp_path / "source;1.mp4"))

    return video


async def test_a_video_is_made_from_text(build: Build, fake: FakeOpenSora) -> None:
    end = await run(build(), make_request(negative_prompt="blur"))

    assert isinstance(end, JobCompleted), end
    assert frames_of(end).shape == (5, 224, 288, 3)
    values = fake.asked["values"]
    assert values["cond_type"] == "t2v"
    assert (values["seed"], values["sampling_option"]["seed"]) == (7, 7)
    assert values["sampling_option"]["num_steps"] == 50
    assert fake.asked["rows"] == [{"text": "a cat", "name": "video", "neg": "blur"}]
    assert "prompt_refine" not in values
    assert {name for name in fake.asked["environment"] if "KEY" in name} == set()


@pytest.mark.parametrize(
    ("colours", "condition"),
    [
        ({InputRole.FIRST_FRAME: GREEN}, "i2v_head"),
        ({InputRole.LAST_FRAME: BLUE}, "i2v_tail"),
        ({InputRole.FIRST_FRAME: GREEN, InputRole.LAST_FRAME: BLUE}, "i2v_loop"),
    ],
    ids=["head", "tail", "loop"],
)
async def test_a_video_starts_and_ends_with_the_images_given(
    build: Build,
    fake: FakeOpenSora,
    image: Callable[..., MediaInput],
    colours: dict[InputRole, tuple[int, int, int]],
    condition: str,
) -> None:
    inputs = tuple(image(*each) for each in reversed(colours.items()))

    end = await run(build(), make_request(inputs=inputs))

    assert isinstance(end, JobCompleted), end
    frames = frames_of(end)
    assert fake.asked["values"]["cond_type"] == condition
    assert is_like(frames[0], GREEN) == (InputRole.FIRST_FRAME in colours)
    assert is_like(frames[-1], BLUE) == (InputRole.LAST_FRAME in colours)


@pytest.mark.parametrize(
    ("model", "condition", "overlap", "shade"),
    [
        ("256px-extend", "v2v_head", 33, 255),
        ("256px-extend-easy", "v2v_head_easy", 65, 255),
        ("256px-prepend", "v2v_tail", 33, 118),
        ("256px-prepend-easy", "v2v_tail_easy", 65, 237),
    ],
)
async def test_a_video_is_continued_without_the_frames_that_are_made_again(
    build: Build,
    fake: FakeOpenSora,
    video: Callable[[int], MediaInput],
    model: str,
    condition: str,
    overlap: int,
    shade: int,
) -> None:
    from media_agent.video.codec import read_frames

    end = await run(build(), make_request(model, inputs=(video(70),), num_frames=8))

    assert isinstance(end, JobCompleted), end
    frames = frames_of(end)
    assert len(frames) == 8
    assert not any(is_like(frame, RED) for frame in frames)
    values = fake.asked["values"]
    assert values["cond_type"] == condition
    assert values["sampling_option"]["num_frames"] == 8 + overlap
    taken = read_frames(Path(fake.asked["rows"][0]["ref"]))
    assert taken.shape == (overlap, 224, 288, 3)
    assert is_like(taken[-1], (shade, 0, 0))  # the last of those next to the new ones


async def test_an_image_is_made_first_and_kept_beside_the_video(
    build: Build, fake: FakeOpenSora
) -> None:
    options = {"opensora": {"offload": True, "motion_score": 6}}

    end = await run(build(), make_request("t2i2v-256px", options=options))

    assert isinstance(end, JobCompleted), end
    values = fake.asked["values"]
    assert values["use_t2i2v"] is True
    assert values["offload_model"] is True
    assert values["motion_score"] == "6"
    kept = Path(str(end.artifacts[0].path)).parent.glob("run-*/out/generated_condition/*")
    assert [path.name for path in kept] == ["video.png"]


async def test_large_videos_are_made_on_several_gpus(build: Build, fake: FakeOpenSora) -> None:
    end = await run(build(gpus=[2, 5]), make_request("768px"))

    assert isinstance(end, JobCompleted), end
    assert frames_of(end).shape == (5, 656, 880, 3)
    asked = fake.asked
    assert asked["arguments"][0].endswith("/768px.py")
    assert asked["environment"]["WORLD_SIZE"] == "2"
    assert asked["environment"]["CUDA_VISIBLE_DEVICES"] == "2,5"
    assert asked["values"]["plugin_config"] == {"sp_size": 8}


@pytest.mark.parametrize(
    ("model", "gpus", "config", "used"),
    [
        ("256px", 0, "256px.py", 1),
        ("256px", 2, "256px_tp.py", 2),
        ("768px-extend", 8, "768px.py", 8),
        ("t2i2v-256px", 4, "t2i2v_256px.py", 1),
        ("t2i2v-768px", 4, "t2i2v_768px.py", 4),
    ],
)
def test_a_configuration_fits_the_number_of_gpus(
    model: str, gpus: int, config: str, used: int
) -> None:
    count = MODELS[model].count_gpus(gpus)

    assert (count, MODELS[model].name_config(count)) == (used, config)


@pytest.mark.parametrize("resolution", [SMALL, LARGE], ids=lambda each: each.name)
def test_every_size_has_a_ratio(resolution: Any) -> None:
    model = MODELS[resolution.name]

    ratios = [model.name_ratio(size) for size in resolution.sizes.values()]

    assert ratios == ["16:9", "9:16", "1:1", "2.39:1", "4:3"]


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ("256px", {"mode": "image_to_video"}, "starts from one first_frame; given: none"),
        ("256px", {"mode": "first_last_frame"}, "starts from one last_frame"),
        ("256px-extend", {"mode": "video_extend"}, "continues one source_video; given: none"),
        ("256px-extend", {}, "it does video_extend, not text_to_video"),
        ("t2i2v-256px", {"mode": "image_to_video"}, "it does text_to_video"),
        ("256px", {"size": Size(width=300, height=200)}, "384x160, 288x224, not 300x200"),
        ("256px", {"num_frames": 133}, "5 to 129 new frames, not 133"),
        ("256px", {"num_frames": 1}, "5 to 129 new frames, not 1"),
        ("256px", {"num_frames": 24}, r"4k\+1 new frames, not 24"),
    ],
)
async def test_what_would_become_another_video_is_refused_before_anything_runs(
    build: Build, fake: FakeOpenSora, model: str, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        await build().submit(make_request(model, **fields), key="job-1")

    assert not fake.was_run


async def test_an_image_given_twice_is_refused(
    build: Build, image: Callable[..., MediaInput]
) -> None:
    twice = (image(InputRole.FIRST_FRAME, RED), image(InputRole.FIRST_FRAME, BLUE))

    with pytest.raises(InvalidRequestError, match="given: first_frame, first_frame"):
        await build().submit(make_request(inputs=twice), key="job-1")


@pytest.mark.parametrize(
    ("model", "count"), [("256px-extend", 32), ("256px-prepend", 32), ("256px-extend-easy", 64)]
)
async def test_a_source_that_is_too_short_is_refused(
    build: Build, video: Callable[[int], MediaInput], model: str, count: int
) -> None:
    with pytest.raises(InvalidRequestError, match=f"source_video has {count} frames"):
        await build().submit(make_request(model, inputs=(video(count),)), key="job-1")


async def test_what_comes_before_a_video_is_not_joined_behind_it(
    build: Build, video: Callable[[int], MediaInput]
) -> None:
    request = make_request("256px-prepend", inputs=(video(40),), join_source=True)

    with pytest.raises(InvalidRequestError) as caught:
        await build().submit(request, key="job-1")

    assert "--only-new" in str(caught.value.hint)


async def test_an_unreadable_image_is_refused(build: Build, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_text("no image")
    image = MediaInput(role=InputRole.FIRST_FRAME, path=str(tmp_path / "cat.png"))

    with pytest.raises(InvalidRequestError, match=r"cat\.png"):
        await build().submit(make_request(inputs=(image,)), key="job-1")
