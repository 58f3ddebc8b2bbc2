"""Keeps what a prompt says from being read as parameters: Seedance 1.x reads "--ratio 16:9" so."""

import re
from dataclasses import replace

from media_agent_hosted.base.calls import Submission

_DASHES = re.compile(r"[-\N{SMALL HYPHEN-MINUS}\N{FULLWIDTH HYPHEN-MINUS}]{2,}")
_DASH = "\N{EM DASH}"
_NOTE = (
    "the prompt was sent with a dash in place of each --, which Seedance can read as the start of "
    "a parameter such as --ratio"
)


def without_parameters(submission: Submission) -> Submission:
    """Return a submission whose prompts hold no parameters, with a note if any could be one."""
    request = submission.request
    prompt = None if request.prompt is None else _DASHES.sub(_DASH, request.prompt)
    shots = tuple(
        shot.model_copy(update={"prompt": _DASHES.sub(_DASH, shot.prompt)})
        for shot in request.shots
    )
    if (prompt, shots) == (request.prompt, request.shots):
        return submission
    changed = request.model_copy(update={"prompt": prompt, "shots": shots})
    return replace(submission, request=changed, notes=(*submission.notes, _NOTE))
