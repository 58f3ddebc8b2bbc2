"""HunyuanVideo 1.5 with tiny weights: no callback, no guidance argument, sizes by the image."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from media_agent.testing import events_of
from media_agent_diffusers.describe import describe
from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_schemas import Capabilities
from media_agent_schemas.events import JobProgressed
from tests.diffusers.families.folders import edit_json, publish
from tests.diffusers.families.making import FolderOf, Maker, image, open_maker, probe_made

STEPS = {"num_inference_steps": 1, "max_sequence_length": None}


@pytest.fixture(scope="module")
def maker(folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    root = tmp_path_factory.mktemp("data")
    with open_maker(folder_of, root, "hunyuan-1.5", "hunyuan-1.5-i2v") as maker:
        yield maker


@pytest.mark.anyio
async def test_text_becomes_a_video_and_its_steps_are_counted_without_a_callback(
    maker: Maker,
) -> None:
    plan = maker.plan("hunyuan-1.5", num_frames=5, size="48x32", options=STEPS)

    ref = await maker.backend.submit(plan.request, key="counted")
    events = await events_of(maker.backend, ref)

    facts = probe_made(events[-1])
    assert (facts.frames, facts.fps, facts.width, facts.height) == (5, 24.0, 48, 32)
    said = [each.message for each in events if isinstance(each, JobProgressed)]
    assert "step 1 of 1" in said


@pytest.mark.anyio
async def test_an_image_becomes_a_video_of_a_size_for_its_shape(maker: Maker) -> None:
    done = await maker.make("hunyuan-1.5-i2v", inputs=(image(),), num_frames=5, options=STEPS)

    assert (probe_made(done).width, probe_made(done).height) == (32, 32)
    assert done.warnings == ()


@pytest.fixture
def copies(folder_of: FolderOf, tmp_path: Path) -> dict[str, Path]:
    names = ("hunyuan-1.5", "hunyuan-1.5-i2v")
    return {name: publish(folder_of(name), tmp_path / name) for name in names}


def read_capabilities(path: Path) -> Capabilities:
    return describe("model", read_folder(path))


@pytest.mark.parametrize("target", [640, 960])
def test_the_sizes_that_are_declared_are_those_that_the_pipeline_makes(
    copies: dict[str, Path], target: int
) -> None:
    from diffusers.pipelines.hunyuan_video1_5.image_processor import HunyuanVideo15ImageProcessor

    edit_json(copies["hunyuan-1.5-i2v"] / "transformer" / "config.json", target_size=target)
    processor = HunyuanVideo15ImageProcessor(vae_scale_factor=16)

    sizes = read_capabilities(copies["hunyuan-1.5-i2v"]).sizes

    assert len(sizes) == 5
    for size in sizes:
        made = processor.calculate_default_height_width(size.height, size.width, target)
        assert tuple(map(int, made)) == (size.height, size.width)


@pytest.mark.parametrize(
    ("guider", "takes"),
    [
        ({"guidance_scale": 6.0}, True),
        ({"guidance_scale": 1.0}, False),
        ({"enabled": False}, False),
    ],
)
def test_the_guider_of_the_folder_decides_about_negative_prompts(
    copies: dict[str, Path], guider: dict[str, object], takes: bool
) -> None:
    edit_json(copies["hunyuan-1.5"] / "guider" / "guider_config.json", **guider)

    assert read_capabilities(copies["hunyuan-1.5"]).negative_prompt is takes
