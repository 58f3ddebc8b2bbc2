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


def find_full_name(model: str, names: Iterable[str]) -> str | None:
    """Return "backend/model" for a model that was named without its backend; None: no idea.

    `names` are full names. A backend also takes models that it does not list, so one whose models
    are of the same vendor or family counts.
    """
    known = [(name.partition("/")[0], name.partition("/")[2]) for name in names]
    vendor = model.partition("/")[0]
    for backend, listed in known:
        if listed == model or listed.endswith(f"/{model}"):
            return f"{backend}/{listed}"
    if "/" not in model:
        return None
    for is_related in (str.startswith, _has_part):
        for backend, listed in known:
            if is_related(listed, f"{vendor}/"):
                return f"{backend}/{model}"
    return None


def _has_part(name: str, part: str) -> bool:
    return f"/{part}" in name
