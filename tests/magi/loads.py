"""What another thread does to all threads while it loads a model."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def another_loads() -> Iterator[None]:
    """Change torch's default dtype, as transformers and diffusers do while they load."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
