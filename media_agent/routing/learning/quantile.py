"""Medians, as plans and tables tell them."""

import math
from collections.abc import Iterable


def quantile(share: float, values: Iterable[float | None]) -> float | None:
    """Return the smallest value that so many of the known ones do not exceed; None: none is."""
    known = sorted(each for each in values if each is not None)
    return known[max(0, math.ceil(share * len(known)) - 1)] if known else None
