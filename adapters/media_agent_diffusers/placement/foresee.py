"""How a model will be held, said while a video is planned: nothing is loaded, nothing is opened."""

from collections.abc import Callable, Mapping

from media_agent.backend.free_memory import FreeMemory
from media_agent.errors import ConfigurationError
from media_agent_diffusers.model_folder.folder import ModelFolder
from media_agent_diffusers.placement.plan import (
    Activations,
    MemoryPlan,
    check_fits,
    check_waits,
    list_steps,
    plan_memory,
)
from media_agent_diffusers.placement.sizes import ComponentSize, measure_model
from media_agent_diffusers.settings import DiffusersOptions

Sizes = Mapping[str, Mapping[str, ComponentSize]]
"""Of each component, on a "cpu" and on a "cuda" device, where it can be held at all."""
NO_GPU = "this machine, without a GPU,"


def measure(folder: ModelFolder, options: DiffusersOptions) -> Sizes:
    """Read how large the components of a model are, wherever it will be."""
    sizes = {}
    for device in ("cpu", "cuda"):
        try:
            sizes[device] = measure_model(folder, options, device)
        except ConfigurationError:  # said where it is used
            continue
    return sizes


def foresee(
    folder: ModelFolder,
    sizes: Sizes,
    activations: Activations,
    options: DiffusersOptions,
    free: FreeMemory,
    *,
    measure_free: Callable[[str], int] | None = None,
) -> tuple[MemoryPlan, str] | None:
    """Return how a model will be held, and where; None: nobody read what is free.

    `measure_free` says what a device has free, if that is known better.

    Raises:
        BackendUnavailableError: it cannot fit, and the settings do not insist on a way.
    """
    device = _choose_device(options, free)
    if device is None or device.partition(":")[0] not in sizes:
        return None
    is_cpu = device == "cpu"
    free_bytes = _find_free(device, free) if measure_free is None else measure_free(device)
    main_bytes = free.main_bytes if measure_free is None else measure_free("cpu")
    if free_bytes is None or main_bytes is None:
        return None
    known = sizes[device.partition(":")[0]]
    in_layers = not (options.fp8 or folder.weights.gguf)
    steps = list_steps(device, options.offload, options.vae_tiling, in_layers=in_layers)
    plan = plan_memory(known, free_bytes, activations, steps)
    if options.offload == "auto":
        check_fits(plan, str(folder.path), NO_GPU if is_cpu else device)
        if not is_cpu:
            check_waits(plan, str(folder.path), known, main_bytes)
    return plan, "this machine" if is_cpu else device


def _choose_device(options: DiffusersOptions, free: FreeMemory) -> str | None:
    """Return the device that will be used; None: nobody knows.

    Raises:
        BackendUnavailableError: it is a GPU that is not there.
    """
    if options.device == "cpu":
        return "cpu"
    if free.gpus is None:
        return None
    if options.device == "auto":
        return "cuda" if free.gpus else "cpu"
    if _find_index(options.device) not in free.gpus:
        return None  # torch may see what the driver's tool does not list
    return options.device


def _find_free(device: str, free: FreeMemory) -> int | None:
    if device == "cpu":
        return free.main_bytes
    return (free.gpus or {}).get(_find_index(device))


def _find_index(device: str) -> int:
    return int(device.partition(":")[2] or 0)
