"""From a prompt to the tokens of a T5 or UMT5, by the file of its tokenizer. No torch here."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from media_agent_magi.generating.family import WeightsError

TOKENIZER = "spiece.model"
END, PADDING = 1, 0
END_PIECE = "</s>"

SECTIONS = {2, 3}
"""What stands behind the pieces in their file: how they were trained, how text is prepared."""

PIECE = 1 << 3 | 2
"""What a piece begins with, as protocol buffers write it; its length follows."""


def tokenize(folder: Path, prompt: str) -> list[int]:
    """Return the tokens of a prompt, with the end token.

    Raises:
        ImportError: The library that reads its file is missing.
        WeightsError: The file is missing, cut off or damaged.
    """
    return [*_open(folder).encode(prompt), END]


def check_tokenizer(folder: Path, vocabulary: int) -> None:
    """Open a tokenizer and ask it for the end token; without its library, look at its file alone.

    Args:
        folder: Where its file is.
        vocabulary: How many tokens the encoder knows.

    Raises:
        WeightsError: It is missing, cut off, damaged, or of another encoder.
    """
    file = folder / TOKENIZER
    try:
        processor = _open(folder)
    except ImportError:
        _read(file)
        return
    count, end = processor.get_piece_size(), processor.piece_to_id(END_PIECE)
    if end != END or not processor.encode("a"):
        raise WeightsError(f"{file} is no tokenizer of T5: the end {END_PIECE} is {end}, not {END}")
    if count > vocabulary:
        raise WeightsError(
            f"{file} has {count} tokens, and the text encoder beside it knows {vocabulary}"
        )


def _open(folder: Path) -> Any:
    file = folder / TOKENIZER
    try:
        facts = file.stat()
    except OSError as error:
        raise WeightsError(f"in {folder} the tokenizer {TOKENIZER} is missing") from error
    return _load(file, facts.st_size, facts.st_mtime_ns)


@lru_cache(4)
def _load(file: Path, size: int, changed: int) -> Any:
    """Open a tokenizer; one that was fetched again is another one."""
    from sentencepiece import SentencePieceProcessor

    try:
        return SentencePieceProcessor(model_proto=_read(file))
    except RuntimeError as error:
        raise _damaged(file) from error


def _read(file: Path) -> bytes:
    """Return the content of a tokenizer that is there as a whole; SentencePiece reads a part too.

    Raises:
        WeightsError: It is not.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read {file}: {error.strerror}") from error
    found, place = set(), 0
    try:
        while place < len(content):
            while content[place] == PIECE and content[place + 1] < 128:  # nearly all of them
                place += 2 + content[place + 1]
            kind, place = _number(content, place)
            length, place = _number(content, place)
            found.add(kind >> 3)
            place += length
    except IndexError as error:
        raise _damaged(file) from error
    if place > len(content) or not found >= SECTIONS:
        raise _damaged(file)
    return content


def _number(content: bytes, place: int) -> tuple[int, int]:
    """Return a number as protocol buffers write it, and the place behind it."""
    value = shift = 0
    while True:
        byte = content[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def _damaged(file: Path) -> WeightsError:
    return WeightsError(f"{file} is cut off or damaged: it has {file.stat().st_size} bytes")
