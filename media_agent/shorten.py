"""Cuts texts to a length: for a line on a screen, and for language models, which pay for each."""


def shorten(text: str, length: int = 60) -> str:
    """Return a text of at most so many characters; dots say that it was longer."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def shorten_to_line(text: str, length: int) -> str:
    """Return a text on one line, of at most so many characters."""
    return shorten(" ".join(text.split()), length)
