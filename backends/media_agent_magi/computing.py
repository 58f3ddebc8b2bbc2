"""How many threads compute, and what else decides how a number is rounded."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from media_agent.backend.cores import usable_cores
from media_agent.errors import BackendUnavailableError, GenerationFailedError
from media_agent_magi.engine.blocks.kernels import multiplies_bfloat16
from media_agent_schemas.events import Computation


@dataclass(frozen=True, slots=True)
class Computing:
    """Computes in a number of threads that is ours to choose, never that of the machine.

    One is right for small tensors: more of them wait for each other, for long on a busy machine.
    And sums are rounded by how they are shared out, so that a seed makes the same video everywhere
    with the same number only. Two workers of one thread each wait for each other once in a step and
    share out nothing: their number changes no number of the video.
    """

    threads: int = 1
    workers: int = 1
    device: str = "cpu"
    dtype: str = "float32"
    decodes_beside: bool = True
    """Whether chunks are decoded while others are computed; else in turn, in the same memory."""
    _turn: Lock = field(default_factory=Lock, repr=False, compare=False)
    _helper: list[ThreadPoolExecutor] = field(default_factory=list, repr=False, compare=False)
    _stream: list[torch.cuda.Stream] = field(default_factory=list, repr=False, compare=False)

    @property
    def is_gpu(self) -> bool:
        """Whether it computes on a GPU."""
        return self.device.startswith("cuda")

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Compute in so many threads here, in the calling thread; then as before.

        Torch keeps the number per thread. It is asked for first, because a thread takes the
        number of whoever set one last when it first asks, and would take it after ours was set.
        """
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with memory_named():
                yield
        finally:
            torch.set_num_threads(before)

    def pair(
        self, first: Callable[[], Tensor], second: Callable[[], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Run both and return what they return: at the same time if there are two workers."""
        if self.workers == 1:
            return first(), second()
        if not self._helper:
            self._helper.append(ThreadPoolExecutor(1, thread_name_prefix="magi-pair"))
        running = self._helper[0].submit(self._apart, first)
        try:
            result = second()
        finally:
            running.exception()  # it is not left running
        return running.result(), result

    def close(self) -> None:
        """End the second worker; the next pair starts it again."""
        while self._helper:
            self._helper.pop().shutdown()

    def _apart(self, work: Callable[[], Tensor]) -> Tensor:
        with torch.inference_mode(), self():
            return work()

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Compute a chunk; where chunks are not decoded beside it, none is meanwhile."""
        with nullcontext() if self.decodes_beside else self._turn:
            yield

    def mark(self) -> torch.cuda.Event | None:
        """Return the moment at which what was computed so far is there; None: it is waited for.

        That is so on a CPU, and where all use one stream.
        """
        if not self.is_gpu or not self.decodes_beside:
            return None
        return torch.cuda.current_stream(torch.device(self.device)).record_event()

    @contextmanager
    def beside(self, moment: torch.cuda.Event | None) -> Iterator[None]:
        """Decode beside what is computed after `moment`, on a GPU in a stream of its own.

        Where that is not wanted, it waits for its turn and uses the stream of all.
        What is computed here has to be on the CPU at the end, so that nothing is still in use.
        """
        if moment is None:
            with self.in_turn():
                yield
            return
        if not self._stream:
            self._stream.append(torch.cuda.Stream(torch.device(self.device)))
        with torch.cuda.stream(self._stream[0]):
            self._stream[0].wait_event(moment)
            yield

    def facts(self) -> Computation:
        """Return what a video that is made so depends on, besides its weights and its request."""
        device = torch.device(self.device)
        return Computation(
            device=device.type,
            dtype=self.dtype,
            threads=self.threads,
            instructions=(
                torch.cuda.get_device_name(device)
                if self.is_gpu
                else torch.backends.cpu.get_cpu_capability()
            ),
            library=f"torch {torch.__version__}",
        )

    def differences(self, started_on: Mapping[str, Any] | None) -> tuple[str, ...]:
        """Say what differs from where a video was started; nothing where that was not recorded."""
        here = self.facts().model_dump(mode="json")  # as it was recorded
        return tuple(
            f"started with {name} {was}, resumed with {name} {here[name]}: from here on its frames "
            "may differ a little from those of a video made without a break"
            for name, was in (started_on or {}).items()
            if name in here and was != here[name]
        )


@contextmanager
def memory_named() -> Iterator[None]:
    """Say what can be done where a GPU has no memory left.

    Raises:
        GenerationFailedError: It has none.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise GenerationFailedError(
            f"the GPU has no memory left: {str(error).partition('. ')[0]}",
            hint="let other programs on it end, or take a smaller size or n, or text_precision "
            "int8; finished chunks are kept, and a resumed video goes on behind them",
        ) from error


def check_device(device: torch.device) -> None:
    """Refuse a GPU that torch does not see.

    Raises:
        BackendUnavailableError: It does not see it.
    """
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= seen:
        raise BackendUnavailableError(
            f"torch {torch.__version__} sees {seen} GPUs here, and {device} is none of them",
            hint="install a torch that is built for the GPU and its driver, as pytorch.org says; "
            "or give another device",
        )


def give_back() -> None:
    """Give back what torch keeps of a GPU, so that the driver counts it as free."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def text_threads(threads: int, device: torch.device) -> int:
    """Return how many threads encode text beside a device: all cores, if nothing else wants them.

    That is so where a GPU makes the video. There a prompt takes minutes in one thread.
    """
    return threads if device.type == "cpu" or threads > 1 else usable_cores()


def workers_here(threads: int) -> int:
    """Return how many workers of one thread this process may keep busy: two at most."""
    if threads > 1:
        return 1
    allowed = getattr(os, "sched_getaffinity", None)
    cores = (os.cpu_count() or 1) if allowed is None else len(allowed(0))
    return min(2, cores)


def usual_dtype() -> str:
    """Return the numbers that products are computed with here.

    bfloat16 where the CPU multiplies them, at twice the speed; elsewhere it would be slower.
    """
    return "bfloat16" if multiplies_bfloat16() else "float32"
