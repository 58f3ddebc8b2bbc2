"""The numbers of a causal Wan transformer and of how it makes a video. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from media_agent_magi.engine.config import DTYPES, SamplerConfig, check_keys, refuse

EVERYTHING = -1
"""A window that holds the whole video."""

TRAIN_STEPS = 1000
"""Timesteps run from 1000, noise, to 0, clean."""


@dataclass(frozen=True, slots=True)
class WanConfig:
    """Sizes of one transformer; `params_dtype` holds for all of its numbers.

    text_len: rows of a text that are read, those behind its end are zero. freq_dim: width of the
    sinusoid of a timestep. patch_size: latent frames, rows and columns of a token.
    """

    dim: int
    num_heads: int
    ffn_dim: int
    num_layers: int
    text_dim: int = 4096
    text_len: int = 512
    freq_dim: int = 256
    in_dim: int = 16
    out_dim: int = 16
    eps: float = 1e-6
    patch_size: tuple[int, int, int] = (1, 2, 2)
    params_dtype: str = "float32"

    POSITIVE: ClassVar[tuple[str, ...]] = (
        "dim", "num_heads", "ffn_dim", "num_layers", "text_dim", "text_len", "freq_dim", "in_dim",
        "out_dim",
    )  # fmt: skip

    def __post_init__(self) -> None:
        values = {name: getattr(self, name) for name in self.POSITIVE}
        refuse(
            self,
            [
                f"{name} must be a whole number above 0, not {value!r}"
                for name, value in values.items()
                if not isinstance(value, int) or isinstance(value, bool) or value < 1
            ],
        )
        rules = {
            f"dim {self.dim} is no multiple of twice the {self.num_heads} heads": (
                self.dim % (2 * self.num_heads) == 0
            ),
            f"freq_dim must be even, not {self.freq_dim}": self.freq_dim % 2 == 0,
            f"params_dtype {self.params_dtype!r} is none of {', '.join(DTYPES)}": (
                self.params_dtype in DTYPES
            ),
            f"patch_size must be three whole numbers, the first 1, not {self.patch_size}": (
                len(self.patch_size) == 3 and self.patch_size[0] == 1 and min(self.patch_size) > 0
            ),
        }
        refuse(self, [fault for fault, holds in rules.items() if not holds])

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a config section; ConfigError lists all unknown and missing keys at once."""
        return cls(**check_keys(cls, values))

    @property
    def head_width(self) -> int:
        """Numbers of a head."""
        return self.dim // self.num_heads


@dataclass(frozen=True, slots=True)
class CausalConfig:
    """How blocks of latent frames are made, and what they see.

    block_frames: latent frames of a block. steps: timesteps of its forwards, as trained for; with
        `warp` they are places in the table of timesteps, else timesteps. shift: of that table.
    window: latent frames that a block sees at most, `sink` and its own ones counted; EVERYTHING
        for all. sink: of the first frames, how many are never forgotten.
    context_noise: timestep at which the keys of a finished block are made; no noise is added.
    first_alone: the first block is one frame.
    recache: where the text changes, keys are made again with the new one. global_sink: but those
        of the sink stay; else the sink becomes the oldest frames that are still seen.
    slot_positions: the position of a frame is its place among those that are seen; else in the
        video.
    rides: the keys of a finished block are made in the first forward of the next; else alone,
        which needs room for a block less.
    """

    block_frames: int = 3
    steps: tuple[float, ...] = (1000, 750, 500, 250)
    warp: bool = True
    shift: float = 5.0
    window: int = EVERYTHING
    sink: int = 0
    context_noise: float = 0.0
    first_alone: bool = False
    recache: bool = False
    global_sink: bool = True
    slot_positions: bool = False
    rides: bool = True

    def __post_init__(self) -> None:
        block, window, sink = self.block_frames, self.window, self.sink
        falling = all(a > b for a, b in zip(self.steps, self.steps[1:], strict=False))
        rules = {
            f"block_frames must be at least 1, not {block}": block >= 1,
            f"steps must fall from {TRAIN_STEPS} at most to 0 at least, not {self.steps}": (
                bool(self.steps) and falling and 0 <= min(self.steps) <= max(self.steps) <= 1000
            ),
            f"steps must be whole numbers where warp is set, not {self.steps}": (
                not self.warp or all(step == int(step) for step in self.steps)
            ),
            f"shift must be above 0, not {self.shift}": self.shift > 0,
            f"context_noise must lie in 0 to 1000, not {self.context_noise}": (
                0 <= self.context_noise <= TRAIN_STEPS
            ),
            f"a sink of {sink} frames must lie in 0 to {block}, the frames of a block": (
                0 <= sink <= block
            ),
            f"a window of {window} frames must hold the sink and a block, {sink + block}": (
                window == EVERYTHING or window >= sink + block
            ),
        }
        refuse(self, [fault for fault, holds in rules.items() if not holds])

    @property
    def sampler(self) -> SamplerConfig:
        """The same as the sampler knows it: one block in work, a forward a step."""
        return SamplerConfig(
            num_steps=len(self.steps),
            window_size=1,
            chunk_width=self.block_frames,
            cfg_number=1,
            noise2clean_kvrange=(),
            clean_chunk_kvrange=-1,
            clean_t=self.context_noise,
        )

    @property
    def room(self) -> int | None:
        """Latent frames whose keys are held at most; None: of the whole video."""
        if self.window == EVERYTHING:
            return None
        return self.window + (self.block_frames if self.rides else 0)

    def visible(self, end: int, sink_start: int = 0) -> tuple[tuple[int, int], ...]:
        """Return which frames a block that ends before frame `end` sees, in one or two ranges.

        The sink begins at frame `sink_start`, and nothing before it is left.
        """
        if self.window == EVERYTHING or end - sink_start <= self.window:
            return ((sink_start, end),)
        latest = (end - (self.window - self.sink), end)
        return ((sink_start, sink_start + self.sink), latest) if self.sink else (latest,)

    def recached(self, end: int) -> int:
        """Return from which frame on keys are made again where the text changes at frame `end`."""
        if self.window == EVERYTHING or end <= self.window:
            return 0
        return end - self.window + (self.sink if self.global_sink else 0)
