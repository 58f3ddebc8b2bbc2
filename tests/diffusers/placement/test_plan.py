"""How a model is held follows from sizes and free memory; no GPU is needed to plan for one.

The sizes are those of published models: their configurations, counted by diffusers and
transformers in bfloat16, the Wan VAE in float32.
"""

import pytest

from media_agent.errors import BackendUnavailableError
from media_agent_diffusers.placement.plan import (
    CPU_STEPS,
    STEPS,
    Activations,
    Offload,
    Step,
    check_fits,
    count_needed,
    estimate_activations,
    list_steps,
    plan_memory,
)
from media_agent_diffusers.placement.sizes import ComponentSize

GB = 10**9
UMT5_XXL = ComponentSize(2 * 5_680_910_336, 2 * 1_050_148_864)
WAN_VAE = ComponentSize(4 * 126_892_531, 4 * 3_981_312)
WAN_14B_TRANSFORMER = ComponentSize(2 * 14_288_491_584, 2 * 157_286_400)
WAN_1_3B_TRANSFORMER = ComponentSize(2 * 1_418_996_800, 2 * 14_155_776)
WAN_1_3B = {"text_encoder": UMT5_XXL, "transformer": WAN_1_3B_TRANSFORMER, "vae": WAN_VAE}
WAN_14B = {"text_encoder": UMT5_XXL, "transformer": WAN_14B_TRANSFORMER, "vae": WAN_VAE}
WAN_A14B = {**WAN_14B, "transformer_2": WAN_14B_TRANSFORMER}
T5_XXL = ComponentSize(2 * 4_762_310_656, 2 * 131_596_288)
MOCHI = {
    "text_encoder": T5_XXL,
    "transformer": ComponentSize(2 * 10_027_677_744, 2 * 50_331_648),
    "vae": ComponentSize(2 * 459_748_611, 2 * 15_925_248),
}
WAN_VIDEO = estimate_activations(832, 480, 81)
MOCHI_VIDEO = estimate_activations(848, 480, 85)
FREE = {12: 12.3 * GB, 16: 16.5 * GB, 24: 25 * GB, 48: 50.5 * GB, 80: 84 * GB}
"""Bytes free on a card of so many GiB, once CUDA has taken its share: about half a gigabyte."""


@pytest.mark.parametrize(
    ("model", "video", "card", "offload", "tiles"),
    [
        (WAN_1_3B, WAN_VIDEO, 12, "model", False),
        (WAN_1_3B, WAN_VIDEO, 16, "model", False),
        (WAN_1_3B, WAN_VIDEO, 24, "none", False),
        (WAN_1_3B, WAN_VIDEO, 48, "none", False),
        (WAN_1_3B, WAN_VIDEO, 80, "none", False),
        (WAN_14B, WAN_VIDEO, 12, "sequential", True),
        (WAN_14B, WAN_VIDEO, 16, "sequential", True),
        (WAN_14B, WAN_VIDEO, 24, "sequential", True),
        (WAN_14B, WAN_VIDEO, 48, "none", False),
        (WAN_14B, WAN_VIDEO, 80, "none", False),
        (WAN_A14B, WAN_VIDEO, 24, "sequential", True),
        (WAN_A14B, WAN_VIDEO, 48, "model", False),
        (WAN_A14B, WAN_VIDEO, 80, "none", False),
        (MOCHI, MOCHI_VIDEO, 12, "sequential", True),
        (MOCHI, MOCHI_VIDEO, 24, "model", True),
        (MOCHI, MOCHI_VIDEO, 48, "none", False),
    ],
)
def test_no_flag_is_needed_on_common_cards(
    model: dict[str, ComponentSize], video: Activations, card: int, offload: Offload, tiles: bool
) -> None:
    plan = plan_memory(model, int(FREE[card]), video)

    assert plan.step == Step(offload, tiles=tiles)
    assert plan.fits


@pytest.mark.parametrize("model", [WAN_1_3B, WAN_14B, WAN_A14B, MOCHI])
def test_each_step_needs_less_than_the_one_before(model: dict[str, ComponentSize]) -> None:
    needed = [count_needed(model, step, WAN_VIDEO) for step in STEPS]

    assert needed == sorted(needed, reverse=True)


def test_a_prompt_is_read_before_the_video_takes_its_memory() -> None:
    sizes = {"text_encoder": ComponentSize(10 * GB, GB), "transformer": ComponentSize(5 * GB, GB)}

    needed = count_needed(sizes, Step("model", tiles=False), Activations(3 * GB, GB))

    assert needed == 10 * GB + 500 * 10**6


def test_what_cannot_fit_is_refused_with_figures_and_a_way_out() -> None:
    plan = plan_memory(WAN_14B, 3 * GB, WAN_VIDEO)

    with pytest.raises(
        BackendUnavailableError, match=r"3\.8 GiB .*cuda has 2\.8 GiB free"
    ) as caught:
        check_fits(plan, "wan", "cuda")

    assert "smaller size" in (caught.value.hint or "")
    assert plan.rest == ()


def test_what_still_can_be_tried_is_known() -> None:
    plan = plan_memory(WAN_A14B, int(FREE[48]), WAN_VIDEO)

    assert plan.rest == STEPS[2:]
    assert "model offload" in str(plan)


def test_a_larger_video_needs_more() -> None:
    small, large = estimate_activations(832, 480, 81), estimate_activations(1280, 720, 81)

    assert plan_memory(WAN_1_3B, int(FREE[24]), small).step.offload == "none"
    assert plan_memory(WAN_1_3B, int(FREE[24]), large).step.offload == "model"


@pytest.mark.parametrize(
    ("device", "offload", "tiles", "in_layers", "steps"),
    [
        ("cuda", "auto", "auto", True, STEPS),
        ("cpu", "auto", "auto", True, CPU_STEPS),
        ("cuda", "model", "auto", True, (STEPS[1], STEPS[2])),
        ("cuda", "group", False, True, (Step("group", tiles=False),)),
        ("cuda", "auto", False, True, tuple(Step(s.offload, tiles=False) for s in STEPS[::2])),
        ("cpu", "none", True, True, (Step("none", tiles=True),)),
        ("cuda", "auto", "auto", False, STEPS[:3]),
    ],
)
def test_settings_leave_some_steps_open(
    device: str, offload: Offload, tiles: bool, in_layers: bool, steps: tuple[Step, ...]
) -> None:
    open_steps = list_steps(device, offload, tiles, in_layers=in_layers)

    if (offload, tiles) == ("auto", False):
        assert [step.offload for step in open_steps] == ["none", "model", "sequential"]
        assert not any(step.tiles for step in open_steps)
    else:
        assert open_steps == steps
