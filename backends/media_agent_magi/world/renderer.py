"""Draws scenes exactly, many at once: the truth that the tiny model learns and is measured by."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from media_agent_magi.world.scene import (
    ATTRIBUTES,
    BACKGROUND_RGB,
    CHUNK_FRAMES,
    COLOUR_RGB,
    COLOURS,
    HELD_OUT,
    MAX_RADIUS,
    MIN_RADIUS,
    MOTIONS,
    SHAPES,
    SIZE,
    Description,
    Scene,
    velocity,
)

# Half a side of the square and the inner radius of the triangle with the area of a unit circle.
_SQUARE = torch.pi**0.5 / 2
_TRIANGLE = (torch.pi / 27**0.5) ** 0.5


@dataclass(frozen=True, slots=True)
class SceneBatch:
    """B scenes of K chunks as tensors on one device.

    Attributes are indices into the tuples of `scene`, shape (B, K), int64.
    """

    position: Tensor  # (B, 2): x and y in the first frame, pixels
    radius: Tensor  # (B,), pixels
    background: Tensor
    shape: Tensor
    colour: Tensor
    motion: Tensor

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> "SceneBatch":
        """Turn scenes of equally many chunks into tensors on the CPU."""
        return cls(
            torch.tensor([[scene.x, scene.y] for scene in scenes], dtype=torch.float32),
            torch.tensor([scene.radius for scene in scenes], dtype=torch.float32),
            *(
                torch.tensor(
                    [[names.index(getattr(c, key)) for c in scene.chunks] for scene in scenes]
                )
                for key, names in ATTRIBUTES.items()
            ),
        )

    def descriptions(self) -> list[list[Description]]:
        """Return the description of each chunk of each scene."""
        columns = [getattr(self, key).tolist() for key in ATTRIBUTES]
        return [
            [
                Description(*(names[i] for names, i in zip(ATTRIBUTES.values(), v, strict=True)))
                for v in zip(*rows, strict=True)
            ]
            for rows in zip(*columns, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class ChangeProbabilities:
    """How often what changes where one chunk ends and the next begins."""

    anything: float = 0.5
    two_things: float = 0.3  # of the changes
    background: float = 0.2  # these four: relative weights
    shape: float = 0.05
    colour: float = 0.25
    motion: float = 0.5


def sample_scenes(
    count: int,
    chunks: int,
    generator: torch.Generator,
    *,
    include_held_out: bool = False,
    change: ChangeProbabilities = ChangeProbabilities(),
) -> SceneBatch:
    """Draw scenes on the generator's device; held-out combinations only when asked for."""
    device = generator.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    def integers(size: int) -> Tensor:
        return torch.randint(size, (count,), generator=generator, device=device)

    sizes = {key: len(names) for key, names in ATTRIBUTES.items()}
    weights = torch.tensor([getattr(change, key) for key in sizes], device=device)
    state = {key: integers(size) for key, size in sizes.items()}
    columns: dict[str, list[Tensor]] = {key: [] for key in sizes}
    for chunk in range(chunks):
        if chunk:
            order = torch.multinomial(weights.expand(count, -1), 2, generator=generator)  # (B, 2)
            first = uniform(count) < change.anything
            second = first & (uniform(count) < change.two_things)
            for index, (key, size) in enumerate(sizes.items()):
                changes = (first & (order[:, 0] == index)) | (second & (order[:, 1] == index))
                other = (state[key] + 1 + integers(size - 1)) % size
                state[key] = torch.where(changes, other, state[key])
        if not include_held_out:
            # Each pair of shape and colour lacks one motion only: any other motion is allowed.
            held_out = _held_out_motions(device)[state["shape"], state["colour"]] == state["motion"]
            other = (state["motion"] + 1 + integers(len(MOTIONS) - 1)) % len(MOTIONS)
            state["motion"] = torch.where(held_out, other, state["motion"])
        for key in sizes:
            columns[key].append(state[key])
    return SceneBatch(
        uniform(count, 2) * SIZE,
        MIN_RADIUS + (MAX_RADIUS - MIN_RADIUS) * uniform(count),
        *(torch.stack(columns[key], dim=1) for key in sizes),
    )


def render(batch: SceneBatch, frames: int, first_frame: int = 0) -> Tensor:
    """Draw frames of every scene: (B, T, 3, 64, 64), float32 in 0..1, on the batch's device.

    Raises:
        ValueError: The frames asked for are not within the scenes' chunks.
    """
    available = batch.motion.shape[1] * CHUNK_FRAMES
    if frames < 1 or first_frame < 0 or first_frame + frames > available:
        raise ValueError(
            f"frames {first_frame}..{first_frame + frames - 1} are not within the scene's "
            f"{available} frames"
        )
    device = batch.position.device
    chunk = torch.arange(first_frame, first_frame + frames, device=device) // CHUNK_FRAMES  # T
    alpha = _coverage(
        batch.shape[:, chunk].flatten(),
        positions(batch)[:, first_frame : first_frame + frames].flatten(0, 1),
        batch.radius[:, None].expand(-1, frames).flatten(),
    )  # B*T H W
    ground = _rgb(BACKGROUND_RGB, batch.background[:, chunk])
    paint = _rgb(COLOUR_RGB, batch.colour[:, chunk])
    image = torch.addcmul(ground, alpha[:, None], paint - ground)  # B*T 3 H W
    return image.unflatten(0, (-1, frames))


def positions(batch: SceneBatch) -> Tensor:
    """Return the object's centre of mass in every frame: (B, T, 2), not wrapped, pixels."""
    speeds = torch.tensor([velocity(name) for name in MOTIONS], device=batch.position.device)
    steps = speeds[batch.motion].repeat_interleave(CHUNK_FRAMES, dim=1)  # B T 2
    return batch.position[:, None] + steps.cumsum(dim=1) - steps[:, :1]


def to_uint8(frames: Tensor) -> Tensor:
    """Turn (..., 3, H, W) in 0..1 into (..., H, W, 3) in 0..255, as video files want it."""
    return frames.mul(255).round_().clamp_(0, 255).to(torch.uint8).movedim(-3, -1)


def _rgb(palette: dict[str, tuple[int, int, int]], index: Tensor) -> Tensor:
    """Look colours up: (B, T) indices to (B*T, 3, 1, 1) in 0..1."""
    table = torch.tensor(list(palette.values()), device=index.device) / 255
    return table[index].flatten(0, 1)[:, :, None, None]


def _coverage(shape: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Return how much of each pixel the object covers: (N, 64, 64) in 0..1.

    One pixel of ramp across the outline, from the signed distance to it.
    """
    pixels = torch.arange(SIZE, device=centre.device)
    offset = (pixels - centre[:, :, None] + SIZE / 2) % SIZE - SIZE / 2  # N 2 64, nearest image
    alpha = torch.empty(len(shape), SIZE, SIZE, device=centre.device)
    for index, name in enumerate(SHAPES):
        rows = (shape == index).nonzero().squeeze(1)
        x, y = offset[rows, 0, None, :], offset[rows, 1, :, None]  # n 1 64, n 64 1
        alpha[rows] = _OUTLINES[name](x, y, radius[rows, None, None])
    return alpha


def _circle(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    return (x.square() + y.square()).sqrt_().neg_().add_(radius + 0.5).clamp_(0, 1)


def _square(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    half = radius * _SQUARE + 0.5
    return (half - x.abs()).clamp_(0, 1) * (half - y.abs()).clamp_(0, 1)


def _triangle(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    inner = radius * _TRIANGLE + 0.5
    sides = (inner + y / 2) - x.abs() * 0.75**0.5
    return torch.minimum(sides, inner - y).clamp_(0, 1)


_OUTLINES = {"circle": _circle, "square": _square, "triangle": _triangle}


def _held_out_motions(device: torch.device) -> Tensor:
    """Return the index of the motion held out for each shape and colour: (shapes, colours)."""
    table = torch.zeros(len(SHAPES), len(COLOURS), dtype=torch.int64)
    for colour, shape, motion in HELD_OUT:
        table[SHAPES.index(shape), COLOURS.index(colour)] = MOTIONS.index(motion)
    return table.to(device)
