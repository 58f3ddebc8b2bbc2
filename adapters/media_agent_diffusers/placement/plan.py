"""Which way of holding a model fits into the memory that is free; pure.

The ways are tried from the fastest. What leaves every pixel as it is comes before decoding in
tiles, which blends their seams. With model offload the component at work is on the GPU and the
others wait in main memory; with sequential offload that holds for each layer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from media_agent.errors import BackendUnavailableError
from media_agent_diffusers.placement.sizes import ComponentSize
from media_agent_schemas.base import format_memory
from media_agent_schemas.estimate import MemoryUse

Offload = Literal["none", "model", "group", "sequential"]

BYTES_PER_PIXEL = 200
"""An assumption for families whose authors publish nothing: what computing takes beside the
weights, for each pixel of the whole video. Wan 14B at 832x480 and 81 frames: 35 GB with model
offload (huggingface.co/docs/diffusers/v0.33.0/api/pipelines/wan), its weights being 28.6 GB."""
BYTES_PER_PIXEL_IN_TILES = 60
"""The same where the video is decoded in tiles. Mochi at 848x480 and 85 frames: 22 GB in bfloat16
with model offload and tiles (documentation of diffusers), of which its weights are 20.1 GB."""
_ENCODING = 500 * 10**6
"""An assumption: what it takes to read a prompt or an image, beside the weights that do."""
_ENCODERS = ("text_encoder", "image_encoder", "prompt_enhancer")


class OutOfMemoryError(Exception):
    """A pipeline asked for more memory than there was; the way it was held is one to leave."""


@dataclass(frozen=True, slots=True)
class Step:
    """One way of holding a model."""

    offload: Offload
    tiles: bool

    def __str__(self) -> str:
        held = {
            "none": "all weights in the memory where it computes",
            "model": "model offload",
            "group": "group offload",
            "sequential": "sequential offload",
        }[self.offload]
        return f"{held}, decoding in tiles" if self.tiles else held


STEPS = (
    Step("none", tiles=False),
    Step("model", tiles=False),
    Step("model", tiles=True),
    Step("sequential", tiles=True),
)
"""From the fastest to the one that needs least."""
CPU_STEPS = (Step("none", tiles=False), Step("none", tiles=True))


@dataclass(frozen=True, slots=True)
class Activations:
    """What computing takes beside the weights, in bytes."""

    whole: int
    in_tiles: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How a model is held, and what that was decided from."""

    step: Step
    needed_bytes: int
    free_bytes: int
    rest: tuple[Step, ...] = ()
    """What may still be tried, each needing less than the one before."""

    @property
    def fits(self) -> bool:
        """Return whether it should fit, as far as that can be known."""
        return self.needed_bytes <= self.free_bytes

    def to_use(self, where: str | None = None) -> MemoryUse:
        """Return it for a plan."""
        return MemoryUse(
            held=str(self.step),
            where=where,
            needed_bytes=self.needed_bytes,
            free_bytes=self.free_bytes,
        )

    def __str__(self) -> str:
        return str(self.to_use())


def plan_memory(
    components: Mapping[str, ComponentSize],
    free_bytes: int,
    activations: Activations,
    steps: Iterable[Step] = STEPS,
) -> MemoryPlan:
    """Return the first of the steps that fits; the last one if none does."""
    left = tuple(steps)
    while True:
        step, *others = left
        needed = count_needed(components, step, activations)
        plan = MemoryPlan(step, needed, free_bytes, tuple(others))
        if plan.fits or not others:
            return plan
        left = plan.rest


def count_needed(
    components: Mapping[str, ComponentSize], step: Step, activations: Activations
) -> int:
    """Return the memory that is taken at most where the model computes."""
    computing = activations.in_tiles if step.tiles else activations.whole
    match step.offload:
        case "none":
            return sum(size.total for size in components.values()) + computing
        case "model":
            return max(
                size.total + (_ENCODING if name.startswith(_ENCODERS) else computing)
                for name, size in components.items()
            )
        case "group" | "sequential":
            return max(size.largest for size in components.values()) + computing


def check_fits(plan: MemoryPlan, model: str, where: str) -> None:
    """Refuse what cannot fit, before anything is loaded.

    Raises:
        BackendUnavailableError: even the way that needs least is too much.
    """
    if plan.fits:
        return
    raise BackendUnavailableError(
        f"{model} needs about {format_memory(plan.needed_bytes)} of memory with {plan.step}, and "
        f"{where} has {format_memory(plan.free_bytes)} free",
        hint="ask for a smaller size or less time, close other programs, use a smaller model, or "
        f"set offload = {plan.step.offload!r} to try it all the same",
    )


def check_waits(
    plan: MemoryPlan, model: str, components: Mapping[str, ComponentSize], free_bytes: int
) -> None:
    """Refuse weights that wait for their turn in a main memory that is too small for them.

    Raises:
        BackendUnavailableError: it is.
    """
    total = sum(size.total for size in components.values())
    if plan.step.offload == "none" or total <= free_bytes:
        return
    raise BackendUnavailableError(
        f"with {plan.step} the weights of {model} wait in main memory: they take "
        f"{format_memory(total)}, and {format_memory(free_bytes)} are free",
        hint="close other programs, or use a GPU with more memory or a smaller model",
    )


def estimate_activations(width: int, height: int, frames: int) -> Activations:
    """Return what computing a video takes by the rule, where nobody published a figure."""
    pixels = width * height * frames
    return Activations(pixels * BYTES_PER_PIXEL, pixels * BYTES_PER_PIXEL_IN_TILES)


def list_steps(
    device: str,
    offload: Offload | Literal["auto"],
    tiles: bool | Literal["auto"],
    *,
    in_layers: bool = True,
) -> tuple[Step, ...]:
    """Return the ways that the settings leave open, from the fastest.

    `in_layers` says whether its layers can be moved one by one: accelerate, which does it, loses
    how the numbers of GGUF are stored, and nobody tried it with fp8.
    """
    steps: tuple[Step, ...] = CPU_STEPS if device == "cpu" else STEPS
    if offload != "auto":
        steps = (Step(offload, tiles=False), Step(offload, tiles=True))
    if tiles != "auto":
        steps = tuple(dict.fromkeys(Step(step.offload, tiles) for step in steps))
    if not in_layers and offload == "auto":
        steps = tuple(step for step in steps if step.offload != "sequential")
    return steps
