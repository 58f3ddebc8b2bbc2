"""How many CPU cores this process may use."""

import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(cpus: Path = _CPUS, quota: Path = _QUOTA) -> int:
    """Return the cores that this process may use, two threads of one core counted once.

    A container that may use half of a machine sees all of its cores, and threads that wait for
    each other on fewer cores take many times as long; so what it was granted counts.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(_count())
    cores = {_siblings(cpus, number) for number in allowed}
    return max(1, min(len(cores), _granted_cpus(quota) or len(cores)))


def _count() -> int:
    return os.cpu_count() or 1


def _siblings(cpus: Path, number: int) -> str:
    """Return what the CPUs of one core have in common."""
    try:
        return (cpus / f"cpu{number}/topology/thread_siblings_list").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return str(number)


def _granted_cpus(quota: Path) -> int | None:
    """Return how many CPUs the control group grants, rounded up; None: no limit is known."""
    try:
        most, period = map(int, quota.read_text("ascii").split())
    except (OSError, ValueError):  # "max" is no number
        return None
    return -(-most // period) if period > 0 else None
