"""The time zone of this machine, by a name that Postgres knows."""

from datetime import datetime
from pathlib import Path

from media_agent.environment import value_of

_LINK = Path("/etc/localtime")
_ZONES = "zoneinfo/"


def local_zone() -> str:
    """Return the name of the zone, or how far it is from UTC today where it has none here."""
    named = value_of("TZ")
    if named is not None and "/" in named and not named.startswith((":", "/")):
        return named
    target = str(_LINK.resolve()) if named is None and _LINK.is_symlink() else ""
    _, is_zone, zone = target.partition(_ZONES)
    if is_zone:
        return zone
    offset = datetime.now().astimezone().utcoffset()
    minutes = 0 if offset is None else int(offset.total_seconds() // 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"<local>{'-' if minutes >= 0 else '+'}{hours:02}:{rest:02}"  # POSIX counts westward
