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

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Compute in so many threads here, in the calling thread; then as before.

        Torch keeps the number per thread. It is asked for first, because a thread takes the
        number of whoever set one last when it first asks, and would take it after ours was set.
        """
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
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
        """Return the moment at which what was computed so far is there; None on a CPU: now."""
        if self.device != "cuda":
            return None
        moment = torch.cuda.Event()
        moment.record()
        return moment

    @contextmanager
    def beside(self, moment: torch.cuda.Event | None) -> Iterator[None]:
        """Decode beside what is computed after `moment`, on a GPU in a stream of its own.

        Where that is not wanted, it waits for its turn and uses the stream of all.
        What is computed here has to be on the CPU at the end, so that nothing is still in use.
        """
        if moment is None or not self.decodes_beside:
            with self.in_turn():
                yield
            return
        if not self._stream:
            self._stream.append(torch.cuda.Stream())
        with torch.cuda.stream(self._stream[0]):
            self._stream[0].wait_event(moment)
            yield

    def facts(self) -> Computation:
        """Return what a video that is made so depends on, besides its weights and its request."""
        return Computation(
            device=self.device,
            dtype=self.dtype,
            threads=self.threads,
            instructions=torch.backends.cpu.get_cpu_capability(),
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
