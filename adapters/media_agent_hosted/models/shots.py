"""Several shots in one request, for models that take a prompt and whole seconds for each."""

from itertools import pairwise

from media_agent.errors import UnsupportedRequestError
from media_agent_schemas.request import Shot


def whole_seconds(shots: tuple[Shot, ...], total: int, provider: str) -> list[int]:
    """Return the lengths of shots in whole seconds, each cut where it is nearest to its own.

    Raises:
        UnsupportedRequestError: they do not fit, at a second each.
    """
    if total < len(shots):
        raise UnsupportedRequestError(
            f"{len(shots)} shots do not fit in {total} s: {provider} makes each a second at least",
            hint="ask for a longer video, or for fewer shots",
        )
    ends, at = [0], 0.0
    for number, shot in enumerate(shots, start=1):
        at += shot.duration or 0.0
        left = len(shots) - number
        ends.append(min(max(round(at), ends[-1] + 1), total - left) if left else total)
    return [after - before for before, after in pairwise(ends)]
