"""What is said of work in a list that may be ours, and is not proved to be: nobody adopts it."""

from collections.abc import Sequence

from media_agent.errors import BackendResponseError

_SHOWN = 3  # names in a message


def unproven(host: str, names: Sequence[str], why: str) -> BackendResponseError:
    """Return the error that names the work which may be ours; `why` it stays open."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return BackendResponseError(
        f"the list of {host} {why}; it may be {', '.join(names[:_SHOWN])}{more}: look whether that "
        "is the video you asked for"
    )
