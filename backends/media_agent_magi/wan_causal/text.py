"""The UMT5 encoder of Wan 2.1 in its own file, beside its tokenizer. No torch here."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.headers import WeightFiles
from media_agent_magi.loading.text_files import TOKENIZER
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

    def check(self) -> Umt5Sizes:
        """Return its sizes.

        Raises:
            WeightsError: Weights or the tokenizer are missing, or do not go together.
        """
        sizes = Umt5Sizes.read(self.files)
        self.files.check(sizes.table())
        if not (self.tokenizer / TOKENIZER).is_file():
            raise WeightsError(f"in {self.tokenizer} the tokenizer {TOKENIZER} is missing")
        return sizes

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

        return load_umt5(self.files, self.check(), dtype)
