"""The time zone of this machine, in words that Postgres knows."""

from datetime import datetime
from pathlib import Path

from media_agent.environment import value_of

_LINK = Path("/etc/localtime")
_ZONES = "zoneinfo/"


def local_zone() -> str | None:
    """Return the zone by its name, or by its rules as POSIX writes them; None: it has neither."""
    named = value_of("TZ")
    if named is None and _LINK.is_symlink():
        named = str(_LINK.resolve()).rpartition(_ZONES)[2]
    return named


def local_offset() -> str:
    """Return how far the zone is from UTC today."""
    offset = datetime.now().astimezone().utcoffset()
    minutes = 0 if offset is None else int(offset.total_seconds() // 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"<local>{'-' if minutes >= 0 else '+'}{hours:02}:{rest:02}"  # POSIX counts westward
