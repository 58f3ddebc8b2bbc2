"""Wan VACE with tiny weights: what it is given becomes a video with a mask."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from media_agent.errors import InvalidRequestError, StorageError
from media_agent_diffusers.describe import describe
from media_agent_diffusers.families.family import Call
from media_agent_diffusers.families.wan.wan_vace import build_arguments
from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_schemas import Size, VideoMode
from media_agent_schemas.media import InputRole, MediaInput
from tests.diffusers.families.folders import edit_json, publish
from tests.diffusers.families.making import (
    FolderOf,
    Maker,
    frames_of,
    image,
    open_maker,
    probe_made,
    video,
)

EDIT = VideoMode.VIDEO_EDIT


@pytest.fixture(scope="module")
def maker(folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    models = ("wan-vace", "wan-2.2-vace")
    with open_maker(folder_of, tmp_path_factory.mktemp("data"), *models) as maker:
        yield maker


SUBJECTS = (image("subject", size=(48, 20)), image("subject", "blue"))


@pytest.mark.anyio
@pytest.mark.parametrize(
    "inputs",
    [
        (),
        SUBJECTS,
        (image(), SUBJECTS[0]),
        (image("last_frame"),),
        (image(), image("last_frame", "blue")),
    ],
)
async def test_text_subjects_and_frames_become_a_video(
    maker: Maker, inputs: tuple[MediaInput, ...]
) -> None:
    done = await maker.make("wan-vace", inputs=inputs)

    facts = probe_made(done)
    assert (facts.frames, facts.fps, facts.width, facts.height) == (9, 16.0, 32, 32)
    assert (facts.codec, facts.container) == ("h264", "mp4")
    assert done.warnings == ()


@pytest.mark.anyio
async def test_a_mask_says_what_of_a_video_is_made(maker: Maker, tmp_path: Path) -> None:
    source = video(tmp_path)
    masks = [
        (),
        (image("mask", "black"),),
        (image("mask", "white"),),
        (video(tmp_path, role="mask"),),
    ]

    none, black, white, moving = [
        await maker.make("wan-vace", mode=EDIT, inputs=(source, *mask)) for mask in masks
    ]

    made = [frames_of(done) for done in (none, black, white, moving)]
    assert [len(frames) for frames in made] == [9, 9, 9, 9]
    assert not np.array_equal(made[1], made[2])
    assert np.array_equal(made[0], made[2])  # without a mask all of it is made
    assert np.array_equal(made[3], made[2])  # a light grey is white
    assert none.warnings == ()


@pytest.mark.anyio
async def test_what_is_beyond_a_padded_source_is_made(maker: Maker, tmp_path: Path) -> None:
    fields = {"mode": EDIT, "inputs": (video(tmp_path),), "size": "64x32"}

    cropped = await maker.make("wan-vace", **fields)
    padded = await maker.make("wan-vace", **fields, options={"image_fit": "pad"})

    assert [said.rsplit(": ")[-1] for said in cropped.warnings] == ["32x32, cropped to 64x32"]
    assert [said.rsplit(": ")[-1] for said in padded.warnings] == [
        "32x32, filled up with black to 64x32",
        "what is beyond the source video is generated",
    ]
    assert probe_made(padded).width == 64


@pytest.mark.anyio
async def test_a_continuation_holds_the_new_frames_alone(maker: Maker, tmp_path: Path) -> None:
    made = [
        await maker.make("wan-vace", inputs=(video(tmp_path, shade=shade),), options={"history": 5})
        for shade in (20, 220)
    ]

    assert [probe_made(done).frames for done in made] == [9, 9]
    assert not np.array_equal(*map(frames_of, made))


@pytest.mark.anyio
async def test_a_mask_shorter_than_its_video_is_filled_up(maker: Maker, tmp_path: Path) -> None:
    inputs = (video(tmp_path), video(tmp_path, role="mask", frames=5))

    done = await maker.make("wan-vace", inputs=inputs)

    assert done.warnings == ("mask: its last frame is repeated 4 times",)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (("source_video", "mask-wide"), "the mask is 2 times as wide as high"),
        (("source_video", "mask", "mask"), "one mask; 2 given"),
        (("source_video", "mask-text"), "mask"),
        (("mask",), "one source_video; none given"),
    ],
)
async def test_a_mask_that_does_not_fit_is_refused_before_any_work(
    maker: Maker, tmp_path: Path, inputs: tuple[str, ...], said: str
) -> None:
    given = {
        "source_video": video(tmp_path),
        "mask": image("mask"),
        "mask-wide": image("mask", size=(64, 32)),
        "mask-text": MediaInput(role=InputRole.MASK, data=b"no image"),
    }
    planned = maker.plan("wan-vace", mode=EDIT, inputs=(given["source_video"],)).request
    request = planned.model_copy(update={"inputs": tuple(given[name] for name in inputs)})

    with pytest.raises(InvalidRequestError, match=said):
        await maker.backend.submit(request, key="bad")


def lay_out(
    inputs: dict[InputRole, object], *, num_frames: int = 9, history: int = 0
) -> tuple[list[int], list[int]]:
    """Return the shades of the video and of the mask, frame by frame."""
    call = Call(
        prompt="x",
        negative_prompt=None,
        size=Size(width=32, height=16),
        num_frames=num_frames,
        fps=16.0,
        max_tokens=16,
        options={},
        inputs=inputs,
        history=history,
    )
    arguments = build_arguments(call)
    shades = [[np.asarray(each).max() for each in arguments[name]] for name in ("video", "mask")]
    return shades[0], shades[1]


def frame(shade: int) -> Image.Image:
    return Image.new("RGB", (32, 16), (shade, shade, shade))


def test_given_frames_stand_in_their_places_and_the_mask_leaves_the_others_open() -> None:
    first, last = InputRole.FIRST_FRAME, InputRole.LAST_FRAME
    source = {InputRole.SOURCE_VIDEO: [frame(shade) for shade in range(5)]}

    assert lay_out({first: frame(7)}, num_frames=5) == ([7, *[128] * 4], [0, *[255] * 4])
    assert lay_out({last: frame(9)}, num_frames=5) == ([*[128] * 4, 9], [*[255] * 4, 0])
    assert lay_out({first: frame(7), last: frame(9)}, num_frames=5) == (
        [7, 128, 128, 128, 9],
        [0, 255, 255, 255, 0],
    )
    assert lay_out(source, history=5) == ([0, 1, 2, 3, 4, *[128] * 4], [*[0] * 5, *[255] * 4])


@pytest.mark.anyio
async def test_two_transformers_share_the_steps_each_with_its_own_guidance(maker: Maker) -> None:
    alike = await maker.make_frames("wan-2.2-vace", options={"guidance_scale": 4.0})
    pulls = {"guidance_scale": 4.0, "guidance_scale_2": 4.0}
    same = await maker.make_frames("wan-2.2-vace", options=pulls)
    other = await maker.make_frames("wan-2.2-vace", options={**pulls, "guidance_scale_2": 9.0})

    assert np.array_equal(alike, same)
    assert not np.array_equal(alike, other)


def test_a_model_of_two_transformers_needs_both(folder_of: FolderOf, tmp_path: Path) -> None:
    copy = publish(folder_of("wan-vace"), tmp_path / "copy")
    edit_json(copy / "model_index.json", boundary_ratio=0.875)

    with pytest.raises(StorageError, match="transformer_2 missing"):
        read_folder(copy)


def test_capabilities_name_the_modes_roles_and_the_shift_of_the_folder(
    folder_of: FolderOf,
) -> None:
    capabilities = describe("model", read_folder(folder_of("wan-vace")))

    assert set(capabilities.modes) == set(VideoMode)
    assert set(capabilities.input_roles) == {
        InputRole.SUBJECT,
        InputRole.FIRST_FRAME,
        InputRole.LAST_FRAME,
        InputRole.SOURCE_VIDEO,
        InputRole.MASK,
    }
    defaults = {option.name: option.default for option in capabilities.options}
    assert (defaults["flow_shift"], defaults["guidance_scale"]) == (3.0, 5.0)
    assert capabilities.extends is True
