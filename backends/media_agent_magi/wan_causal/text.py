"""The UMT5 encoder of Wan 2.1 in its own file, beside its tokenizer. No torch here."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent_magi.loading.damage import check_all
from media_agent_magi.loading.headers import WeightFiles
from media_agent_magi.loading.tokenizer import TOKENIZER, check_tokenizer
from media_agent_magi.wan_causal.table import Umt5Sizes

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, slots=True)
class WanText:
    """An encoder in a file with the names of Wan 2.1.

    files: the header of that file. tokenizer: the folder of its tokenizer.
    """

    files: WeightFiles
    tokenizer: Path

    def sizes(self) -> Umt5Sizes:
        """Return its sizes.

        Raises:
            WeightsError: It is another model.
        """
        sizes = Umt5Sizes.read(self.files)
        self.files.check(sizes.table())
        return sizes

    def check(self) -> None:
        """Compare weights and tokenizer with what is wanted.

        Raises:
            WeightsError: Weights or the tokenizer are missing or cut off, or do not go together.
        """
        vocabulary = Umt5Sizes.read(self.files).vocabulary
        check_all(self.sizes, lambda: check_tokenizer(self.tokenizer, vocabulary))

    def facts(self) -> list[tuple[str, int]]:
        """Return what tells it from another one."""
        tokenizer = (self.tokenizer / TOKENIZER).stat().st_size
        return [(self.files.fingerprint, self.files.bytes), (TOKENIZER, tokenizer)]

    def build(self, dtype: "torch.dtype") -> "nn.Module":
        """Load it into the main memory; numbers that need no conversion stay in the mapped file.

        Raises:
            WeightsError: It does not fit, or cannot be read.
        """
        from media_agent_magi.wan_causal.umt5 import load_umt5

        return load_umt5(self.files, self.sizes(), dtype)
