"""Keeps answers small: every character of them is read, and paid for, by a language model."""

_DIGITS = 4  # of an amount in USD, behind the point


def round_money(usd: float | None) -> float | None:
    """Return an amount without the noise of arithmetic; None is unknown."""
    return None if usd is None else round(usd, _DIGITS)


def cut(text: str, most: int) -> str:
    """Return a text on one line, of at most so many characters."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 3]}..."
