"""Inputs that callers name by their addresses."""

from pathlib import Path

from media_agent.errors import InvalidRequestError


async def fetch_input(url: str, folder: Path) -> Path:
    """Bring the file at an address into a folder; return where it is.

    Raises:
        InvalidRequestError: it cannot be had.
    """
    raise InvalidRequestError("an input by URL cannot be fetched", hint="send the file itself")
