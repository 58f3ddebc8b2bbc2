"""What torch and diffusers raise, as errors of ours; none of them keeps anything in memory."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError

from media_agent.errors import GenerationFailedError
from media_agent_diffusers.placement.plan import OutOfMemoryError

logger = logging.getLogger(__name__)

_BREAKS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError)
_SAYS_NO_MEMORY = (RuntimeError, OSError, SafetensorError)
_NO_MEMORY = (
    "not enough memory",
    "can't allocate memory",
    "Cannot allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn every way in which memory runs out into one error."""
    reason = None
    try:
        yield
    except Exception as error:
        if not _says_no_memory(error):
            raise
        reason = str(error) or "out of memory"
    if reason is not None:
        raise OutOfMemoryError(reason)


@contextmanager
def breaks_named(pipe: Any) -> Iterator[None]:
    """Turn what breaks inside a pipeline into one error."""
    said = None
    try:
        yield
    except _BREAKS as error:
        if _says_no_memory(error):
            raise
        logger.debug("%s broke", type(pipe).__name__, exc_info=error)
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if said is not None:
        raise GenerationFailedError(
            f"{type(pipe).__name__} stopped at {said}",
            hint="do the components and configurations in the folder of the model fit together? "
            "download it again if it was changed",
        )


def _says_no_memory(error: BaseException | None) -> bool:
    """Return whether memory ran out, here or in what an error came from."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            return True
        if isinstance(error, _SAYS_NO_MEMORY) and any(w in str(error) for w in _NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False
