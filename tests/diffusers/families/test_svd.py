"""Stable Video Diffusion with tiny weights: an image and no prompt."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from media_agent.errors import InvalidRequestError, UnsupportedRequestError
from media_agent_diffusers.describe import describe
from media_agent_diffusers.model_folder.folder import read_folder
from tests.diffusers.families.folders import edit_json, publish
from tests.diffusers.families.making import FolderOf, Maker, image, open_maker, probe_made

STEPS = {"num_inference_steps": 2, "max_sequence_length": None}
FIELDS = {"inputs": (image(),), "num_frames": 3, "prompt": None, "options": STEPS}


@pytest.fixture(scope="module")
def maker(folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    with open_maker(folder_of, tmp_path_factory.mktemp("data"), "svd") as maker:
        yield maker


@pytest.mark.anyio
async def test_an_image_alone_becomes_a_video(maker: Maker) -> None:
    done = await maker.make("svd", **FIELDS)

    facts = probe_made(done)
    assert (facts.frames, facts.fps, facts.width, facts.height) == (3, 7.0, 32, 32)
    assert done.warnings == ()


@pytest.mark.anyio
async def test_a_prompt_has_no_effect_and_that_is_said(maker: Maker) -> None:
    done = await maker.make("svd", **{**FIELDS, "prompt": "a red cat"})

    assert done.warnings == (
        "the prompt has no effect: this model makes a video from the image alone",
    )


@pytest.mark.anyio
async def test_rate_and_motion_are_told_to_the_model(maker: Maker) -> None:
    async def make(**changes: object) -> np.ndarray:
        return await maker.make_frames("svd", **{**FIELDS, **changes})

    plain = await make()

    assert not np.array_equal(plain, await make(fps=24))
    assert not np.array_equal(plain, await make(options={**STEPS, "motion_bucket_id": 20}))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"num_frames": 1}, "makes 2 to 6 frames"),
        ({"num_frames": 9}, "makes 2 to 6 frames at once"),
        ({"num_frames": 10, "fps": 30}, "makes 2 to 6 frames at once"),
        ({"inputs": (), "prompt": "a cat"}, "needs first_frame"),
    ],
)
def test_what_breaks_the_pipeline_is_refused_in_the_plan(
    maker: Maker, fields: dict[str, object], said: str
) -> None:
    with pytest.raises(UnsupportedRequestError, match=said):
        maker.plan("svd", **{**FIELDS, **fields})


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"options": {**STEPS, "min_guidance_scale": 4}}, "4 is above max_guidance_scale 3"),
        ({"num_frames": 1, "fps": 40.0}, "makes 1 to 30 frames per second, not 40"),
        ({"num_frames": 1}, "at least 2 frames with image_to_video, not 1"),
        ({"num_frames": 10, "fps": 30}, "at most 6 frames, not 10"),
    ],
)
async def test_what_does_not_go_together_is_refused_before_any_work(
    maker: Maker, fields: dict[str, object], said: str
) -> None:
    options = {"options": fields["options"]} if "options" in fields else {}
    planned = maker.plan("svd", **{**FIELDS, **options}).request
    others = {name: value for name, value in fields.items() if name not in options}

    with pytest.raises(InvalidRequestError, match=said):
        await maker.backend.submit(planned.model_copy(update=others), key="bad")


def test_the_licence_is_that_of_the_published_shape(folder_of: FolderOf, tmp_path: Path) -> None:
    copy = publish(folder_of("svd"), tmp_path / "copy")
    assert describe("model", read_folder(copy)).licence is None

    edit_json(copy / "unet" / "config.json", block_out_channels=[320, 640, 1280, 1280])

    licence = describe("model", read_folder(copy)).licence
    assert licence == "stable-video-diffusion-community"
