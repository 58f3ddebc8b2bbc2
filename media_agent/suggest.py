"""Finds the name that was probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest_name(name: str, names: Iterable[str]) -> str | None:
    """Return the most similar of the names, None when nothing is similar."""
    by_lower = {known.lower(): known for known in names}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the way out of a wrong name: the nearest one, and all of them."""
    known = sorted(names)
    nearest = nearest_name(name, known)
    listed = f"valid: {', '.join(known)}" if known else "none exist"
    return listed if nearest is None else f"did you mean {nearest}? {listed}"
