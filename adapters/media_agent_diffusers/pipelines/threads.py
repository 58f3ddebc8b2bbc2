"""Computing in a number of CPU threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def in_threads(number: int | None) -> Iterator[None]:
    """Compute in so many threads here; None: as torch does. Torch keeps the number per thread."""
    if number is None:
        yield
        return
    before = torch.get_num_threads()  # else the thread takes another's number when it first asks
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
