"""Whether a model fits into what is free, and what would. No torch here."""

from collections.abc import Callable
from dataclasses import dataclass

from media_agent.backend.free_memory import FreeMemory
from media_agent.errors import BackendUnavailableError
from media_agent_magi.loading.device import choose_device, gpu_index, name_device
from media_agent_magi.loading.memory import (
    Holding,
    MemoryPlan,
    ModelSizes,
    check_main,
    plan_both,
    plan_memory,
)
from media_agent_schemas.base import format_memory
from media_agent_schemas.estimate import MemoryUse


@dataclass(frozen=True, slots=True)
class Fitting:
    """Plans how one model is held.

    label: its name in messages. sizes: what its parts take, by rows and columns of pixels, and by
    where it computes. smallest, multiple: of a side, in pixels. window: how much it sees where
    nobody knows what is free.
    """

    label: str
    sizes: Callable[[tuple[int, int], str], ModelSizes]
    smallest: int
    multiple: int
    window: int

    def use(self, named: str, size: tuple[int, int], free: FreeMemory) -> MemoryUse | None:
        """Return how it will be held on a named device; None where nobody knows what is free.

        Raises:
            BackendUnavailableError: It does not fit, and what would.
        """
        device = self._choose(named, size, free)
        if device is None:
            return None
        plan, free_bytes = self.plan(device, size, free)
        return MemoryUse(
            held=str(plan), where=device, needed_bytes=plan.device_bytes, free_bytes=free_bytes
        )

    def hold(self, named: str, size: tuple[int, int], free: FreeMemory) -> tuple[str, Holding]:
        """Return where it computes and how it is held; raises as `use` does."""
        device = self._choose(named, size, free)
        if device is None:  # torch may see a GPU of which the driver's tool says nothing
            return "cuda", Holding(text_on_device=False, window=self.window)
        return device, self.plan(device, size, free)[0].holding

    def _choose(self, named: str, size: tuple[int, int], free: FreeMemory) -> str | None:
        return choose_device(named, free, self.sizes(size, "cuda").weights)

    def plan(self, device: str, size: tuple[int, int], free: FreeMemory) -> tuple[MemoryPlan, int]:
        """Return how it is held for frames of a size, and what the device has free.

        Raises:
            BackendUnavailableError: It does not fit, and what would.
        """
        is_cpu = device == "cpu"
        free_bytes = (free.main_bytes if is_cpu else (free.gpus or {}).get(gpu_index(device))) or 0
        sizes = self.sizes(size, device)
        if is_cpu or free.main_bytes is None:
            plan = plan_memory(sizes, free_bytes, moves=not is_cpu)
        else:
            plan = plan_both(sizes, free_bytes, free.main_bytes)
        asked = f"{self.label} at {size[1]}x{size[0]}"
        if plan.device_bytes > free_bytes:
            least = f"{asked} needs {format_memory(plan.device_bytes)} on {name_device(device)}"
            if not is_cpu and not free.gpus:
                raise BackendUnavailableError(
                    f"{least} at least, with {plan}, and there is no GPU here",
                    hint="media-agent plan --device-memory 24GiB shows how a larger card holds it; "
                    "a CPU would take hours for a second of video, with --option device=cpu",
                )
            raise BackendUnavailableError(
                f"{least}, with {plan}, and {format_memory(free_bytes)} are free",
                hint=self._find_smaller(size, device, free_bytes),
            )
        if not is_cpu and free.main_bytes is not None:
            check_main(plan, free.main_bytes, asked)
        return plan, free_bytes

    def _find_smaller(self, size: tuple[int, int], device: str, free_bytes: int) -> str:
        """Return the largest size of the same shape that fits, in words."""
        for share in range(15, 3, -1):
            rows, columns = (
                max(self.smallest, n * share // 16 // self.multiple * self.multiple) for n in size
            )
            plan = plan_memory(
                self.sizes((rows, columns), device), free_bytes, moves=device != "cpu"
            )
            if plan.device_bytes <= free_bytes:
                return f"{columns}x{rows} fits"
        return (
            f"no size fits; {format_memory(plan.device_bytes)} are the least, at {columns}x{rows}"
        )
