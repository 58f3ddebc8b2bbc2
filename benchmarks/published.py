"""The algorithm of the published MAGI-1 code, written out beside ours.

Keys of the whole video, moved in every layer of every forward; a position table of the whole video
at each forward; of base weights three forwards a step, whatever their weight.
"""

import math
import sys
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from media_agent_magi.engine.cache import KVCache, Past
from media_agent_magi.engine.config import ModelConfig
from media_agent_magi.engine.guidance import Predictor
from media_agent_magi.engine.sampler import ChunkSampler
from media_agent_magi.engine.transformer import StepInput


class WholeCache(KVCache):
    """Keeps every key of the video, in one tensor a layer, allocated at once."""

    def forget_before(self, token: int) -> None:
        """Forget nothing."""


def join_whole(self: Past, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Join everything before the window, moved whole, and its own, whatever is looked at."""
    if self.stored:
        stored = slice(self.stored)
        self.cache.write(layer, self.end, keys[:, stored], values[:, stored])
    if not self.end:
        return keys, values
    past_keys, past_values = self.cache.read(layer, 0, self.end).chunk(2, dim=-1)
    keys, values = torch.cat([past_keys, keys], dim=1), torch.cat([past_values, values], dim=1)
    return keys[:, self.start :], values[:, self.start :]


class ThreeForwards(Predictor):
    """Text and history, history, nothing: all chunks in each, whatever its weight."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._rotary = self._table_from_the_start  # type: ignore[assignment]

    def _table_from_the_start(
        self, grid: tuple[int, int, int], first_chunk: int, chunks: int
    ) -> Tensor:
        """Make the table of the whole video so far again, and use its end."""
        patches, rows, columns = grid
        through = first_chunk + chunks
        table = self.model.rotary((patches // chunks * through, rows, columns), 0, through)
        return table[-patches * rows * columns :]

    def _mix(self, given: StepInput) -> Tensor:
        alone = self._alone(given, range(given.first_moving, len(given.t)))
        text, history = self._with_text(given), self._history(given)
        mixed = torch.zeros_like(given.x)
        parts = zip(*(x.chunk(len(given.t), 2) for x in (mixed, text, history)), strict=True)
        for c, (out, with_text, without) in enumerate(parts):
            if c >= given.first_moving:
                pull, scale = given.scales[c]
                out.add_(scale * with_text + (pull - scale) * without)
                out.add_((1 - pull) * alone[c - given.first_moving])
        return mixed


class WholeSampler(ChunkSampler):
    """Our schedule by the published algorithm, for chunks of latents of one shape."""

    def __init__(
        self, *given: Any, shape: tuple[int, int, int, int], total: int, **options: Any
    ) -> None:
        sizes: ModelConfig = given[0].config
        tokens = total * math.prod(shape[1:]) // (sizes.t_patch_size * sizes.patch_size**2)
        cache = WholeCache(tokens)
        super().__init__(*given, **options, total=total, cache=cache, rebase_every=sys.maxsize)
        self._whole = ThreeForwards(self._model, self._config, self._cache)

    def predict(self, given: StepInput) -> Tensor:
        """Return the velocity of one step."""
        return self._whole.velocity(given)


def by_the_published_algorithm() -> Any:
    """Let forwards join keys as the published code does, as long as this context lasts."""
    return patch.object(Past, "join", join_whole)
