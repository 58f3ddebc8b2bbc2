"""How a MAGI-1 model is held for a request in the memory that is free. No torch here."""

from functools import cached_property
from pathlib import Path

from media_agent.backend.free_memory import FreeMemory
from media_agent.errors import BackendUnavailableError
from media_agent_magi.loading.memory import (
    Holding,
    MemoryPlan,
    ModelSizes,
    check_main,
    plan_memory,
)
from media_agent_magi.magi.config import MagiConfig
from media_agent_magi.magi.device import (
    choose_device,
    gpu_index,
    is_extended,
    name_device,
    size_of,
)
from media_agent_magi.magi.folder import MagiFolder
from media_agent_magi.magi.options import MagiOptions
from media_agent_magi.magi.sizes import HALF, T5_PARAMETERS, VAE_PARAMETERS, magi_sizes
from media_agent_schemas.base import format_memory
from media_agent_schemas.capabilities import MemoryUse
from media_agent_schemas.media import Size
from media_agent_schemas.request import VideoRequest

MULTIPLE, SMALLEST = 16, 64  # pixels, of a side


class MagiMemory:
    """Plans the memory of one model; without its folder by the sizes of the released parts."""

    def __init__(self, label: str, config: MagiConfig, folder: MagiFolder | None) -> None:
        self._label, self._config, self._folder = label, config, folder

    def plan(
        self, request: VideoRequest, options: MagiOptions, free: FreeMemory
    ) -> MemoryUse | None:
        """Return how it will be held for a request; None where nobody knows what is free.

        Raises:
            BackendUnavailableError: It does not fit, and what would.
        """
        device = choose_device(options, free, self._sizes(request, options).weights)
        if device is None:
            return None
        plan, free_bytes = self._plan_on(device, request, options, free)
        return MemoryUse(
            held=str(plan), where=device, needed_bytes=plan.device_bytes, free_bytes=free_bytes
        )

    def hold(
        self, request: VideoRequest, options: MagiOptions, free: FreeMemory
    ) -> tuple[str, Holding]:
        """Return where it computes and how it is held.

        Raises:
            BackendUnavailableError: It does not fit, and what would.
        """
        device = choose_device(options, free, self._sizes(request, options).weights)
        if device is None:  # torch may see a GPU of which the driver's tool says nothing
            return "cuda", Holding(text_on_device=False, window=self._config.sampler.window_size)
        return device, self._plan_on(device, request, options, free)[0].holding

    def _plan_on(
        self, device: str, request: VideoRequest, options: MagiOptions, free: FreeMemory
    ) -> tuple[MemoryPlan, int]:
        sizes, is_cpu = self._sizes(request, options), device == "cpu"
        free_bytes = (free.main_bytes if is_cpu else (free.gpus or {}).get(gpu_index(device))) or 0
        plan = plan_memory(sizes, free_bytes, moves=not is_cpu)
        size = size_of(request, self._config)
        asked = f"{self._label} at {size[1]}x{size[0]}"
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
                hint=self._find_smaller(request, options, free_bytes, moves=not is_cpu),
            )
        if not is_cpu and free.main_bytes is not None:
            check_main(plan, free.main_bytes, asked)
        return plan, free_bytes

    def _find_smaller(
        self, request: VideoRequest, options: MagiOptions, free_bytes: int, *, moves: bool
    ) -> str:
        """Return the largest size of the same shape that fits, in words."""
        rows, columns = size_of(request, self._config)
        for share in range(15, 3, -1):
            size = tuple(
                max(SMALLEST, n * share // 16 // MULTIPLE * MULTIPLE) for n in (rows, columns)
            )
            smaller = request.model_copy(update={"size": Size(width=size[1], height=size[0])})
            plan = plan_memory(self._sizes(smaller, options), free_bytes, moves=moves)
            if plan.device_bytes <= free_bytes:
                return f"{size[1]}x{size[0]} fits"
        least = format_memory(plan.device_bytes)
        return f"no size fits; {least} are the least, at {size[1]}x{size[0]}"

    def _sizes(self, request: VideoRequest, options: MagiOptions) -> ModelSizes:
        context = options.context_frames or self._config.geometry.chunk_frames
        text, vae = HALF * T5_PARAMETERS, HALF * VAE_PARAMETERS
        if self._folder is not None:
            text, vae = self._part_bytes
        return magi_sizes(
            self._config,
            size_of(request, self._config),
            prefix_chunks=(
                context // self._config.geometry.chunk_frames if is_extended(request) else 0
            ),
            has_fp8=self._folder is None and not self._config.quantised and self._config.distilled,
            text_bytes=text // (2 if options.text_precision == "int8" else 1),
            vae_bytes=vae,
            videos=request.n,
        )

    @cached_property
    def _part_bytes(self) -> tuple[int, int]:
        """What the text encoder, in bfloat16, and the autoencoder of the folder take."""
        assert self._folder is not None
        text = sum(f.stat().st_size for f in self._folder.text.iterdir() if _is_weights(f))
        return text // 2, self._folder.read_vae().bytes // 2  # released as float32


def _is_weights(file: Path) -> bool:
    return file.suffix in (".safetensors", ".bin")
