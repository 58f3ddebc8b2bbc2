"""How much memory of a GPU Open-Sora needs, and how much there is."""

import subprocess
from collections.abc import Collection, Mapping, Sequence

from media_agent_opensora.models import MEASURED, Model

SMI = ("nvidia-smi", "--query-gpu=index,memory.free", "--format=csv,noheader,nounits")
KNOWN_TO_FAIL = "issues #808, #847 and #852: 24 GB GPUs run out of memory while loading"
_SMI_SECONDS = 10.0
_GB = 10**9 / 2**20  # of MiB


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
        index: megabytes / _GB
        for index, megabytes in _read_free(smi, environment).items()
        if not gpus or index in gpus
    }
    need = model.resolution.memory_gb
    if model.makes_image or len(gpus) > 1 or not free or max(free.values()) >= need:
        return None
    index, most = max(free.items(), key=lambda each: each[1])
    return (
        f"GPU {index} has {most:.1f} GB of free memory, and {need:g} GB were needed "
        f"({MEASURED}; {KNOWN_TO_FAIL})"
    )


def _read_free(smi: Sequence[str], environment: Mapping[str, str] | None) -> dict[int, float]:
    """Return the free memory of each GPU in MiB; none where nothing tells."""
    try:
        said = subprocess.run(
            smi,
            capture_output=True,
            text=True,
            timeout=_SMI_SECONDS,
            check=True,
            errors="replace",
            env=environment,
        )
        rows = [line.split(",") for line in said.stdout.splitlines() if line.strip()]
        return {int(index): float(free) for index, free in rows}
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
