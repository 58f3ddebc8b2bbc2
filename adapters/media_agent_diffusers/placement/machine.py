"""What this machine has: its device, and the memory that is free there."""

import gc
from collections.abc import Mapping
from pathlib import Path

import psutil
import torch

from media_agent.errors import BackendUnavailableError, ConfigurationError
from media_agent_diffusers.folder import ModelFolder
from media_agent_diffusers.settings import DiffusersOptions

_GROUP = Path("/sys/fs/cgroup")


def choose_device(options: DiffusersOptions) -> str:
    """Return the device that the settings ask for.

    Raises:
        BackendUnavailableError: there is no such device.
        ConfigurationError: the settings contradict each other.
    """
    has_gpu = torch.cuda.is_available()
    own = "cuda" if has_gpu else "cpu"
    device = own if options.device == "auto" else options.device
    if device != "cpu" and not has_gpu:
        raise BackendUnavailableError(
            f"diffusers cannot use {device}: torch finds no GPU", hint="set device = 'cpu'"
        )
    if device == "cpu" and options.offload not in ("auto", "none"):
        raise ConfigurationError(
            f"offload = {options.offload!r} needs a GPU, and diffusers works on the CPU",
            hint="leave offload out, or set device = 'cuda'",
        )
    return device


def choose_dtypes(folder: ModelFolder, options: DiffusersOptions, device: str) -> dict[str, str]:
    """Return the number format of each component, such as "bfloat16"; "default" is for the others.

    Raises:
        ConfigurationError: the device cannot compute with them.
    """
    chosen: str = options.dtype
    if chosen == "auto":
        chosen = "float32" if device == "cpu" else "bfloat16"
    if chosen == "float16" and device == "cpu":
        raise ConfigurationError(
            "dtype = 'float16' does not work on a CPU", hint="set dtype = 'float32'"
        )
    return {"default": chosen, **dict.fromkeys(folder.variant.in_float32, "float32")}


def free_memory(device: str) -> int:
    """Return the bytes that are free where a model computes, those held for reuse among them."""
    if device == "cpu":
        return free_main_memory()
    return torch.cuda.mem_get_info(device)[0] + (
        torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    )


def free_main_memory(group: Path = _GROUP) -> int:
    """Return what this process may still take; a container sees all memory and is granted less."""
    available = int(psutil.virtual_memory().available)
    try:
        most = int((group / "memory.max").read_text("ascii"))
        used = int((group / "memory.current").read_text("ascii"))
        cached = _read_statistics(group / "memory.stat").get("inactive_file", 0)
    except (OSError, ValueError):  # "max" is no number
        return available
    return max(0, min(available, most - used + cached))


def empty_caches() -> None:
    """Give memory that nothing uses any more back to the machine."""
    gc.collect()  # models refer to themselves
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _read_statistics(path: Path) -> Mapping[str, int]:
    lines = (line.split() for line in path.read_text("ascii").splitlines())
    return {name: int(value) for name, value in lines}
