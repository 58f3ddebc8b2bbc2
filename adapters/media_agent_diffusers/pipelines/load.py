"""Loads a pipeline of diffusers from a folder, and brings it to where it is held."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import diffusers
import torch
import transformers
from huggingface_hub import constants
from safetensors import SafetensorError

from media_agent_diffusers.files import DENOISERS, unusable
from media_agent_diffusers.model_folder.folder import ModelFolder
from media_agent_diffusers.placement.plan import Step

_CANNOT_LOAD = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    ImportError,
    RuntimeError,
    SafetensorError,
)


def load_pipeline(folder: ModelFolder, dtypes: Mapping[str, str]) -> Any:
    """Return the pipeline of a folder, its components in these number formats.

    Raises:
        StorageError: the files do not fit each other.
    """
    _be_quiet()
    pipeline_class = getattr(diffusers, folder.pipeline)
    formats = {name: getattr(torch, each) for name, each in dtypes.items()}
    with _unfit_named(folder), _offline():
        pipe = pipeline_class.from_pretrained(
            str(folder.path),
            variant=folder.weights.variant,
            local_files_only=True,
            use_safetensors=True,
            dtype=formats,
            **{name: _load_gguf(folder, name, formats) for name in folder.weights.gguf},
        )
    pipe.set_progress_bar_config(disable=True)
    for name in folder.configs:  # weights that the files lack stay without a value, unannounced
        gguf = folder.weights.gguf.get(name)
        for parameter, value in getattr(pipe, name).named_parameters():
            if value.is_meta:
                source = name if gguf is None else gguf.path
                raise unusable(folder.path, f"{source} has no weights for {parameter}")
    return pipe


def _load_gguf(folder: ModelFolder, name: str, formats: Mapping[str, torch.dtype]) -> Any:
    """Return a component whose weights stay as they are in a GGUF file until a layer computes."""
    dtype = formats.get(name, formats["default"])
    file = folder.weights.gguf[name].path
    with _unfit_named(folder, f"{file} does not fit its {name}: "):
        component = getattr(diffusers, folder.index[name][1]).from_single_file(
            str(file),
            config=str(folder.path),
            subfolder=name,
            local_files_only=True,
            dtype=dtype,
            quantization_config=diffusers.GGUFQuantizationConfig(compute_dtype=dtype),
        )
        _unpack_others(component, dtype)
    return component


def _unpack_others(component: Any, dtype: torch.dtype) -> None:
    """Turn what is no weight of a linear layer into full numbers: nothing else computes with less.

    Files have such weights too, in BF16 for one, and diffusers keeps them as they are.
    """
    from diffusers.quantizers.gguf.utils import GGUFLinear, GGUFParameter, dequantize_gguf_tensor

    for module in component.modules():
        for name, value in module.named_parameters(recurse=False):
            if isinstance(value, GGUFParameter) and not isinstance(module, GGUFLinear):
                whole = dequantize_gguf_tensor(value).to(dtype)
                setattr(module, name, torch.nn.Parameter(whole, requires_grad=False))


def place(pipe: Any, step: Step, device: str) -> None:
    """Bring a pipeline to where it is held."""
    if step.tiles:
        for name in ("enable_tiling", "enable_slicing"):
            getattr(pipe.vae, name, lambda: None)()
    match step.offload:
        case "none":
            pipe.to(device)
        case "model":
            pipe.enable_model_cpu_offload(device=device)
        case "group":
            pipe.enable_group_offload(
                torch.device(device), offload_type="leaf_level", use_stream=True
            )
        case "sequential":
            pipe.enable_sequential_cpu_offload(device=device)


def hold_in_8_bits(pipe: Any, folder: ModelFolder) -> tuple[str, ...]:
    """Hold what can be held in 8 bits like this, and return the names of the components."""
    found = tuple(
        name
        for name in DENOISERS
        if getattr(pipe, name, None) is not None and name not in folder.weights.gguf
    )
    for name in found:
        component = getattr(pipe, name)
        component.enable_layerwise_casting(
            storage_dtype=torch.float8_e4m3fn, compute_dtype=component.dtype
        )
    return found


def _be_quiet() -> None:
    """Keep the libraries off stderr: what a person should know comes as events and errors."""
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
        library.set_verbosity_error()
    warnings.filterwarnings("ignore", module=r"(diffusers|transformers|torch)\.")


@contextmanager
def _unfit_named(folder: ModelFolder, what: str = "") -> Iterator[None]:
    """Turn what breaks while files are loaded into an error that names the folder."""
    try:
        yield
    except _CANNOT_LOAD as error:
        said = " ".join(str(error).split())[:300]
        raise unusable(folder.path, f"{what}{type(error).__name__}: {said}") from error


@contextmanager
def _offline() -> Iterator[None]:
    """Make every way to the hub fail; all that is needed is in the folder."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
