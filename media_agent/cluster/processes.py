"""One worker process per GPU, started and ended together; one that crashes is started again.

One that ends by itself, because of what it was told or again and again, ends them all: whoever
started them hears why, instead of a machine that only seems to work.
"""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import FrameType

from media_agent.backend.free_memory import has_nodes, list_gpus
from media_agent.environment import variables
from media_agent.error_codes import OUTCOMES
from media_agent.errors import InvalidRequestError

_PAUSES = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0)  # seconds before each start in a row
_LIVED_SECONDS = 60.0  # as long as this it worked, and what follows is no start in a row
_MOST_ENDS = 5  # in a row, by itself
_LOOK_SECONDS = 0.2
_LAST_LINES = 20
_READING_SECONDS = 5.0  # that what a process said last may take; its own children may say more
_MAIN = "from media_agent.cli import main; raise SystemExit(main())"
_HOPELESS = {  # exit codes of what another start does not change
    OUTCOMES[code].exit_code
    for code in ("request", "unsupported_request", "backend_authentication", "configuration")
} | {OUTCOMES["plugin"].exit_code}


def check_gpus(gpus: Sequence[str]) -> None:
    """Check that the GPUs are there: a process that sees none would compute on the CPU.

    Only numbers are checked, and nothing where a GPU is that NVIDIA's driver does not list.

    Raises:
        InvalidRequestError: one is not; which ones are.
    """
    there = {str(gpu.index): gpu.name for gpu in list_gpus()}
    missing = [gpu for gpu in gpus if gpu not in there and (not there or gpu.isdecimal())]
    if not missing or (not there and has_nodes()):
        return
    found = ", ".join(f"{index} ({name})" for index, name in there.items())
    raise InvalidRequestError(
        f"--gpus {','.join(missing)}: this machine has no such GPU; "
        + (f"nvidia-smi lists {found}" if found else "nvidia-smi lists none, and /dev has none"),
        hint="leave out --gpus for one process that uses what is here",
    )


def run_per_gpu(gpus: Sequence[str], words: Sequence[str], say: Callable[[str], None]) -> int:
    """Run `media-agent worker` with these words for each GPU until SIGTERM; return the exit code.

    Each process sees its own GPU alone, is its own owner of jobs, and drains by itself. One that
    cannot start ends the others, and its exit code is returned.
    """
    workers = [_Worker(gpu, words, say) for gpu in gpus]
    is_ending = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal is_ending
        is_ending = True

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    failed: _Worker | None = None
    try:
        while not is_ending and failed is None:
            for worker in workers:
                worker.tend()
            failed = next((worker for worker in workers if worker.is_hopeless), None)
            time.sleep(_LOOK_SECONDS)
        if failed is not None:
            say(f"GPU {failed.gpu}: {failed.describe_end()}; the others are ended")
    finally:
        for worker in workers:
            worker.end()
        codes = [worker.wait() for worker in workers]
        for number, handler in before.items():
            signal.signal(number, handler)
    return max(codes) if failed is None else failed.wait() or 1


class _Worker:
    def __init__(self, gpu: str, words: Sequence[str], say: Callable[[str], None]) -> None:
        self.gpu = gpu
        self.is_hopeless = False
        """Whether another start would end as the last one did."""
        self._say = say
        self._command = [sys.executable, "-c", _MAIN, "worker", *words]
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._last_words: deque[str] = deque(maxlen=_LAST_LINES)
        self._started = 0.0
        self._due: float | None = 0.0
        """When it is to be started; None: it runs."""
        self._starts_in_a_row = 0
        self._ends_in_a_row = 0

    def tend(self) -> None:
        """Start the process when it is time to; notice that it has ended."""
        if self._process is not None and self._due is None:
            code = self._process.poll()
            if code is None:
                return
            self._plan_start(code)
        if not self.is_hopeless and self._due is not None and time.monotonic() >= self._due:
            self._start()

    def describe_end(self) -> str:
        """Say how the process ended, with its last words."""
        code = self.wait()
        said = next((line for line in reversed(self._last_words) if line), "it said nothing")
        count = f", {self._ends_in_a_row} times in a row" if self._ends_in_a_row > 1 else ""
        return f"its process ended with exit code {code}{count}: {said}"

    def end(self) -> None:
        """Ask the process to end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self) -> int:
        """Return the exit code once it has ended; 128 + N for a signal; 0: it has yet to start.

        What it said last has been passed on by then.
        """
        if self._process is None or self._due is not None:
            return 0
        code = self._process.wait()
        if self._reader is not None:
            self._reader.join(timeout=_READING_SECONDS)
        return code if code >= 0 else 128 - code

    def _start(self) -> None:
        self._started, self._due = time.monotonic(), None
        environment = {**variables(), "CUDA_VISIBLE_DEVICES": self.gpu}
        self._process = subprocess.Popen(
            self._command, env=environment, start_new_session=True, stderr=subprocess.PIPE
        )
        self._reader = threading.Thread(target=self._pass_on, args=(self._process,), daemon=True)
        self._reader.start()
        self._say(f"GPU {self.gpu}: process {self._process.pid}")

    def _plan_start(self, code: int) -> None:
        """Let it be started again after a pause, unless that is in vain."""
        now = time.monotonic()
        if now - self._started >= _LIVED_SECONDS:
            self._starts_in_a_row = self._ends_in_a_row = 0
        self._ends_in_a_row = self._ends_in_a_row + 1 if code >= 0 else 0
        self.is_hopeless = code in _HOPELESS or self._ends_in_a_row >= _MOST_ENDS
        if not self.is_hopeless:
            pause = _PAUSES[min(self._starts_in_a_row, len(_PAUSES) - 1)]
            self._starts_in_a_row += 1
            self._due = now + pause
            how = f"exit code {code}" if code >= 0 else f"signal {-code}"
            self._say(f"GPU {self.gpu}: ended by {how}; started again in {pause:g} s")

    def _pass_on(self, process: "subprocess.Popen[bytes]") -> None:
        """Pass on what the process says, and remember the end of it."""
        assert process.stderr is not None
        with process.stderr as stream:
            for line in stream:
                text = line.decode(errors="replace").rstrip()
                self._last_words.append(text.strip())
                with contextlib.suppress(OSError, ValueError):  # nobody listens any more
                    sys.stderr.write(f"{text}\n")
