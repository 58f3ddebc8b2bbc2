"""Helios with tiny weights: windows within one call, cut to what was asked."""

from collections.abc import Iterator

import numpy as np
import pytest

from media_agent.testing import events_of
from media_agent_schemas.events import JobProgressed
from tests.diffusers.families.making import FolderOf, Maker, image, open_maker, probe_made

MODELS = ("helios", "helios-pyramid", "helios-distilled")
ONE_STEP = {"num_inference_steps": 1}
ONE_STEP_EACH = {"num_inference_steps": None, "steps_per_stage": 1}


@pytest.fixture(scope="module")
def maker(folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    with open_maker(folder_of, tmp_path_factory.mktemp("data"), *MODELS) as maker:
        yield maker


@pytest.mark.anyio
async def test_a_video_of_any_length_is_made_in_windows_and_steps_are_counted_across_them(
    maker: Maker,
) -> None:
    plan = maker.plan("helios", num_frames=66, options=ONE_STEP)  # two windows make 65

    ref = await maker.backend.submit(plan.request, key="windows")
    events = await events_of(maker.backend, ref)

    facts = probe_made(events[-1])
    assert (facts.frames, facts.fps) == (66, 24.0)
    said = [each.message for each in events if isinstance(each, JobProgressed)]
    assert "step 3 of 3" in said


@pytest.mark.anyio
async def test_the_first_frame_reaches_the_model(maker: Maker) -> None:
    made = [
        await maker.make_frames(
            "helios", num_frames=33, inputs=(image(color=color),), options=ONE_STEP
        )
        for color in ("red", "blue")
    ]

    assert not np.array_equal(*made)


@pytest.mark.anyio
@pytest.mark.parametrize("model", ["helios-pyramid", "helios-distilled"])
async def test_a_pyramid_makes_each_window_at_three_sizes(maker: Maker, model: str) -> None:
    done = await maker.make(model, num_frames=5, size="64x64", options=ONE_STEP_EACH)

    assert (probe_made(done).frames, done.warnings) == (5, ())


@pytest.mark.parametrize(
    ("model", "multiple", "guided", "own"),
    [
        ("helios", 16, True, {"num_inference_steps"}),
        ("helios-pyramid", 64, True, {"steps_per_stage"}),
        ("helios-distilled", 64, False, {"steps_per_stage", "is_amplify_first_chunk"}),
    ],
)
def test_sizes_options_and_negative_prompts_depend_on_the_kind(
    maker: Maker, model: str, multiple: int, guided: bool, own: set[str]
) -> None:
    capabilities = maker.backend.capabilities(model)

    assert capabilities.size_range is not None
    assert capabilities.size_range.multiple == multiple
    assert capabilities.negative_prompt is guided
    guidance = {"guidance_scale"} if guided else set()
    always = {"image_fit", "max_sequence_length", "on_out_of_memory"}
    assert {each.name for each in capabilities.options} == own | guidance | always
