"""Work in a provider's list: whether it may be the one whose reply was lost, or is proved to be.

The clocks of two machines are not compared: a provider's times are compared with its own Date, with
some seconds to spare. Whatever may be ours and is not proved to be is only named.
"""

from collections.abc import Sequence
from email.utils import parsedate_to_datetime

from media_agent.errors import BackendResponseError
from media_agent_hosted.http.replies import Reply

TO_SPARE = 300.0
"""Seconds by which the clocks of a provider may differ at most."""
_BEHIND = 10.0  # seconds by which they do: its work may get its times from another machine
_SHOWN = 3  # names of work in a message


def since_by_its_clock(reply: Reply, ago: float) -> float | None:
    """Return when that was by a provider's own clock; None: it does not say its time."""
    try:
        return parsedate_to_datetime(reply.headers.get("date", "")).timestamp() - ago
    except (ValueError, TypeError, OverflowError):
        return None


def is_before(made: float | None, since: float | None, to_spare: float = TO_SPARE) -> bool:
    """Whether work is certainly older than that."""
    return made is not None and since is not None and made < since - to_spare


def is_after(made: float | None, since: float | None) -> bool:
    """Whether work was not made before, as far as the clocks of one provider tell."""
    return made is not None and since is not None and made >= since - _BEHIND


def is_same_text(said: str, asked: str) -> bool:
    """Whether two texts are the same, however they are spaced."""
    return said == asked or said.split() == asked.split()


def choose(host: str, ours: Sequence[str], candidates: Sequence[str], why: str) -> str | None:
    """Return the name of the only work that is proved to be ours; None: nothing may be it.

    Raises:
        BackendResponseError: nobody can be sure: several are, or only `candidates` may be, since
            the list does not say enough; `why` tells that.
    """
    if len(ours) == 1:
        return ours[0]
    if ours:
        raise unproven(host, ours, "has several of them")
    if candidates:
        raise unproven(host, candidates, why)
    return None


def unproven(host: str, names: Sequence[str], why: str) -> BackendResponseError:
    """Return the error that names listed work which may be ours, and `why` it is not proved."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return BackendResponseError(
        f"the list of {host} {why}; it may be {', '.join(names[:_SHOWN])}{more}: look whether that "
        "is the video you asked for"
    )
