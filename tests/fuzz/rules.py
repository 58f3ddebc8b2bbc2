"""What must hold for any input: an error of ours or none, soon, in bounds, and no secret told."""

import contextlib
import io
import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from media_agent.errors import MediaAgentError

CANARY = "canary-Ab+/9f8e7d6c5b4a=="
SECONDS = 20.0  # of processor time, for one use of one input; waiting has limits of its own
MEMORY = 700 << 20  # bytes that one example may add to the process at its peak
_STATUS = Path("/proc/self/status")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = {
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
}
_inside: list[Path] = []  # where may be written; empty: nobody looks
_outside: list[str] = []


@contextlib.contextmanager
def ruled(folder: Path, secrets: Sequence[str] = (CANARY,)) -> Iterator[list[str]]:
    """Hold what is done in the context to the rules; yields a list for what else it tells.

    Raises:
        AssertionError: a rule is broken. Any error but one of ours continues.
    """
    told: list[str] = []
    before = _peak_memory(afresh=True)
    began = time.process_time()  # noqa: TID251  # held to a bound that no machine comes near
    with _logs(told), _watched(folder):
        try:
            yield told
        except MediaAgentError as error:
            told += [*_texts(error)]
    took = time.process_time() - began  # noqa: TID251
    assert took < SECONDS, f"it took {took:.1f} s"
    grown = _peak_memory() - before
    assert grown < MEMORY, f"it took {grown >> 20} MiB"
    assert _outside == [], f"it changed what is outside: {_outside[0]}"
    for secret in secrets:
        assert not any(secret in each for each in told), "a secret is told"


@contextlib.contextmanager
def named(use: str) -> Iterator[None]:
    """Say in an error what was done."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"in: {use}")
        raise


def _texts(error: MediaAgentError) -> Iterator[str]:
    assert error.message.strip(), "an error without words"
    yield error.message
    yield error.hint or ""
    yield from traceback.format_exception(error)


@contextlib.contextmanager
def _logs(told: list[str]) -> Iterator[None]:
    text = io.StringIO()
    handler, root = logging.StreamHandler(text), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        told.append(text.getvalue())


@contextlib.contextmanager
def _watched(folder: Path) -> Iterator[None]:
    _outside.clear()
    _inside[:] = [folder.resolve(), Path(tempfile.gettempdir()).resolve(), Path("/dev/null")]
    try:
        yield
    finally:
        _inside.clear()


def _look(event: str, arguments: tuple[object, ...]) -> None:
    """Note what is changed outside, and what is called that is not this machine."""
    if not _inside:
        return
    changed: tuple[object, ...] = ()
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
        changed = arguments[:1]
    elif event in _CHANGES:
        changed = arguments[: 2 if event in ("os.rename", "os.link") else 1]
        changed = arguments[1:2] if event == "os.symlink" else changed
    elif event == "socket.connect":
        address = arguments[1]
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1"):
            _outside.append(f"{event} {address}")
    elif (
        event in ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen")
        and arguments[0] != "uname"
    ):
        _outside.append(f"{event} {arguments[0]}")
    start = _folder_of(arguments[-1]) if event in _CHANGES else ""
    for each in changed:
        if isinstance(each, str | bytes | os.PathLike):
            whole = os.path.join(start, os.fsdecode(each))  # noqa: PTH118
            place = Path(os.path.abspath(whole))  # noqa: PTH100  # asks no disk
            is_of_hypothesis = ".hypothesis" in place.parts  # which keeps what it learnt
            if not is_of_hypothesis and not any(map(place.is_relative_to, _inside)):
                _outside.append(f"{event} {place}")


def _folder_of(descriptor: object) -> str:
    """Return the folder that a path begins in, where it is given as an open one."""
    is_open = isinstance(descriptor, int) and descriptor >= 0
    return str(Path(f"/proc/self/fd/{descriptor}").readlink()) if is_open else ""


sys.addaudithook(_look)


def _peak_memory(*, afresh: bool = False) -> int:
    """Return the most bytes that this process has held, since it was asked afresh; 0: unknown."""
    if not _STATUS.exists():
        return 0
    if afresh:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    found = _STATUS.read_text().partition("VmHWM:")[2].split()
    return int(found[0]) << 10
