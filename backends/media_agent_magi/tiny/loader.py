"""Loads the weights that ship with the package."""

import hashlib
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from media_agent_magi.computing import usual_dtype
from media_agent_magi.engine.autoencoders.conv_vae import ConvVAE
from media_agent_magi.generating.engine import Engine
from media_agent_magi.generating.family import WeightsError
from media_agent_magi.tiny.description import WEIGHTS, TinyDescription
from media_agent_magi.tiny.model import TinyModel
from media_agent_magi.tiny.models import TinyModels


def load_tiny(
    folder: Path = WEIGHTS, *, threads: int = 1, dtype: str | None = None, device: str = "cpu"
) -> Engine:
    """Load magi/tiny, about 0.2 s after torch is there.

    Args:
        folder: Where the weights are.
        threads: How many of the CPU make its videos.
        dtype: Numbers of the blocks and of the decoder; what suits the device if not given.
        device: Where they are.

    Raises:
        WeightsError: The weights are missing, damaged, or of another model.
    """
    dtype = dtype or (usual_dtype() if device == "cpu" else "bfloat16")
    return Engine(load_models(folder, dtype, device), threads=threads)


def load_models(folder: Path = WEIGHTS, dtype: str = "float32", device: str = "cpu") -> TinyModels:
    """Load the parts of magi/tiny, blocks and decoder in `dtype`.

    Raises:
        WeightsError: The weights are missing, damaged, or of another model.
    """
    description = TinyDescription.read(folder)
    path = folder / "tiny.safetensors"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != description.sha256:
        raise WeightsError(
            f"the weights {path} are damaged: SHA-256 is {digest[:12]}..., "
            f"not {description.sha256[:12]}..."
        )
    sizes = replace(description.model, params_dtype=dtype)
    model, vae = TinyModel(sizes, words=len(description.words)), ConvVAE(description.autoencoder)
    try:
        tensors = {name: value.float() for name, value in load(data).items()}
        for prefix, module in (("model.", model), ("autoencoder.", vae)):
            part = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            module.load_state_dict(part)
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(f"the weights {path} do not fit their description: {error}") from error
    vae.decoder.to(getattr(torch, dtype))
    return TinyModels(model.to(device), vae.to(device), description)
