"""What is asked of each server, and what must be true in the end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Asked = dict[str, Any]
Seen = dict[str, Any]
_SMALL = ("--size", "64x48", "--fps", "8", "--duration", "2.125")


@dataclass(frozen=True, slots=True)
class Case:
    """One command line, what happens meanwhile, and how it must end.

    `ends` are the states that are right, per server where they differ; `holds` looks at what the
    engine was asked for and at the video.
    """

    name: str
    prompt: str
    words: tuple[str, ...] = _SMALL
    told: bool = False  # the settings say which server it is
    meanwhile: str = ""
    ends: str | dict[str, str] = "completed"
    holds: Callable[[Asked, Seen], bool] = lambda asked, seen: True


def _as_asked(asked: Asked, seen: Seen) -> bool:
    engine = (asked["seed"], asked["negative_prompt"], asked["num_inference_steps"])
    sides = asked["width"], asked["height"], asked["num_frames"], asked["fps"]
    return engine == (7, "text", 4) and sides == (64, 48, 17, 8) and _is_small(asked, seen)


def _is_small(asked: Asked, seen: Seen) -> bool:
    return (seen["width"], seen["height"], seen["frames"], seen["fps"]) == (64, 48, 17, 8.0)


def _has_image(asked: Asked, seen: Seen) -> bool:
    return (asked.get("image_path") or asked.get("image")) is not None and _is_small(asked, seen)


_ALL = ("--seed", "7", "--negative-prompt", "text", "--option", "num_inference_steps=4")
CASES = (
    Case("text, seed, negative prompt, steps", "a fox", (*_SMALL, *_ALL), holds=_as_asked),
    Case("the same, server named", "a fox", (*_SMALL, *_ALL), told=True, holds=_as_asked),
    Case("first frame from a file", "a fox", (*_SMALL, "--image", "start.png"), holds=_has_image),
    Case("nothing but a prompt", "a fox", ()),
    Case(
        "12.5 frames per second",
        "a fox",
        ("--size", "64x48", "--fps", "12.5", "--duration", "2"),
        ends={"sglang": "failed", "vllm-omni": "completed", "fastvideo": "failed"},
    ),
    Case(
        "500 steps",
        "a fox",
        (*_SMALL, "--option", "num_inference_steps=500"),
        # vLLM-Omni's routes answer 500 here, which proves nothing; vLLM's application would say 400
        ends={"sglang": "completed", "vllm-omni": "outcome_unknown", "fastvideo": "completed"},
    ),
    Case(
        "500 steps, server named",
        "a fox",
        (*_SMALL, "--option", "num_inference_steps=500"),
        told=True,
        ends={"sglang": "completed", "vllm-omni": "failed", "fastvideo": "completed"},
    ),
    Case(
        "a model that is not served",
        "a fox",
        (*_SMALL, "--model", "mine/acme/other"),
        ends={"sglang": "completed", "vllm-omni": "failed", "fastvideo": "completed"},
    ),
    Case("the engine fails", "fail", ends="failed"),
    Case("cancelled", "slow", meanwhile="cancel", ends="cancelled"),
    Case(
        "the reply is lost",
        "a fox in the rain",
        meanwhile="lose reply",
        ends={
            "sglang": "outcome_unknown",
            "vllm-omni": "completed",
            "fastvideo": "outcome_unknown",
        },
    ),
    Case(
        "the server is killed and started again",
        "slow",
        meanwhile="kill server",
        ends="outcome_unknown",
    ),
)
