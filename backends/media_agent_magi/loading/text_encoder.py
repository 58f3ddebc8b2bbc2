"""Large text encoders of the T5 kind, loaded for a moment: T5 v1.1 XXL for MAGI-1, UMT5 for Wan.

The weights come from files of which nothing but numbers is read. They are let go as soon as the
prompts at hand are encoded.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.stream import BUILDING
from media_agent_magi.loading.text_files import TextFiles
from media_agent_magi.loading.tokenizer import END, PADDING, tokenize

Precision = Literal["bfloat16", "float32", "int8"]
LARGEST_INT8 = 127
KEPT_WHOLE = ("wo", "shared", "relative_attention_bias")
"""Layers that are not rounded to eight bits: they hold the largest numbers, or are tables."""


class EncoderFiles(Protocol):
    """The files of an encoder and of its tokenizer."""

    @property
    def tokenizer(self) -> Path:
        """The folder of the tokenizer."""
        ...

    def facts(self) -> list[tuple[str, int]]:
        """Return what tells it from another one."""
        ...

    def build(self, dtype: torch.dtype) -> nn.Module:
        """Load it into the main memory.

        Raises:
            WeightsError: It cannot be loaded.
        """
        ...


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Where an encoder is, and how it is fed.

    length: tokens of a row. precision: numbers it computes with; int8 holds bfloat16 in half the
    memory, rounded by row. device: where. pads: what lies behind the end of a prompt is computed
    too, as by the reference; nothing reads it, so without it the rest is the same but for rounding.
    """

    files: EncoderFiles
    length: int
    precision: Precision = "bfloat16"
    device: str = "cpu"
    pads: bool = True

    def fingerprint(self) -> str:
        """Return what tells what it makes of a prompt from what another one would make."""
        facts: list[Any] = [self.files.facts(), self.length, self.precision]
        text = json.dumps(facts if self.pads else [*facts, self.pads])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class EncodedText:
    """A prompt as it leaves the encoder: (tokens, width), the tokens that are real."""

    rows: Tensor


def encode(encoder: TextEncoder, prompts: Sequence[str]) -> Iterator[EncodedText]:
    """Load the encoder, yield the prompts one after the other, and let the encoder go.

    Raises:
        WeightsError: It cannot be loaded.
    """
    model = _load(encoder)
    device = torch.device(encoder.device)
    try:
        for prompt in prompts:
            numbers = tokenize(encoder.files.tokenizer, prompt)
            if len(numbers) > encoder.length:
                numbers = [*numbers[: encoder.length - 1], END]
            missing = encoder.length - len(numbers) if encoder.pads else 0
            tokens = torch.tensor([numbers + [PADDING] * missing], device=device)
            mask = torch.tensor([[1] * len(numbers) + [0] * missing], device=device)
            with torch.inference_mode():
                rows = model(input_ids=tokens, attention_mask=mask)[0][0]
            yield EncodedText(rows[: len(numbers)].float().cpu().clone())
    finally:
        del model
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _load(encoder: TextEncoder) -> nn.Module:
    dtype = torch.float32 if encoder.precision == "float32" else torch.bfloat16
    model = encoder.files.build(dtype)
    if encoder.precision == "int8":
        round_to_int8(model)
    return model.eval().requires_grad_(False).to(encoder.device)


@dataclass(frozen=True, slots=True)
class TransformersFiles:
    """A folder with encoder and tokenizer, as transformers saves them."""

    files: TextFiles

    @property
    def tokenizer(self) -> Path:
        """The folder of the tokenizer."""
        return self.files.path

    def facts(self) -> list[tuple[str, int]]:
        """Return names and sizes of its files."""
        return self.files.facts()

    def build(self, dtype: torch.dtype) -> nn.Module:
        """Load it into the main memory.

        Raises:
            WeightsError: It cannot be loaded.
        """
        from transformers import T5EncoderModel, UMT5EncoderModel
        from transformers.utils import logging

        kind: Any = (
            UMT5EncoderModel if self.files.check()["model_type"] == "umt5" else T5EncoderModel
        )
        path = self.files.path
        logging.disable_progress_bar()
        try:
            with BUILDING:
                model: nn.Module = kind.from_pretrained(
                    path, dtype=dtype, local_files_only=True, trust_remote_code=False
                )
        except (OSError, ValueError, RuntimeError) as error:
            raise WeightsError(f"cannot load the text encoder in {path}: {error}") from error
        return model


class Int8Linear(nn.Module):
    """A linear layer whose weight is rounded to eight bits, with a scale for each row."""

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        exact = linear.weight.float()
        scale = exact.abs().amax(1, keepdim=True).clamp(min=1e-12) / LARGEST_INT8
        self.register_buffer("weight", (exact / scale).round().to(torch.int8))
        self.register_buffer("scale", scale.to(linear.weight.dtype))
        self.register_buffer("bias", None if linear.bias is None else linear.bias.data)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., O) in the dtype of x."""
        return F.linear(x, self.weight.to(x.dtype) * self.scale.to(x.dtype), self.bias)


def round_to_int8(model: nn.Module) -> None:
    """Put layers of eight bits in place of the linear ones that bear it."""
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    for name in linear:
        if name.rpartition(".")[2] not in KEPT_WHOLE:
            layer = model.get_submodule(name)
            assert isinstance(layer, nn.Linear)
            model.set_submodule(name, Int8Linear(layer))


Encode = Callable[[Sequence[str]], Iterator[EncodedText]]
"""Loads an encoder, yields what prompts become, and lets the encoder go."""
