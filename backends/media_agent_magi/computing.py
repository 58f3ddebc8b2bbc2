"""How many threads compute, and what else decides how a number is rounded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from media_agent_schemas.events import Computation


@dataclass(frozen=True, slots=True)
class Computing:
    """Computes in a number of threads that is ours to choose, never that of the machine.

    One is right for small tensors: more of them wait for each other, for long on a busy machine.
    And sums are rounded by how they are shared out, so that a seed makes the same video everywhere
    with the same number only.
    """

    threads: int = 1

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

    def facts(self) -> Computation:
        """Return what a video that is made so depends on, besides its weights and its request."""
        return Computation(
            device="cpu",
            dtype="float32",
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
