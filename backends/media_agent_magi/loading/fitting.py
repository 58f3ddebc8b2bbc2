"""Whether a model fits into what is free, and what would. No torch here."""

from collections.abc import Callable
from dataclasses import dataclass

from media_agent.backend.free_memory import FreeMemory
from media_agent.errors import BackendUnavailableError
from media_agent_magi.loading.device import gpu_index, name_device
from media_agent_magi.loading.memory import MemoryPlan, ModelSizes, check_main, plan_memory
from media_agent_schemas.base import format_memory


@dataclass(frozen=True, slots=True)
class Fitting:
    """Plans how one model is held.

    label: its name in messages. sizes: what its parts take, by rows and columns of pixels.
    smallest, multiple: of a side, in pixels.
    """

    label: str
    sizes: Callable[[tuple[int, int]], ModelSizes]
    smallest: int
    multiple: int

    def plan(self, device: str, size: tuple[int, int], free: FreeMemory) -> tuple[MemoryPlan, int]:
        """Return how it is held for frames of a size, and what the device has free.

        Raises:
            BackendUnavailableError: It does not fit, and what would.
        """
        is_cpu = device == "cpu"
        free_bytes = (free.main_bytes if is_cpu else (free.gpus or {}).get(gpu_index(device))) or 0
        plan = plan_memory(self.sizes(size), free_bytes, moves=not is_cpu)
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
                hint=self._find_smaller(size, free_bytes, moves=not is_cpu),
            )
        if not is_cpu and free.main_bytes is not None:
            check_main(plan, free.main_bytes, asked)
        return plan, free_bytes

    def _find_smaller(self, size: tuple[int, int], free_bytes: int, *, moves: bool) -> str:
        """Return the largest size of the same shape that fits, in words."""
        for share in range(15, 3, -1):
            rows, columns = (
                max(self.smallest, n * share // 16 // self.multiple * self.multiple) for n in size
            )
            plan = plan_memory(self.sizes((rows, columns)), free_bytes, moves=moves)
            if plan.device_bytes <= free_bytes:
                return f"{columns}x{rows} fits"
        return (
            f"no size fits; {format_memory(plan.device_bytes)} are the least, at {columns}x{rows}"
        )
