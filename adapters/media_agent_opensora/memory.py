"""How much memory of a GPU Open-Sora needs, and how much there is."""

from collections.abc import Collection, Mapping, Sequence

from media_agent.backend.free_memory import SMI, list_gpus
from media_agent_opensora.models import MEASURED, Model

KNOWN_TO_FAIL = "issues #808, #847 and #852: 24 GB GPUs run out of memory while loading"


def describe_need(model: Model, gpus: int) -> str:
    """Return how much memory a run needs, in words, with the source."""
    if gpus > 1:
        return f"an unknown amount of memory on each of {gpus} GPUs"
    if model.makes_image:
        return "an unknown amount of memory on one GPU, with FLUX.1-dev"
    return f"{model.resolution.memory_gb:g} GB of memory on one GPU ({MEASURED})"


def find_shortage(
    model: Model,
    gpus: Collection[int],
    *,
    smi: Sequence[str] = SMI,
    environment: Mapping[str, str] | None = None,
) -> str | None:
    """Return why the memory that is free may not be enough, in words; None: nothing says so.

    Nobody measured several GPUs, nor a run in which FLUX.1-dev makes the first frame.

    Args:
        model: What is to be run.
        gpus: On which GPUs; none: the best one there is.
        smi: What lists the GPUs of this machine, each with its free memory.
        environment: Its variables.
    """
    free = {
        gpu.index: gpu.free_bytes / 10**9
        for gpu in list_gpus(smi, environment)
        if not gpus or gpu.index in gpus
    }
    need = model.resolution.memory_gb
    if model.makes_image or len(gpus) > 1 or not free or max(free.values()) >= need:
        return None
    index, most = max(free.items(), key=lambda each: each[1])
    return (
        f"GPU {index} has {most:.1f} GB of free memory, and {need:g} GB were needed "
        f"({MEASURED}; {KNOWN_TO_FAIL})"
    )
