"""Adds LoRA weights to the layers of a model, and takes them away again.

They are added to what a layer returns, and its own weights are not touched: removed, the model is
bit for bit as before. Each pair goes where its layer computes, so it works with every kind of
offload; adapters that are part of the model and moved with it do not (diffusers issue 12052).
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from media_agent.errors import InvalidRequestError
from media_agent_diffusers.lora.choice import ChosenLora

_PREFIX = "transformer."  # diffusers calls the layers so, of whichever transformer
_ODD_FILE = (
    ValueError,
    KeyError,
    IndexError,
    OSError,
    RuntimeError,
    AttributeError,
    TypeError,
    ArithmeticError,
    SafetensorError,
)


@contextmanager
def loras_applied(pipe: Any, loras: Iterable[ChosenLora]) -> Iterator[None]:
    """Let the layers of a pipeline compute with these weights, until left.

    Raises:
        InvalidRequestError: a file does not fit the model.
    """
    with ExitStack() as stack:
        for lora in loras:
            for layer, pair in read_pairs(pipe, lora):
                stack.callback(layer.register_forward_hook(pair).remove)
        yield


class LoraPair:
    """Two small matrices whose product is added to that of a layer."""

    def __init__(self, down: Tensor, up: Tensor, scale: float, bias: Tensor | None = None) -> None:
        self._down, self._up, self._scale, self._bias = down, up, scale, bias

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Return the output of a layer with its share added."""
        self._move_to(output)
        hidden = inputs[0].to(output.device, output.dtype)
        added = nn.functional.linear(nn.functional.linear(hidden, self._down), self._up, self._bias)
        return output + self._scale * added

    def _move_to(self, output: Tensor) -> None:
        if (self._down.device, self._down.dtype) == (output.device, output.dtype):
            return
        self._down, self._up = self._down.to(output), self._up.to(output)
        self._bias = None if self._bias is None else self._bias.to(output)


def read_pairs(pipe: Any, lora: ChosenLora) -> list[tuple[nn.Module, LoraPair]]:
    """Return each layer that a file has weights for, with them.

    Raises:
        InvalidRequestError: the file is for another model, or holds something else or nothing.
    """
    if not hasattr(type(pipe), "lora_state_dict"):
        raise InvalidRequestError(
            f"{type(pipe).__name__} takes no LoRA weights", hint="leave the option lora out"
        )
    try:
        pairs = list(_find_pairs(pipe, lora))
    except _ODD_FILE as error:
        raise _unfit(lora, f"{type(error).__name__}: {error}") from error
    if not pairs:
        raise _unfit(lora, "it has no LoRA weights")
    return pairs


def _find_pairs(pipe: Any, lora: ChosenLora) -> Iterator[tuple[nn.Module, LoraPair]]:
    tensors = _read_tensors(pipe, lora)
    layers = dict(getattr(pipe, lora.component).named_modules())
    alphas = _Alphas(lora.file)
    for name in dict.fromkeys(key.rpartition(".lora_")[0] for key in tensors if ".lora_" in key):
        down = tensors.pop(f"{name}.lora_A.weight", None)
        up = tensors.pop(f"{name}.lora_B.weight", None)
        bias = tensors.pop(f"{name}.lora_B.bias", None)
        alpha = tensors.pop(f"{name}.alpha", None)
        layer = layers.get(name.removeprefix(_PREFIX))
        if down is None or up is None or not _fits(layer, down, up, bias):
            raise _unfit(lora, f"{lora.component} has no layer {name!r} of this shape")
        rank = len(down)
        scale = (float(alpha) if alpha is not None else alphas.of(name, rank)) / rank
        if not math.isfinite(scale):
            raise _unfit(lora, f"the alpha of {name} is no number")
        yield layer, LoraPair(down, up, lora.weight * scale, bias)  # type: ignore[misc]  # _fits
    if tensors:
        raise _unfit(lora, f"{next(iter(tensors))} is no LoRA weight of a transformer")


def _read_tensors(pipe: Any, lora: ChosenLora) -> dict[str, Tensor]:
    """Return the tensors under the names that diffusers gives them, whoever trained them."""
    tensors = type(pipe).lora_state_dict(
        str(lora.file.parent),
        weight_name=lora.file.name,
        local_files_only=True,
        use_safetensors=True,
    )
    return dict(tensors)


def _fits(layer: nn.Module | None, down: Tensor, up: Tensor, bias: Tensor | None) -> bool:
    if layer is None or down.ndim != 2 or up.ndim != 2 or up.shape[1] != down.shape[0]:
        return False
    if len(down) == 0 or (bias is not None and bias.shape != up.shape[:1]):
        return False
    shape = (getattr(layer, "out_features", None), getattr(layer, "in_features", None))
    return shape == (up.shape[0], down.shape[1])


class _Alphas:
    """The strength that a file was trained with, where it is in its header."""

    def __init__(self, file: Path) -> None:
        with safe_open(file, framework="pt") as reader:
            text = (reader.metadata() or {}).get("lora_adapter_metadata", "{}")
        self._said: Mapping[str, Any] = json.loads(text)

    def of(self, name: str, rank: int) -> float:
        """Return the alpha of a layer; without a word in the header its rank."""
        own = self._said.get(f"{_PREFIX}alpha_pattern") or {}
        value = own.get(name.removeprefix(_PREFIX), self._said.get(f"{_PREFIX}lora_alpha"))
        return rank if value is None else float(value)


def _unfit(lora: ChosenLora, reason: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"LoRA {lora.name}: {lora.file} does not fit: {' '.join(reason.split())[:300]}",
        hint="is it for this model? a LoRA of another size or family cannot be used",
    )
