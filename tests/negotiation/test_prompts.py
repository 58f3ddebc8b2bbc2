"""What becomes of words on their way to a model."""

import pytest

from media_agent.errors import UnsupportedRequestError
from media_agent.negotiation.negotiate import negotiate
from media_agent.negotiation.prompts import AS_WRITTEN, PromptRules
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.plan import Plan, Policy
from media_agent_schemas.request import Shot, VideoRequest

REWRITES = PromptRules(rewrites=True, option="expand", off=False)
EXPAND = OptionSpec(name="expand", type="boolean", description="Rewrite the prompt.")


def plan(
    request: VideoRequest,
    *,
    rules: PromptRules = AS_WRITTEN,
    policy: Policy = Policy.ADJUST,
    **more: object,
) -> Plan:
    facts = {"backend": "acme", "model": "one", **more}
    capabilities = Capabilities.model_validate(facts)
    return negotiate(request, capabilities, policy, draw_seed=lambda: 7, rules=rules)


def test_a_prompt_that_is_too_long_is_refused_and_never_cut() -> None:
    with pytest.raises(UnsupportedRequestError, match="11 characters; the limit is 10"):
        plan(VideoRequest(prompt="a" * 11), max_prompt_characters=10)


def test_a_prompt_of_too_many_words_is_refused_and_never_cut() -> None:
    with pytest.raises(UnsupportedRequestError, match="4 words; the limit is 3"):
        plan(VideoRequest(prompt="a cat, a dog"), max_prompt_words=3)

    assert plan(VideoRequest(prompt="a cat, dog!"), max_prompt_words=3).request.prompt


def test_every_shot_has_to_fit() -> None:
    shots = Shot(prompt="short"), Shot(prompt="a" * 11, duration=2)

    with pytest.raises(UnsupportedRequestError, match="11 characters"):
        plan(VideoRequest(shots=shots), max_prompt_characters=10, max_shots=None)


@pytest.mark.parametrize("policy", list(Policy))
def test_a_negative_prompt_that_is_too_long_is_refused_and_never_cut(policy: Policy) -> None:
    capabilities = {"negative_prompt": True, "max_negative_prompt_characters": 10}

    assert plan(VideoRequest(prompt="a", negative_prompt="b" * 10), **capabilities)
    with pytest.raises(
        UnsupportedRequestError, match=r"negative_prompt.* 11 characters; the limit is 10"
    ):
        plan(VideoRequest(prompt="a", negative_prompt="b" * 11), policy=policy, **capabilities)


def test_a_negative_prompt_that_nobody_takes_may_be_of_any_length() -> None:
    request = VideoRequest(prompt="a", negative_prompt="b" * 11)

    assert plan(request, max_negative_prompt_characters=10).request.negative_prompt is None


def test_a_negative_prompt_that_nobody_takes_is_left_out_and_said() -> None:
    request = VideoRequest(prompt="a fox", negative_prompt="rain")

    made = plan(request)

    assert made.request.negative_prompt is None
    assert "negative_prompt" in {change.field for change in made.adjustments}
    with pytest.raises(UnsupportedRequestError, match="negative_prompt"):
        plan(request, policy=Policy.STRICT)


def test_rewriting_is_switched_off_and_said() -> None:
    made = plan(VideoRequest(prompt="a fox"), rules=REWRITES, options=(EXPAND,))

    assert made.request.options == {"acme": {"expand": False}}
    (change,) = [each for each in made.adjustments if each.field == "option expand"]
    assert (change.asked, change.used) == (None, False)


def test_rewriting_that_was_asked_for_stays_on() -> None:
    asked = VideoRequest(prompt="a fox", options={"acme": {"expand": True}})

    made = plan(asked, rules=REWRITES, options=(EXPAND,))

    assert made.request.options == {"acme": {"expand": True}}


def test_other_options_stay_beside_it() -> None:
    steps = OptionSpec(name="steps", type="integer", description="Steps.")
    asked = VideoRequest(prompt="a fox", options={"acme": {"steps": 4}, "other": {"x": 1}})

    made = plan(asked, rules=REWRITES, options=(EXPAND, steps))

    assert made.request.options == {"acme": {"steps": 4, "expand": False}}


def test_rewriting_that_cannot_be_switched_off_is_a_warning() -> None:
    made = plan(VideoRequest(prompt="a fox"), rules=PromptRules(rewrites=True))

    assert made.warnings == ("acme/one may rewrite the prompt before it is used",)


def test_strict_leaves_rewriting_off_too() -> None:
    made = plan(
        VideoRequest(prompt="a fox", seed=0, fps=24, duration=5),
        rules=REWRITES,
        policy=Policy.STRICT,
        options=(EXPAND,),
        seed=True,
    )

    assert made.request.options == {"acme": {"expand": False}}
