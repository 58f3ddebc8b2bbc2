"""Compiles a loaded transformer for the videos that it was loaded for."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import SubprocessError

import torch

from media_agent.backend.local import keep_cache_in
from media_agent.errors import BackendUnavailableError
from media_agent_magi.engine.blocks.kernels import KernelError
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import VideoDiT

LOGGER = logging.getLogger(__name__)
MOST_TEXT = 300
_CACHE = "TORCHINDUCTOR_CACHE_DIR"


@dataclass(frozen=True, slots=True)
class Compiling:
    """What to compile for, and where it is kept.

    shape: channels, frames, rows and columns of the latents of a chunk. videos: side by side.
    kept: the folder for what was compiled. required: failing is an error; else it goes on without.
    """

    shape: tuple[int, int, int, int]
    videos: int = 1
    kept: Path | None = None
    required: bool = False

    def apply(self, model: VideoDiT, sampler: SamplerConfig, *, backend: str = "inductor") -> None:
        """Compile the elementwise work of a model, and warm it up.

        Raises:
            BackendUnavailableError: It is required, and does not work here.
        """
        from torch._dynamo.exc import TorchDynamoException
        from torch._inductor.runtime.cache_dir_utils import default_cache_dir

        from media_agent_magi.engine.blocks import compiling

        if self.kept is not None:  # torch itself names its usual folder when it is imported
            keep_cache_in(self.kept, _CACHE, usual=default_cache_dir())
        undo: Callable[[], None] = compiling.compile_elementwise(model, backend=backend)
        try:
            compiling.warm_up(model, self.shape, sampler, self.videos)
        except (TorchDynamoException, RuntimeError, OSError, SubprocessError) as error:
            # what Triton builds first, its driver, fails with errors that torch does not name
            if isinstance(error, torch.OutOfMemoryError | KernelError):
                raise
            undo()
            reason = " ".join(str(error).split("\n")[:2])[:MOST_TEXT]  # which compiler, and why
            if self.required:
                raise BackendUnavailableError(
                    f"torch {torch.__version__} cannot compile here: {reason}",
                    hint="install a C compiler, and Triton for a GPU, or give --option compile=off",
                ) from error
            LOGGER.warning("torch cannot compile here, and it is slower without: %s", reason)
