"""Large text encoders of the T5 kind, loaded for a moment: T5 v1.1 XXL for MAGI-1, UMT5 for others.

The weights come from a folder as transformers saves it, safetensors or `.bin`, of which nothing but
numbers is read. They are let go as soon as the prompts at hand are encoded.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from media_agent_magi.generating.family import WeightsError

Precision = Literal["bfloat16", "float32", "int8"]
LARGEST_INT8 = 127
KEPT_WHOLE = ("wo", "shared", "relative_attention_bias")
"""Layers that are not rounded to eight bits: they hold the largest numbers, or are tables."""


@dataclass(frozen=True, slots=True)
class TextFolder:
    """Where an encoder is, and how it is fed.

    length: tokens of a row. precision: numbers it computes with; int8 holds bfloat16 in half the
    memory, rounded by row. device: where.
    """

    path: Path
    length: int
    precision: Precision = "bfloat16"
    device: str = "cpu"

    def check(self) -> dict[str, Any]:
        """Return its configuration.

        Raises:
            WeightsError: Something that it needs is not there.
        """
        try:
            config: dict[str, Any] = json.loads((self.path / "config.json").read_bytes())
        except FileNotFoundError as error:
            raise WeightsError(f"no text encoder in {self.path}: config.json is missing") from error
        except (OSError, ValueError) as error:
            raise WeightsError(f"cannot read {self.path / 'config.json'}: {error}") from error
        if config.get("model_type") not in ("t5", "umt5"):
            raise WeightsError(
                f"{self.path} holds a {config.get('model_type')!r}, and T5 or UMT5 is wanted"
            )
        tokenizers = ("spiece.model", "tokenizer.json")
        if not any((self.path / name).is_file() for name in tokenizers):
            raise WeightsError(f"{self.path} has no tokenizer: {' or '.join(tokenizers)}")
        absent = [name for name in self._weight_names() if not (self.path / name).is_file()]
        if absent:
            raise WeightsError(f"in {self.path} {', '.join(absent)} is missing")
        return config

    def fingerprint(self) -> str:
        """Return what tells what it makes of a prompt from what another one would make."""
        names = [*self._weight_names(), "config.json"]
        facts = [(name, (self.path / name).stat().st_size) for name in names]
        text = json.dumps([facts, self.length, self.precision])
        return hashlib.sha256(text.encode()).hexdigest()

    def bytes(self) -> int:
        """Return what its files take."""
        return sum((self.path / name).stat().st_size for name in self._weight_names())

    def _weight_names(self) -> list[str]:
        for index in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
            if (self.path / index).is_file():
                shards = json.loads((self.path / index).read_bytes())["weight_map"].values()
                return sorted(set(shards))
        if (self.path / "pytorch_model.bin").is_file():
            return ["pytorch_model.bin"]
        return ["model.safetensors"]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedText:
    """A prompt as it leaves the encoder: (tokens, width), the tokens that are real."""

    rows: Tensor


def encode(folder: TextFolder, prompts: Sequence[str]) -> Iterator[EncodedText]:
    """Load the encoder, yield the prompts one after the other, and let the encoder go.

    Raises:
        WeightsError: It cannot be loaded.
    """
    folder.check()
    tokenizer, model = _load(folder)
    device = torch.device(folder.device)
    try:
        for prompt in prompts:
            tokens = tokenizer(
                prompt,
                max_length=folder.length,
                padding="max_length",
                truncation=True,
                add_special_tokens=True,
                return_tensors="pt",
            )
            mask = tokens["attention_mask"].to(device)
            with torch.inference_mode():
                rows = model(input_ids=tokens["input_ids"].to(device), attention_mask=mask)[0][0]
            yield EncodedText(rows[mask[0].bool()].float().cpu().clone())
    finally:
        del model
        if device.type == "cuda":
            torch.cuda.empty_cache()


def count_tokens(folder: TextFolder, prompt: str) -> int:
    """Return how many tokens a prompt has, its end counted; more than `length` are cut off."""
    return len(_load_tokenizer(folder)(prompt, add_special_tokens=True)["input_ids"])


def _load_tokenizer(folder: TextFolder) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder.path, local_files_only=True)


def _load(folder: TextFolder) -> tuple[Any, nn.Module]:
    from transformers import T5EncoderModel, UMT5EncoderModel
    from transformers.utils import logging

    kind: Any = UMT5EncoderModel if folder.check()["model_type"] == "umt5" else T5EncoderModel
    dtype = torch.float32 if folder.precision == "float32" else torch.bfloat16
    logging.disable_progress_bar()
    try:
        model: nn.Module = kind.from_pretrained(
            folder.path, dtype=dtype, local_files_only=True, trust_remote_code=False
        )
        tokenizer = _load_tokenizer(folder)
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"cannot load the text encoder in {folder.path}: {error}") from error
    if folder.precision == "int8":
        round_to_int8(model)
    return tokenizer, model.eval().requires_grad_(False).to(folder.device)


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
