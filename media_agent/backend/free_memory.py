"""How much memory is free on this machine, read now and then, and asked for without any delay."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from media_agent.environment import value_of

SMI = ("nvidia-smi", "--query-gpu=index,memory.free,name", "--format=csv,noheader,nounits")
_SMI_SECONDS = 10.0
_DEVICES = Path("/dev")
_GROUP = Path("/sys/fs/cgroup")


class FreeMemory:
    """What was free when it was read last; before that nothing is known.

    Plans are made of data alone: whoever plans reads it first, since asking GPUs may take a second.
    """

    def __init__(
        self, *, smi: Sequence[str] = SMI, devices: Path = _DEVICES, group: Path = _GROUP
    ) -> None:
        """Read nothing yet.

        `smi` lists GPUs, `devices` has their nodes, `group` is where a container finds its limits.
        """
        self._smi = smi
        self._devices = devices
        self._group = group
        self._gpus: Mapping[int, int] | None = None
        self.main_bytes: int | None = None
        """Of the main memory, None: nobody read it."""

    def read(self) -> None:
        """Read what is free now."""
        self.main_bytes = free_main_memory(self._group)
        listed = list_gpus(self._smi)
        visible = value_of("CUDA_VISIBLE_DEVICES")
        is_told = listed or not has_nodes(self._devices)
        self._gpus = count_as_programs(listed, visible) if is_told else None

    @property
    def gpus(self) -> Mapping[int, int] | None:
        """Free bytes of each GPU, as programs count them; None: nobody can say."""
        return self._gpus


def free_main_memory(group: Path = _GROUP) -> int:
    """Return what this process may still take; a container sees all memory and is granted less."""
    import psutil  # which the command line does not wait for

    available = int(psutil.virtual_memory().available)
    try:
        most = int((group / "memory.max").read_text("ascii"))
        used = int((group / "memory.current").read_text("ascii"))
        cached = _read_statistics(group / "memory.stat").get("inactive_file", 0)
    except (OSError, ValueError):  # "max" is no number
        return available
    return max(0, min(available, most - used + cached))


class SupposedMemory(FreeMemory):
    """What would be free with one GPU of so many bytes; the main memory is the one that is here."""

    def __init__(self, device_bytes: int) -> None:
        super().__init__()
        self._gpus = {0: device_bytes}

    def read(self) -> None:
        """Read what is free of the main memory."""
        self.main_bytes = free_main_memory(self._group)


@dataclass(frozen=True, slots=True)
class Gpu:
    """An NVIDIA GPU, as the driver lists it."""

    index: int
    free_bytes: int
    name: str = ""


def list_gpus(
    smi: Sequence[str] = SMI, environment: Mapping[str, str] | None = None
) -> tuple[Gpu, ...]:
    """Return the GPUs that the driver lists; none where nothing does."""
    try:
        said = subprocess.run(
            smi,
            capture_output=True,
            text=True,
            timeout=_SMI_SECONDS,
            check=True,
            errors="replace",
            env=environment,
        ).stdout
        return tuple(_read_gpu(line) for line in said.splitlines() if line.strip())
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()


def has_nodes(devices: Path = _DEVICES) -> bool:
    """Return whether there is a GPU of which the driver's tool says nothing, of any maker."""
    return (devices / "kfd").exists() or any(devices.glob("nvidia[0-9]*"))


def _read_gpu(line: str) -> Gpu:
    index, free, *name = line.split(",", 2)
    return Gpu(int(index), int(float(free) * 2**20), "".join(name).strip())


def count_as_programs(gpus: Sequence[Gpu], visible: str | None) -> Mapping[int, int] | None:
    """Return the free bytes of the GPUs, by the numbers that a program has for them.

    None where that is unknown: GPUs of several kinds may be counted otherwise than the driver lists
    them, and `visible`, the variable CUDA_VISIBLE_DEVICES, may name them by other things.
    """
    if len({gpu.name for gpu in gpus}) > 1:
        return None
    free = {gpu.index: gpu.free_bytes for gpu in gpus}
    if visible is None:
        return free
    try:
        numbers = [int(each) for each in visible.split(",") if each.strip()]
    except ValueError:
        return None
    return dict(enumerate(free[number] for number in numbers if number in free))


def _read_statistics(path: Path) -> Mapping[str, int]:
    lines = (line.split() for line in path.read_text("ascii").splitlines())
    return {name: int(value) for name, value in lines}
