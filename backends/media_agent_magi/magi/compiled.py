"""Compiles a loaded transformer for the videos that it was loaded for."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from media_agent.environment import set_variable, value_of
from media_agent.errors import BackendUnavailableError
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

        from media_agent_magi.engine.blocks import compiling

        if self.kept is not None:
            _keep_compiled(self.kept)
        undo: Callable[[], None] = compiling.compile_elementwise(model, backend=backend)
        try:
            compiling.warm_up(model, self.shape, sampler, self.videos)
        except TorchDynamoException as error:
            undo()
            reason = " ".join(str(error).split("\n")[:2])[:MOST_TEXT]  # which compiler, and why
            if self.required:
                raise BackendUnavailableError(
                    f"torch {torch.__version__} cannot compile here: {reason}",
                    hint="install a C compiler, and Triton for a GPU, or give --option compile=off",
                ) from error
            LOGGER.warning("torch cannot compile here, and it is slower without: %s", reason)


def _keep_compiled(folder: Path) -> None:
    """Let inductor keep what it compiles in a folder, unless the environment names another.

    Torch itself puts its usual folder there when it is imported.
    """
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    if value_of(_CACHE) in (None, default_cache_dir()):
        set_variable(_CACHE, str(folder))
