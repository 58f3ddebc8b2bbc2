"""Whether a request brings the images and videos that a model starts from.

That is said in the plan, and again where the request is submitted, in the same words.
"""

from collections import Counter
from collections.abc import Collection

from media_agent.errors import InvalidRequestError, Mismatch
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoRequest


def find_input_mismatches(
    request: VideoRequest, capabilities: Capabilities, *, follows: Collection[InputRole] = ()
) -> list[Mismatch]:
    """Return one mismatch for each role of which the request has too few or too many inputs.

    The capabilities are those for its mode. What `follows` is known only when it is submitted: the
    last frame of the segment before, for one.
    """
    model = f"{capabilities.backend}/{capabilities.model}"
    given = Counter(medium.role for medium in request.inputs)
    found = []
    for role in capabilities.needs:
        if given[role] == 0 and role not in follows:
            reason = f"{model} starts from one {role}; given: none"
            found.append(Mismatch("inputs", f"no {role}", reason))
    for role, most in capabilities.max_inputs.items():
        if given[role] > most:
            reason = f"{model} accepts at most {most}"
            found.append(Mismatch("inputs", f"{given[role]} of role {role}", reason))
    return found


def check_inputs(request: VideoRequest, capabilities: Capabilities) -> None:
    """Check that a request that is submitted brings what its model starts from.

    Raises:
        InvalidRequestError: it does not; all that is wrong is said.
    """
    facts = capabilities.for_mode(request.infer_mode())
    mismatches = find_input_mismatches(request, facts)
    if mismatches:
        raise InvalidRequestError("; ".join(map(str, mismatches)))
