"""What the modules of the causal transformer gave out, for finding where results part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from media_agent_magi.engine.causal.dit import WanDiT
from media_agent_magi.parity.comparison import GENERATION, Comparison
from media_agent_magi.parity.golden import Tensors

LAST = "last_block"


@contextmanager
def record(model: WanDiT) -> Iterator[dict[str, Tensor]]:
    """Keep what each module gives out, by its name; of blocks, those of the first and the last."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                seen[name] = output

        return hook

    last = f"blocks.{len(model.blocks) - 1}"
    handles = []
    for name, module in model.named_modules():
        if name:
            handles.append(module.register_forward_hook(keep(_golden_name(name))))
        if name == last:
            handles.append(module.register_forward_hook(keep(LAST)))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def compare_modules(done: Comparison, expected: Tensors, seen: dict[str, Tensor]) -> None:
    """Compare what was recorded with the intermediates of a case."""
    for name, tensor in expected.items():
        if name not in seen:
            done.notes.append(f"{name} is not computed by itself")
            continue
        got = seen[name]
        done.close(name, got.reshape(tensor.shape), tensor, GENERATION)


def _golden_name(name: str) -> str:
    """Return the name of a module in golden data: block0 for blocks.0."""
    return f"block{name[len('blocks.') :]}" if name.startswith("blocks.") else name
