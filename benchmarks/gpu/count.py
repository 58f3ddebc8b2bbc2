"""Counts kernels, bytes and operations of a chunk on the meta device: shapes alone, no numbers."""

import math
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from benchmarks.published import WholeSampler, by_the_published_algorithm
from media_agent_magi.engine import fp8, guidance
from media_agent_magi.engine.blocks import attention
from media_agent_magi.engine.blocks.compiling import USES
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.noise import seeded_noise
from media_agent_magi.engine.sampler import ChunkSampler
from media_agent_magi.engine.text.keys import ChunkText
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.magi.config import MagiConfig
from media_agent_magi.magi.loader import build

CAPTION = 200  # tokens
FREE = ("empty", "new_empty", "empty_like", "empty_strided")
STEADY = 3  # chunks that are finished before the one that is counted, besides those in work


@dataclass(slots=True)
class Counts:
    """Work of a chunk. Operations are multiplications and additions of products and attention."""

    forwards: int = 0
    kernels: int = 0
    bytes: int = 0
    products: int = 0
    attention: int = 0

    @property
    def operations(self) -> int:
        """All that counts for MFU."""
        return self.products + self.attention

    def since(self, before: "Counts") -> "Counts":
        """Return what was added."""
        return self.plus(before, -1)

    def plus(self, more: "Counts", times: int) -> "Counts":
        """Return what it is with so many times `more`."""
        return Counts(*(getattr(self, n) + times * getattr(more, n) for n in self.__slots__))


class Counter(TorchDispatchMode):
    """Counts what torch is asked to do; views are free, and `fused` functions are one kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counts()
        self._inside = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Count one operation, in the parts that it is made of."""
        kwargs = kwargs or {}
        packet = func._overloadpacket
        if packet not in flop_registry:
            with self:
                made = func.decompose(*args, **kwargs)
            if made is not NotImplemented:
                return made
        made = func(*args, **kwargs)
        if self._inside or func.is_view or packet.__name__ in FREE or not _on_meta(made):
            return made
        self.counts.kernels += 1
        self.counts.bytes += _bytes((args, kwargs, made))
        if packet in flop_registry:
            self.counts.products += flop_registry[packet](*args, **kwargs, out_val=made)
        return made

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        """Stand for one fused attention."""
        out = q.new_empty(q.shape)
        self.counts.kernels += 1
        self.counts.bytes += _bytes((q, k, v, bias, out))
        self.counts.attention += 4 * math.prod(q.shape) * k.shape[2]
        return out

    def one_kernel(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Count a function as compiled: what goes in and what comes out, once."""

        def counted(*given: Any) -> Tensor:
            self._inside = True
            try:
                out = function(*given)
            finally:
                self._inside = False
            self.counts.kernels += 1
            self.counts.bytes += _bytes((given, out))
            return out

        return counted


def _on_meta(made: Any) -> bool:
    return any(isinstance(x, Tensor) and x.is_meta for x in tree_leaves(made))


def _bytes(values: Any) -> int:
    return sum(x.nbytes for x in tree_leaves(values) if isinstance(x, Tensor) and x.is_meta)


def count_chunk(
    config: MagiConfig, size: tuple[int, int], sampler: SamplerConfig, *, compiled: bool = True
) -> Counts:
    """Count the work of a chunk in the middle of a long video."""
    with _counting(config, compiled=compiled) as (counter, model):
        options = _options(model, config, size, counter)
        before = Counts()
        for chunk in ChunkSampler(model, sampler, **options):
            if chunk.index == sampler.window_size + STEADY:
                return counter.counts.since(before)
            before = replace(counter.counts)
    raise AssertionError("a video without an end has ended")


def count_operations(config: MagiConfig, size: tuple[int, int], sampler: SamplerConfig) -> int:
    """Count the operations of a chunk soon: all blocks take as many, so few are looked at."""
    few, more = (
        count_chunk(
            replace(config, model=replace(config.model, num_layers=layers)), size, sampler
        ).operations
        for layers in (2, 3)
    )
    return more + (config.model.num_layers - 3) * (more - few)


def count_video(
    config: MagiConfig,
    size: tuple[int, int],
    sampler: SamplerConfig,
    chunks: int,
    *,
    published: bool,
) -> Counts:
    """Count the work of a video of so many chunks, ours or by the published algorithm; eager."""
    with _counting(config, compiled=False) as (counter, model):
        options = _options(model, config, size, counter) | {"total": chunks}
        if published:
            shape = config.geometry.shape(*size)
            with by_the_published_algorithm():
                list(WholeSampler(model, sampler, shape=shape, **options))
        else:
            list(ChunkSampler(model, sampler, **options))
        return counter.counts


@contextmanager
def _counting(config: MagiConfig, *, compiled: bool) -> Any:
    """Yield a counter and a model whose work it counts as a GPU would do it."""
    counter, model = Counter(), build(config)
    model.prepare()
    model.kernel = counter.attend
    caption = ChunkText(
        torch.empty(1, CAPTION, config.model.hidden_size, dtype=torch.bfloat16, device="meta")
    )
    model.read = lambda *_: caption  # type: ignore[method-assign]
    for module in model.modules():
        if isinstance(module, attention.Attention):
            module.put_side_by_side()
        if compiled and type(module) in USES:
            name = USES[type(module)]
            setattr(module, name, counter.one_kernel(getattr(module, name)))
    with (
        patch.object(attention, "linear_in_float32", _sum_in_float32),
        patch.object(guidance, "stack", lambda texts, samples: texts[0]),
        patch.object(fp8, "has_fp8_product", lambda device: True),
        torch.inference_mode(),
        counter,
    ):
        yield counter, model


def _sum_in_float32(x: Tensor, weight: Tensor) -> Tensor:
    return torch.nn.functional.linear(x, weight).new_empty(
        (*x.shape[:-1], len(weight)), dtype=torch.float32
    )


def _options(
    model: VideoDiT, config: MagiConfig, size: tuple[int, int], counter: Counter
) -> dict[str, Any]:
    row = TextRow(
        torch.empty(config.model.caption_max_length, config.model.caption_channels, device="meta"),
        torch.empty(config.model.caption_max_length, device="meta"),
    )

    def count_forward(done: int, total: int | None) -> None:
        counter.counts.forwards += 1

    return {
        "noise": seeded_noise(0, config.geometry.shape(*size)),
        "text": lambda chunk: row,
        "on_forward": count_forward,
    }


HEAD = f"{'':44} forwards  kernels  GB moved  TF products  TF attention  TF all"


def line(name: str, c: Counts) -> str:
    """Return counts as a line below `HEAD`."""
    return (
        f"{name:44} {c.forwards:8} {c.kernels:8} {c.bytes / 1e9:9.0f} {c.products / 1e12:12.1f} "
        f"{c.attention / 1e12:13.1f} {c.operations / 1e12:7.1f}"
    )
