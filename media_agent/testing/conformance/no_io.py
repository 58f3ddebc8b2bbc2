"""Fails code that opens a file or a connection where only pure data is allowed."""

import builtins
import contextlib
import io
import os
import socket
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest


@contextlib.contextmanager
def no_io(what: str) -> Iterator[None]:
    """Fail the test when a file is opened, a name looked up or a connection made meanwhile.

    Importing a module is allowed: it happens once, and reads nothing but code.
    """

    def refuse(place: str) -> Any:
        def refuse_io(*arguments: object, **named: object) -> NoReturn:
            pytest.fail(f"{what} does I/O: it called {place} with {arguments[:2]}")

        return refuse_io

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "open", refuse("open"))
        patch.setattr(io, "open", refuse("open"))
        patch.setattr(os, "open", refuse("os.open"))
        patch.setattr(socket, "getaddrinfo", refuse("socket.getaddrinfo"))
        patch.setattr(socket.socket, "connect", refuse("socket.connect"))
        yield
