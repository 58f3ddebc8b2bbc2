"""One worker process per GPU, started and ended together; one that dies is started again."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType

from media_agent.environment import variables

_RESTART_SECONDS = 5.0  # between two starts of a worker that dies at once
_LOOK_SECONDS = 0.2
_MAIN = "from media_agent.cli import main; raise SystemExit(main())"


def run_per_gpu(gpus: Sequence[str], words: Sequence[str], say: Callable[[str], None]) -> int:
    """Run `media-agent worker` with these words for each GPU until SIGTERM; return the exit code.

    Each process sees its own GPU alone, is its own owner of jobs, and drains by itself.
    """
    workers = [_Worker(gpu, words) for gpu in gpus]
    is_ending = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal is_ending
        is_ending = True

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while not is_ending:
            for worker in workers:
                if worker.start_if_gone():
                    say(f"GPU {worker.gpu}: process {worker.pid}")
            time.sleep(_LOOK_SECONDS)
    finally:
        for worker in workers:
            worker.end()
        codes = [worker.wait() for worker in workers]
        for number, handler in before.items():
            signal.signal(number, handler)
    return max(codes)


class _Worker:
    def __init__(self, gpu: str, words: Sequence[str]) -> None:
        self.gpu = gpu
        self._command = [sys.executable, "-c", _MAIN, "worker", *words]
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    @property
    def pid(self) -> int | None:
        """The process that works now."""
        return None if self._process is None else self._process.pid

    def start_if_gone(self) -> bool:
        """Start the process unless it runs, or was started just now; return whether it was."""
        if self._process is not None and self._process.poll() is None:
            return False
        if time.monotonic() - self._started < _RESTART_SECONDS and self._process is not None:
            return False
        self._started = time.monotonic()
        environment = {**variables(), "CUDA_VISIBLE_DEVICES": self.gpu}
        self._process = subprocess.Popen(self._command, env=environment, start_new_session=True)
        return True

    def end(self) -> None:
        """Ask the process to end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self) -> int:
        """Return the exit code once it has ended; 128 + N for a signal."""
        if self._process is None:
            return 0
        code = self._process.wait()
        return code if code >= 0 else 128 - code
