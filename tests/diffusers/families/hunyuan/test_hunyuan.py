"""HunyuanVideo and Framepack with tiny weights: frame rules, prompts, sections, licences."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from media_agent.errors import InvalidRequestError
from media_agent.testing import events_of
from media_agent_diffusers.describe import describe
from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_schemas import Policy
from media_agent_schemas.events import JobProgressed
from tests.diffusers.families.folders import edit_json, publish
from tests.diffusers.families.making import FolderOf, Maker, image, open_maker, probe_made

MODELS = ("hunyuan", "hunyuan-i2v", "hunyuan-i2v-33ch", "framepack")
ONE_STEP = {"num_inference_steps": 1}
BETWEEN = (image(), image("last_frame", "blue"))


@pytest.fixture(scope="module")
def maker(folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    root = tmp_path_factory.mktemp("data")
    with open_maker(folder_of, root, *MODELS) as maker:
        yield maker


@pytest.mark.anyio
async def test_text_becomes_a_video(maker: Maker) -> None:
    done = await maker.make("hunyuan", num_frames=5)

    facts = probe_made(done)
    assert (facts.frames, facts.fps, facts.width, facts.height) == (5, 24.0, 32, 32)
    assert done.warnings == ()


@pytest.mark.anyio
async def test_the_prompts_reach_the_model(maker: Maker) -> None:
    async def make(**fields: object) -> np.ndarray:
        return await maker.make_frames("hunyuan", num_frames=1, **fields)

    plain = await make()

    assert not np.array_equal(plain, await make(prompt="a blue dog"))
    guided = {"true_cfg_scale": 4.0}
    against = await make(negative_prompt="a blue dog", options=guided)
    assert not np.array_equal(against, plain)


@pytest.mark.anyio
async def test_a_negative_prompt_without_effect_is_said(maker: Maker) -> None:
    done = await maker.make("hunyuan", num_frames=1, negative_prompt="a dog")

    assert done.warnings == ("the negative prompt has no effect: true_cfg_scale is not above 1",)


@pytest.mark.anyio
async def test_framepack_makes_a_long_video_by_sections_and_counts_its_steps_across_them(
    maker: Maker,
) -> None:
    options = {**ONE_STEP, "latent_window_size": 3}
    plan = maker.plan("framepack", inputs=(image(),), num_frames=37, options=options)

    ref = await maker.backend.submit(plan.request, key="sections")
    events = await events_of(maker.backend, ref)

    assert probe_made(events[-1]).frames == 37
    said = [each.message for each in events if isinstance(each, JobProgressed)]
    assert "step 3 of 3" in said


@pytest.mark.anyio
async def test_framepack_makes_a_video_between_two_frames(maker: Maker) -> None:
    fields = {"inputs": BETWEEN, "num_frames": 37, "options": ONE_STEP}

    done = await maker.make("framepack", **fields)

    assert (probe_made(done).frames, probe_made(done).fps) == (37, 30.0)
    assert done.warnings == ()


@pytest.mark.anyio
async def test_vanilla_sampling_is_refused_with_a_last_frame_before_any_work(maker: Maker) -> None:
    options = {**ONE_STEP, "sampling_type": "vanilla"}
    plan = maker.plan("framepack", inputs=BETWEEN, num_frames=37, options=options)

    with pytest.raises(InvalidRequestError, match="towards a last frame"):
        await maker.backend.submit(plan.request, key="vanilla")


@pytest.mark.parametrize(("asked", "made"), [(91, 109), (600, 613), (1800, 1801), (1, 37)])
def test_framepack_makes_whole_sections_of_36_frames_and_one_more(
    maker: Maker, asked: int, made: int
) -> None:
    plan = maker.plan(
        "framepack", inputs=(image(),), num_frames=asked, size="64x64", policy=Policy.ADJUST
    )

    assert plan.request.num_frames == made


@pytest.mark.parametrize(("heads", "licence"), [(24, "tencent-hunyuan-community"), (2, None)])
def test_the_licence_is_that_of_the_published_shape(
    folder_of: FolderOf, tmp_path: Path, heads: int, licence: str | None
) -> None:
    copy = publish(folder_of("hunyuan"), tmp_path / "copy")
    edit_json(copy / "transformer" / "config.json", num_attention_heads=heads, num_layers=20)

    assert describe("model", read_folder(copy)).licence == licence


@pytest.mark.anyio
@pytest.mark.parametrize("model", ["hunyuan-i2v", "hunyuan-i2v-33ch"])
async def test_an_image_becomes_a_video(maker: Maker, model: str) -> None:
    done = await maker.make(model, num_frames=5, inputs=(image(),))

    assert (probe_made(done).frames, done.warnings) == (5, ())


def test_a_model_that_leaves_frames_out_makes_that_many_fewer(maker: Maker) -> None:
    longest = [
        maker.backend.capabilities(model).max_frames for model in ("hunyuan", "hunyuan-i2v-33ch")
    ]

    assert longest == [129, 125]
