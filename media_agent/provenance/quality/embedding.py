"""An embedding of frames that a plugin brings, better than the simple one that is built in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_SIDE = 2048  # pixels

Embed = Callable[["NDArray[Any]"], "NDArray[Any]"]
"""From a frame, uint8 H W 3 in red, green and blue, to a vector of floats, always of one length."""


@dataclass(frozen=True, slots=True)
class EmbeddingSpec:
    """A named embedding; the setting `embedding` chooses one.

    Its cosine says how alike the start and the end of a video are: 1 is the same.
    """

    name: str
    factory: Callable[[], Embed]
    """Makes it, once for each video; loads a model then, not before."""
    width: int = 224
    height: int = 224
    """Pixels that a frame is scaled to, whatever its shape was; at most 2048 each."""
