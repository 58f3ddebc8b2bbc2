"""From a prompt to the tokens of a T5 or UMT5, by the file of its tokenizer. No torch here."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

END, PADDING = 1, 0

Split = Callable[[str], list[int]]
"""Text -> token numbers, without an end."""


def tokenize(folder: Path, prompt: str) -> list[int]:
    """Return the tokens of a prompt, with the end token.

    Raises:
        ImportError: The library that reads its file is missing.
    """
    return [*_load(folder)(prompt), END]


@lru_cache(4)
def _load(folder: Path) -> Split:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    return lambda text: list(processor.encode(text))
