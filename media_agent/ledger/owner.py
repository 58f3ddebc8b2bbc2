"""Which process works on a job, and whether that process still lives."""

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from json import dumps, loads
from pathlib import Path
from typing import Self

import psutil

BEAT_SECONDS = 2.0
STALE_SECONDS = 60.0  # without a heartbeat, an owner on another host counts as gone
SAFE_SECONDS = 45.0  # without one, an owner does nothing more that costs: well before others may


@dataclass(frozen=True, slots=True)
class Owner:
    """One ledger object in one process; `started` tells it from a later process of the same pid."""

    host: str
    pid: int
    started: str
    token: str

    @classmethod
    def current(cls) -> Self:
        """Return a new owner in this process."""
        pid = os.getpid()
        return cls(_host(), pid, process_started(pid) or "", secrets.token_hex(4))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote."""
        return cls(**loads(text))

    def __str__(self) -> str:
        return dumps(asdict(self))

    @property
    def place(self) -> str:
        """Return where it is, for people."""
        return f"process {self.pid} on {self.host.partition('/')[0]}"


def is_alive(owner: Owner, silent_seconds: float) -> bool:
    """Return whether an owner lives: on this host its process, elsewhere its heartbeat, tells."""
    if owner.host == _host():
        return process_started(owner.pid) == owner.started
    return silent_seconds < STALE_SECONDS


def has_lease(owner: Owner, silent_seconds: float) -> bool:
    """Return whether an owner lives, where many hosts share a database: its heartbeat tells.

    One on this host whose process is gone is known to be that at once.
    """
    return silent_seconds < STALE_SECONDS and not _has_ended_here(owner)


def _has_ended_here(owner: Owner) -> bool:
    boot = _boot()  # hosts may have the same name, but no two are booted as one
    is_here = owner.host == _host() and boot != "" and owner.started.startswith(f"{boot}:")
    return is_here and process_started(owner.pid) != owner.started


def steady_seconds() -> float:
    """Return the seconds of a clock that nobody sets, and that goes on while a machine sleeps."""
    clock: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # Linux alone has it
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def process_started(pid: int) -> str | None:
    """Return when a process started, in a form only good for comparing; None: it is gone."""
    try:
        facts = psutil.Process(pid).as_dict(("status", "create_time"))  # None: not ours to know
        if facts["status"] in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None  # ended, and nobody has asked how
        return _ticks(pid) if psutil.LINUX else str(facts["create_time"])
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


class Heartbeat:
    """Calls `beat` in a thread every few seconds, as long as anybody needs it."""

    def __init__(self, beat: Callable[[], None], *, seconds: float = BEAT_SECONDS) -> None:
        self._beat = beat
        self._seconds = seconds
        self._needed = 0
        self._changing = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def needed(self) -> Iterator[None]:
        """Beat at least while the context lasts."""
        with self._changing:
            self._needed += 1
            if self._thread is None:
                self._ended.clear()
                self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._changing:
                self._needed -= 1
                if self._needed == 0 and self._thread is not None:
                    self._ended.set()
                    self._thread.join()  # a late beat would open a closed ledger again
                    self._thread = None

    def _beat_on(self) -> None:
        while not self._ended.wait(self._seconds):
            self._beat()


def _ticks(pid: int) -> str:
    """Return boot and clock ticks since then: on Linux psutil's time moves when the clock is set.

    Whoever reads another time takes a living owner for gone, and its work for free.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return f"{_boot()}:{fields[19]}"  # field 22 of proc(5)


@cache
def _host() -> str:
    """Return the host, with the container where pids have a meaning of their own."""
    try:
        return f"{socket.gethostname()}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
