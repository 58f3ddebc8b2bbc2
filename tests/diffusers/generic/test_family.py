"""Video pipelines that no family describes: run by their signature, and said so."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from media_agent.testing import events_of
from media_agent_diffusers.describe import describe
from media_agent_diffusers.files import ModelFiles
from media_agent_diffusers.generic.family import NoVideoPipelineError, find_generic
from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_schemas import InputRole, Policy, VideoMode
from media_agent_schemas.events import JobFailed
from media_agent_schemas.facts import VerificationLevel
from tests.diffusers.families.making import Maker, make_maker, probe_made, video

STEPS = {"num_inference_steps": 2, "max_sequence_length": None}


def tiny_latte() -> Any:
    """Build a pipeline that calls its frames video_length."""
    from diffusers import AutoencoderKL, DDIMScheduler, LattePipeline, LatteTransformer3DModel

    from media_agent_diffusers.families.tiny_parts import TEXT_WIDTH, tiny_t5, tiny_tokenizer

    tokenizer = tiny_tokenizer()
    return LattePipeline(
        tokenizer=tokenizer,
        text_encoder=tiny_t5(len(tokenizer)),
        vae=AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
            up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
            norm_num_groups=8,
        ),
        transformer=LatteTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=4,
            out_channels=8,
            num_layers=1,
            cross_attention_dim=16,
            attention_bias=True,
            sample_size=8,
            patch_size=2,
            activation_fn="gelu-approximate",
            num_embeds_ada_norm=1000,
            norm_type="ada_norm_single",
            norm_elementwise_affine=False,
            caption_channels=TEXT_WIDTH,
            video_length=2,
        ),
        scheduler=DDIMScheduler(),
    )


def tiny_sana() -> Any:
    """Build a pipeline that calls its frames frames, and changes sizes if it is let."""
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SanaVideoPipeline,
        SanaVideoTransformer3DModel,
    )

    from media_agent_diffusers.families.tiny_parts import TEXT_WIDTH, tiny_t5, tiny_wan_components

    parts = tiny_wan_components()
    parts["text_encoder"] = tiny_t5(len(parts["tokenizer"]))
    return SanaVideoPipeline(
        **parts,
        transformer=SanaVideoTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=12,
            num_layers=1,
            num_cross_attention_heads=2,
            cross_attention_head_dim=12,
            cross_attention_dim=24,
            caption_channels=TEXT_WIDTH,
            sample_size=8,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=8.0),
    )


def tiny_restyler() -> Any:
    """Build a pipeline that changes a given video, and has a default of None for it."""
    from diffusers import AnimateDiffVideoToVideoPipeline

    from media_agent_diffusers.families.animatediff import tiny_animatediff

    return AnimateDiffVideoToVideoPipeline(**tiny_animatediff().components)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("diffusers")
    builders: dict[str, Callable[[], Any]] = {
        "latte": tiny_latte,
        "sana": tiny_sana,
        "restyler": tiny_restyler,
    }
    root = tmp_path_factory.mktemp("unknown")
    for name, build in builders.items():
        build().save_pretrained(root / name, safe_serialization=True)
    return {name: root / name for name in builders}


@pytest.fixture(scope="module")
def maker(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    import asyncio

    maker = make_maker(tmp_path_factory.mktemp("data"), folders)
    yield maker
    asyncio.run(maker.backend.aclose())


@pytest.mark.anyio
@pytest.mark.parametrize(("model", "asked", "made"), [("latte", 2, 2), ("sana", 6, 5)])
async def test_an_unknown_pipeline_makes_a_video_and_the_job_says_so(
    maker: Maker, model: str, asked: int, made: int
) -> None:
    done = await maker.make(model, num_frames=asked, options=STEPS)

    facts = probe_made(done)
    assert (facts.frames, facts.width, facts.height) == (made, 32, 32)
    assert "does not know" in done.warnings[0]
    assert len(done.warnings) == (1 if made == asked else 2)


@pytest.mark.anyio
async def test_an_unknown_pipeline_that_breaks_says_what_it_makes_by_itself(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from media_agent_diffusers.pipelines.pipeline import LoadedPipeline

    def fail(*_: object, **__: object) -> NoReturn:
        raise RuntimeError("the size of tensor a (3) must match the size of tensor b (4)")

    monkeypatch.setattr(LoadedPipeline, "run", fail)
    maker = make_maker(tmp_path, folders)
    request = maker.plan("latte", num_frames=2, options=STEPS).request
    ref = await maker.backend.submit(request, key="breaks")
    end = (await events_of(maker.backend, ref))[-1]
    await maker.backend.aclose()

    assert isinstance(end, JobFailed)
    assert "size of tensor a" in end.error.message
    assert re.search(r"\d+ frames of \d+x\d+; without --duration and --size", end.error.hint or "")


@pytest.mark.anyio
async def test_a_source_is_read_at_the_rate_of_the_video(maker: Maker, tmp_path: Path) -> None:
    source = video(tmp_path, frames=9, fps=16)

    done = await maker.make(
        "restyler",
        mode="video_edit",
        inputs=(source,),
        num_frames=9,
        fps=8,
        options=STEPS,
        policy=Policy.ADJUST,
    )

    facts = probe_made(done)
    assert (facts.frames, facts.fps) == (5, 8.0)  # of half a second


@pytest.mark.parametrize(
    ("vae", "transformer", "multiple"),
    [
        ({}, {}, 16),
        ({"block_out_channels": [1, 2, 3, 4]}, {"patch_size": 2}, 16),
        ({"scale_factor_spatial": 32}, {"patch_size": [1, 1, 1]}, 32),
        ({"spatial_compression_ratio": 16}, {"patch_size": [1, 2, 2]}, 32),
    ],
)
def test_sizes_are_multiples_of_what_the_configs_say(
    vae: dict[str, object], transformer: dict[str, object], multiple: int
) -> None:
    family = find_generic("SanaVideoPipeline")
    assert family is not None
    configs = {"vae": vae, "transformer": transformer}

    variant = family.variant(ModelFiles(Path(), {}, configs, {}))

    assert variant.size_multiple == multiple


def test_its_capabilities_say_that_nothing_is_known(folders: dict[str, Path]) -> None:
    capabilities = describe("latte", read_folder(folders["latte"]))

    assert "LattePipeline, which media-agent does not know" in capabilities.description
    assert capabilities.verification.level is VerificationLevel.SHEET_ONLY
    assert capabilities.only_by_name
    assert (capabilities.licence, capabilities.max_duration) == (None, None)
    assert (capabilities.frame_multiple, capabilities.frame_offset) == (1, 1)
    assert capabilities.modes == (VideoMode.TEXT_TO_VIDEO,)
    defaults = {option.name: option.default for option in capabilities.options}
    assert (defaults["num_inference_steps"], defaults["guidance_scale"]) == (50, 7.5)


@pytest.mark.parametrize(
    ("pipeline", "inputs"),
    [
        ("Kandinsky5I2VPipeline", {VideoMode.IMAGE_TO_VIDEO: (InputRole.FIRST_FRAME,)}),
        ("LucyEditPipeline", {VideoMode.VIDEO_EDIT: (InputRole.SOURCE_VIDEO,)}),
        *(
            (name, {VideoMode.VIDEO_EDIT: (InputRole.SOURCE_VIDEO,)})
            for name in (
                "AnimateDiffVideoToVideoPipeline",
                "VideoToVideoSDPipeline",
                "LTXLatentUpsamplePipeline",
                "LTX2LatentUpsamplePipeline",
            )
        ),
        (
            "Kandinsky6TI2VAPipeline",
            {VideoMode.TEXT_TO_VIDEO: (), VideoMode.IMAGE_TO_VIDEO: (InputRole.FIRST_FRAME,)},
        ),
    ],
)
def test_the_inputs_in_the_signature_decide_what_it_does(
    folders: dict[str, Path], pipeline: str, inputs: dict[VideoMode, tuple[InputRole, ...]]
) -> None:
    family = find_generic(pipeline)

    assert family is not None
    tasks = family.variant(read_folder(folders["latte"])).tasks
    assert {task.mode: task.inputs for task in tasks} == inputs


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        ("StableDiffusionPipeline", "StableDiffusionPipeline makes images"),
        ("StableAudioPipeline", "StableAudioPipeline makes no videos"),
        ("Cosmos2_5_TransferPipeline", "Cosmos2_5_TransferPipeline needs controls"),
        ("AnimateDiffControlNetPipeline", "needs conditioning_frames"),
    ],
)
def test_what_makes_no_videos_is_refused_by_name(pipeline: str, said: str) -> None:
    with pytest.raises(NoVideoPipelineError, match=said):
        find_generic(pipeline)
