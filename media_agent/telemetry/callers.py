"""Whose trace a call to our server belongs to, as its headers say it (W3C Trace Context)."""

import contextlib
from collections.abc import Iterable, Iterator

from media_agent.telemetry.instruments import instruments


@contextlib.contextmanager
def trace_of_caller(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[None]:
    """Be the context of the trace that the headers name; jobs that begin in it belong to it."""
    if instruments() is None:
        yield
        return
    from opentelemetry import context, propagate

    carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    token = context.attach(propagate.extract(carrier))
    try:
        yield
    finally:
        context.detach(token)
