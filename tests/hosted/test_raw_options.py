"""Fields handed on as they are never change what a budget allowed; words longer than taken stay."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import BudgetExceededError, ConfigurationError, UnsupportedRequestError
from media_agent.negotiation.budget import check_day
from media_agent.registry.registry import Registry
from media_agent.routing.catalogue import Catalogue
from media_agent.routing.router import Router
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.plan import Plan
from media_agent_schemas.request import VideoRequest

WAN = "fal/fal-ai/wan/v2.7/text-to-video"
KLING = "fal/fal-ai/kling-video/v3/pro/text-to-video"
MAGI = "fal/fal-ai/magi"
IMAGE = MediaInput(role=InputRole.FIRST_FRAME, url="https://media.example/x.png")
REGISTRY = Registry.discover()


def router(folder: Path, **settings: Any) -> Router:
    hosted = REGISTRY.create("fal", BackendSettings(folder, key=SecretStr("k"), **settings))
    local = BackendSettings(
        folder, base_url="http://127.0.0.1:1/v1", options={"server": "vllm-omni"}
    )
    own = REGISTRY.create("openai-compatible", local)
    backends = {"fal": hosted, "openai-compatible": own}
    return Router(backends, Catalogue.load(REGISTRY.specs), draw_seed=lambda: 7)


def plan(folder: Path, model: str, raw: object = None, **fields: Any) -> Plan:
    """Plan with further fields, in the option that the backend has for them."""
    backend = model.partition("/")[0]
    name = "input" if backend == "fal" else "extra_params"
    text = raw if isinstance(raw, str) else json.dumps(raw)
    options = {} if raw is None else {backend: {name: text}}
    request = {"prompt": "a fox", "duration": 5, "options": options, **fields}
    return router(folder).plan(VideoRequest.model_validate({**request, "model": model}))


@pytest.mark.parametrize(
    ("model", "field"),
    [
        (WAN, "duration"),
        (WAN, "resolution"),
        (WAN, "aspect_ratio"),
        (WAN, "negative_prompt"),
        (WAN, "seed"),
        (WAN, "Duration"),
        (WAN, "num-videos"),
        (WAN, "ｄｕｒａｔｉｏｎ"),  # full width
        (KLING, "generate_audio"),
        (KLING, "with_audio"),
        (KLING, "cfg_scale"),
        (MAGI, "num_frames"),
        (MAGI, "numFrames"),
        (MAGI, "num_inference_steps"),
        ("openai-compatible/x", "seconds"),
        ("openai-compatible/x", "num_frames"),
        ("openai-compatible/x", "size"),
        ("openai-compatible/x", "model"),
        ("openai-compatible/x", "n"),
        ("openai-compatible/x", "guidance_scale"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_raw_fields_may_not_say_what_is_planned_and_priced(
    tmp_path: Path, model: str, field: str, nested: bool
) -> None:
    raw = {"more": [{field: 15}]} if nested else {field: 15}

    with pytest.raises(UnsupportedRequestError, match="must not be set here: use "):
        plan(tmp_path, model, raw)


@pytest.mark.parametrize("text", ["{", "[]", "7", '"text"', '{"a": NaN}', '{"a": "\\ud800"}'])
def test_raw_fields_that_cannot_be_sent_are_refused_before_anything_is_kept(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(UnsupportedRequestError, match="option input"):
        plan(tmp_path, WAN, text)


def test_a_raw_field_that_nobody_knows_makes_the_price_unknown(tmp_path: Path) -> None:
    assert plan(tmp_path, WAN).estimate.cost_usd == pytest.approx(0.5)
    assert plan(tmp_path, WAN, {}).estimate.cost_usd == pytest.approx(0.5)

    made = plan(tmp_path, WAN, {"turbo": True})

    assert made.estimate.cost_usd is None
    assert made.estimate.usd_per_second is None
    assert made.estimate.source == "option input sends fields of unknown price"


def test_an_unknown_price_is_over_any_budget_and_says_why(tmp_path: Path) -> None:
    budget = {"max_cost_usd": 1000}

    assert plan(tmp_path, WAN, budget=budget)
    with pytest.raises(BudgetExceededError, match="option input sends fields of unknown price"):
        plan(tmp_path, WAN, {"turbo": True}, budget=budget)


def test_an_unknown_price_is_over_what_is_left_of_a_day(tmp_path: Path) -> None:
    with pytest.raises(BudgetExceededError, match="an unknown price"):
        check_day(plan(tmp_path, WAN, {"turbo": True}), spent=0.0, per_day=1000.0)


def test_raw_fields_in_segments_make_the_price_of_the_whole_unknown(tmp_path: Path) -> None:
    made = plan(tmp_path, MAGI, {"turbo": True}, duration=20)

    assert len(made.segments) > 1
    assert made.estimate.cost_usd is None


def test_an_endless_video_of_parts_with_an_unknown_price_is_refused(tmp_path: Path) -> None:
    fields = {"duration": None, "endless": True, "budget": {"max_cost_usd": 10}}

    assert plan(tmp_path, MAGI, **fields)
    with pytest.raises(BudgetExceededError, match="an unknown price each"):
        plan(tmp_path, MAGI, {"turbo": True}, **fields)


def test_a_server_of_ones_own_costs_nothing_whatever_it_is_sent(tmp_path: Path) -> None:
    assert plan(tmp_path, "openai-compatible/x", {"tiles": 4}).estimate.cost_usd == 0


def test_raw_fields_of_the_settings_are_held_to_the_same(tmp_path: Path) -> None:
    with pytest.raises((ConfigurationError, UnsupportedRequestError), match="input"):
        router(tmp_path, options={"input": '{"duration": 15}'}).plan(
            VideoRequest(prompt="a fox", model=WAN)
        )


@pytest.mark.parametrize(
    ("model", "prompt", "negative"),
    [
        (WAN, 5000, 500),
        ("fal/fal-ai/wan/v2.7/image-to-video", 5000, 500),
        ("fal/fal-ai/wan-25-preview/text-to-video", 800, 500),
        (KLING, 2500, 2500),
        ("fal/fal-ai/kling-video/v3/standard/image-to-video", 2500, 2500),
        ("fal/fal-ai/ltx-2.3/text-to-video", 5000, None),
    ],
)
def test_prompts_are_as_long_as_the_provider_takes_them_and_no_longer(
    tmp_path: Path, model: str, prompt: int, negative: int | None
) -> None:
    inputs = (IMAGE,) if "image" in model else ()

    fields: dict[str, Any] = {"inputs": inputs, "duration": None}
    if negative is not None:
        fields["negative_prompt"] = "x" * negative
    assert plan(tmp_path, model, prompt="x" * prompt, **fields)
    with pytest.raises(
        UnsupportedRequestError, match=f"{prompt + 1} characters; the limit is {prompt}"
    ):
        plan(tmp_path, model, prompt="x" * (prompt + 1), **fields)
    if negative is not None:
        fields["negative_prompt"] += "x"
        with pytest.raises(
            UnsupportedRequestError, match=f"{negative + 1} characters; the limit is {negative}"
        ):
            plan(tmp_path, model, **fields)
