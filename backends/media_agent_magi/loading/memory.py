"""How a model is held in the memory of a device, decided before anything is loaded. No torch here.

What does not fit is moved or made smaller step by step, in one order, that which costs least first.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from media_agent.errors import BackendUnavailableError
from media_agent_schemas.base import format_memory

GIB = 2**30
RESERVED = 3 * GIB // 4
"""Bytes that the driver and torch themselves take, about."""
SLACK = 1.05
"""What is lost between the pieces of memory."""
TEXT_BYTES = {"bfloat16": 2, "float32": 4, "int8": 1}
"""Of a number of the text encoder, by its precision."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A way to hold a model.

    text_on_device: the text encoder computes on the device, beside the rest.
    tiles_at_once: the tiles of a moment are decoded as one batch. decodes_beside: a chunk is
    decoded while the next one is computed, so that both need their memory at once. fp8: quantised
    weights are loaded. window: chunks in work, or frames that are seen. rides: the keys of a
    finished block are made in the first forward of the next. vae_in_tiles: the widest levels of the
    autoencoder decode a frame in parts, and what they look back at waits in the main memory.
    ring_on_device, blocks_on_device: where keys and weights wait.
    """

    text_on_device: bool = True
    tiles_at_once: bool = True
    decodes_beside: bool = True
    fp8: bool = False
    window: int = 4
    rides: bool = True
    vae_in_tiles: bool = False
    ring_on_device: bool = True
    blocks_on_device: bool = True


@dataclass(frozen=True, slots=True)
class TiledVAE:
    """What an autoencoder that decodes in tiles takes, in bytes.

    vae: of weights and of what is looked back at, on the device. tile: what decoding needs there.
    waits: in the main memory.
    """

    vae: int
    tile: int
    waits: int


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """What the parts of a model take, in bytes.

    ring, activations: as it is held. window: as it is made for. smaller: what makes it smaller,
    in words, and the fields of `Holding` that do so. text: the encoder has to fit beside all the
    rest, for prompts change on the way.
    weights, fp8_weights: all of the transformer; None: there are none of eight bits.
    resident, block: what is never streamed, and the largest block.
    tile: what decoding one tile needs; tiles: how many are decoded at once at most. tiled: the same
    for `Holding.vae_in_tiles`, which is one of `smaller`; None: it cannot be.
    """

    text: int
    weights: int
    fp8_weights: int | None
    resident: int
    block: int
    ring: Callable[[Holding], int]
    activations: Callable[[Holding], int]
    vae: int
    tile: int
    tiles: int
    window: int
    is_quantised: bool = False
    smaller: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    tiled: TiledVAE | None = None

    def without_tiles(self) -> Self:
        """Return the same for an autoencoder that never decodes in tiles."""
        smaller = (each for each in self.smaller if "vae_in_tiles" not in each[1])
        return replace(self, smaller=tuple(smaller), tiled=None)


@dataclass(frozen=True, slots=True)
class Part:
    """Something in memory and its bytes."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """A way to hold a model, the steps that led to it, and what it takes where.

    steps: what was done to make it fit, in order, in words.
    """

    holding: Holding
    steps: tuple[str, ...]
    device: tuple[Part, ...]
    main: tuple[Part, ...]

    @property
    def device_bytes(self) -> int:
        """What it takes on the device at most."""
        return sum(part.bytes for part in self.device)

    @property
    def main_bytes(self) -> int:
        """What it takes in the main memory at most."""
        return sum(part.bytes for part in self.main)

    def __str__(self) -> str:
        """Return the steps and the parts in one line."""
        return f"{'; '.join(self.steps) or 'all of it on the device'} ({_list(self.device)})"


def list_steps(sizes: ModelSizes, *, moves: bool = True) -> Iterator[tuple[str, Holding]]:
    """Yield what is tried, in this order, each on top of those before it.

    Without `moves` the device is the main memory itself, and nothing can be moved off it.
    """
    holding = Holding(window=sizes.window, fp8=sizes.is_quantised)
    yield "", holding
    if moves:
        holding = replace(holding, text_on_device=False)
        yield "text encoder off the device", holding
    holding = replace(holding, tiles_at_once=False)
    if sizes.tiles > 1:
        yield "tiles decoded one by one", holding
    holding = replace(holding, decodes_beside=False)
    yield "chunks decoded in turn", holding
    if sizes.fp8_weights is not None and not sizes.is_quantised:
        holding = replace(holding, fp8=True)
        yield "fp8 weights", holding
    for words, changes in sizes.smaller:
        holding = replace(holding, **changes)
        yield words, holding
    if not moves:
        return
    holding = replace(holding, ring_on_device=False)
    yield "keys in the main memory", holding
    holding = replace(holding, blocks_on_device=False)
    yield "blocks streamed from the main memory", holding


def plan_memory(sizes: ModelSizes, device_bytes: int, *, moves: bool = True) -> MemoryPlan:
    """Return the first way that fits; where none does, the last, which needs least.

    `moves` says whether parts can be moved off the device.
    """
    steps: list[str] = []
    plan: MemoryPlan | None = None
    for step, holding in list_steps(sizes, moves=moves):
        if step:
            steps.append(step)
        plan = _count(sizes, holding, tuple(steps))
        if plan.device_bytes <= device_bytes:
            break
    assert plan is not None
    return plan


def plan_both(sizes: ModelSizes, device_bytes: int, main_bytes: int) -> MemoryPlan:
    """Return the first way that fits into the device, where it can be one for the main memory too.

    Tiles wait there: where it is too small for them, later steps may need less of it.
    """
    plan = plan_memory(sizes, device_bytes)
    if plan.holding.vae_in_tiles and plan.main_bytes > main_bytes:
        other = plan_memory(sizes.without_tiles(), device_bytes)
        if other.device_bytes <= device_bytes and other.main_bytes < plan.main_bytes:
            return other
    return plan


def check_main(plan: MemoryPlan, main_bytes: int, asked: str) -> None:
    """Refuse what does not fit into the main memory.

    Raises:
        BackendUnavailableError: It does not.
    """
    if plan.main_bytes > main_bytes:
        raise BackendUnavailableError(
            f"{asked} needs {format_memory(plan.main_bytes)} of main memory ({_list(plan.main)}), "
            f"and {format_memory(main_bytes)} are free",
            hint="free some, take text_precision int8, or a smaller size",
        )


def _list(parts: tuple[Part, ...]) -> str:
    """Return what takes how much."""
    return ", ".join(f"{part.name} {format_memory(part.bytes)}" for part in parts if part.bytes)


def _count(sizes: ModelSizes, holding: Holding, steps: tuple[str, ...]) -> MemoryPlan:
    weights = sizes.weights
    if holding.fp8 and not sizes.is_quantised:
        assert sizes.fp8_weights is not None
        weights = sizes.fp8_weights
    ring = sizes.ring(holding)
    # blocks of eight bits are smaller; the largest of all blocks is never one of them
    on_device = weights if holding.blocks_on_device else sizes.resident + 2 * sizes.block
    vae, tiles = sizes.vae, sizes.tile * (sizes.tiles if holding.tiles_at_once else 1)
    if holding.vae_in_tiles:
        assert sizes.tiled is not None
        vae, tiles = sizes.tiled.vae, sizes.tiled.tile
    both = (sizes.activations(holding), tiles)
    working = sum(both) if holding.decodes_beside else max(both)
    parts = [
        Part("weights", on_device),
        Part("keys", ring if holding.ring_on_device else ring // 8),
        Part("autoencoder", vae),
        Part("working memory", working),
    ]
    used = sum(part.bytes for part in parts)
    if holding.text_on_device:
        parts.append(Part("text encoder", sizes.text))
    parts.append(Part("reserve", RESERVED + round((SLACK - 1) * used)))
    main = [Part("text encoder", 0 if holding.text_on_device else sizes.text)]
    if not holding.ring_on_device:
        main.append(Part("keys", ring))
    if not holding.blocks_on_device:
        main.append(Part("weights", weights))
    if holding.vae_in_tiles and sizes.tiled is not None:
        main.append(Part("autoencoder", sizes.tiled.waits))
    return MemoryPlan(holding, steps, tuple(parts), tuple(main))
