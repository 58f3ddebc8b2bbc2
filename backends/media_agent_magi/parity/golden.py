"""Reading golden data: JSON and safetensors of one folder, and the models its cases name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from media_agent_magi.engine.autoencoders.vit_vae import ViTVAE, ViTVAEConfig
from media_agent_magi.engine.causal.config import WanConfig
from media_agent_magi.engine.causal.dit import WanDiT
from media_agent_magi.engine.config import ModelConfig, SamplerConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.weights_io import load_weights
from media_agent_magi.parity.comparison import CaseError, Comparison

OPTIONAL_SETTINGS = {
    "func": "transform",
    "transform": "transform",
    "shift": "shift",
    "null_caption_tokens": "null_caption_tokens",
    "prev_chunks_scale": "nearly_clean_history_share",
}
"""Key in a case -> field of SamplerConfig that the sections of a released config do not hold."""


class Fields(dict[str, Any]):
    """A JSON object whose missing keys are named in the error."""

    def __missing__(self, key: str) -> Any:
        raise CaseError(f"entry {key!r} is missing")


class Tensors(dict[str, Tensor]):
    """Tensors by name; missing names are named in the error."""

    def __missing__(self, key: str) -> Tensor:
        raise CaseError(f"tensor {key!r} is missing")

    def under(self, prefix: str) -> Tensors:
        """Return the tensors whose name starts with `prefix`, without it."""
        return Tensors({n[len(prefix) :]: t for n, t in self.items() if n.startswith(prefix)})


class GoldenFolder:
    """The files of a folder by stem ("dit_a.forward") and what they hold."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._models: dict[str, VideoDiT] = {}
        self._causal: dict[str, WanDiT] = {}

    def spec(self, stem: str) -> Fields:
        """Return the JSON object of a stem."""
        path = self.path / f"{stem}.json"
        try:
            spec = json.loads(path.read_text(encoding="utf-8"), object_hook=Fields)
        except FileNotFoundError as error:
            raise CaseError(f"{path.name} is missing") from error
        except ValueError as error:
            raise CaseError(f"{path.name} is no JSON: {error}") from error
        if not isinstance(spec, Fields):
            raise CaseError(f"{path.name} holds no JSON object")
        return spec

    def tensors(self, stem: str) -> Tensors:
        """Return the tensors of a stem."""
        path = self.path / f"{stem}.safetensors"
        if not path.is_file():
            raise CaseError(f"{path.name} is missing")
        try:
            return Tensors(load_file(path))
        except (SafetensorError, OSError) as error:
            raise CaseError(f"cannot read {path.name}: {error}") from error

    def transformer(self, spec: Fields) -> VideoDiT:
        """Return the model of a case with its weights, float32; built once per configuration."""
        config = ModelConfig.from_dict(spec["config"]["model_config"])
        path = self.weights(spec)
        key = f"{path.name} {config}"
        if key not in self._models:
            model = VideoDiT(config).eval().requires_grad_(False)
            load_weights(model, path)
            self._models[key] = model
        return self._models[key]

    def causal_transformer(self, spec: Fields, dtype: str = "float32") -> WanDiT:
        """Return the causal model of a case with its weights; built once per configuration."""
        config = WanConfig.from_dict({**spec["config"], "params_dtype": dtype})
        path = self.weights(spec)
        key = f"{path.name} {config}"
        if key not in self._causal:
            model = WanDiT(config).eval().requires_grad_(False)
            load_weights(model, path)
            self._causal[key] = model
        return self._causal[key]

    def autoencoder(self, spec: Fields) -> ViTVAE:
        """Return the autoencoder of a file of cases with its weights."""
        vae = ViTVAE(ViTVAEConfig.from_dict(spec["ddconfig"])).eval().requires_grad_(False)
        load_weights(vae, self.weights(spec))
        return vae

    def weights(self, spec: Fields) -> Path:
        """Return the file of weights that a case names."""
        path = self.path / Path(spec["weights"].split()[0]).name
        if not path.is_file():
            raise CaseError(f"weights file {path.name} is missing")
        return path


def sampler_config(spec: Fields) -> SamplerConfig:
    """Build the sampler settings of a case."""
    sections = spec["config"]
    runtime, engine = sections["runtime_config"], sections["engine_config"]
    config = SamplerConfig.from_reference(runtime, engine)
    extra = {
        name: source[key]
        for source in (runtime, engine, spec)
        for key, name in OPTIONAL_SETTINGS.items()
        if key in source
    }
    return SamplerConfig.from_dict({n: getattr(config, n) for n in config.__slots__} | extra)


def check_declared(done: Comparison, spec: Fields, tensors: Tensors, prefix: str = "") -> None:
    """Add a fault for every declared tensor that the file lacks or holds in another shape."""
    declared: Mapping[str, Fields] = spec.get("tensors", {})
    for name in (n for n in declared if n.startswith(prefix)):
        if name not in tensors:
            done.faults.append(f"tensor {name!r} is missing")
        elif list(tensors[name].shape) != declared[name]["shape"]:
            done.faults.append(f"tensor {name!r} has shape {list(tensors[name].shape)}")


def note_uncompared(done: Comparison, names: set[str]) -> None:
    """Say which expected results this program does not know how to compare."""
    if names:
        done.notes.append(f"not compared: {', '.join(sorted(names))}")
