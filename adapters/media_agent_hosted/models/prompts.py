"""Keeps what a prompt says from being read as parameters: Seedance 1.x reads "--ratio 16:9" so."""

import re

from media_agent_schemas.request import VideoRequest

NOTE = (
    "the prompt was sent with a dash in place of each --, which Seedance can read as the start of "
    "a parameter such as --ratio"
)
"""What the record says of a prompt that was changed."""

_DASHES = re.compile(r"[-\N{SMALL HYPHEN-MINUS}\N{FULLWIDTH HYPHEN-MINUS}]{2,}")
_DASH = "\N{EM DASH}"


def without_parameters(request: VideoRequest) -> VideoRequest:
    """Return a request whose prompts hold no parameters; the same one, if they hold none."""
    prompt = None if request.prompt is None else _DASHES.sub(_DASH, request.prompt)
    shots = tuple(
        shot.model_copy(update={"prompt": _DASHES.sub(_DASH, shot.prompt)})
        for shot in request.shots
    )
    if (prompt, shots) == (request.prompt, request.shots):
        return request
    return request.model_copy(update={"prompt": prompt, "shots": shots})
