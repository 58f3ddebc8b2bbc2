"""Keeps answers small: a language model reads every character of them, and is paid for it."""


def cut(text: str, most: int) -> str:
    """Return a text on one line, of at most so many characters."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 3]}..."
