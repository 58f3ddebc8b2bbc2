"""What this machine has: its device, and the memory that is free there."""

import gc

import torch

from media_agent.backend.free_memory import free_main_memory
from media_agent.errors import BackendUnavailableError, ConfigurationError
from media_agent_diffusers.settings import DiffusersOptions


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


def free_memory(device: str) -> int:
    """Return the bytes that are free where a model computes, those held for reuse among them."""
    if device == "cpu":
        return free_main_memory()
    return torch.cuda.mem_get_info(device)[0] + (
        torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    )


def empty_caches() -> None:
    """Give memory that nothing uses any more back to the machine."""
    gc.collect()  # models refer to themselves
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
