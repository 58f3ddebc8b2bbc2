"""Models of the same backend that could do what the one that was named cannot."""

from media_agent.client import VideoClient
from media_agent.errors import MediaAgentError, UnsupportedRequestError
from media_agent_schemas.plan import Policy
from media_agent_schemas.request import Routing, VideoRequest

_NAMED = 2


async def name_alternatives(
    client: VideoClient,
    request: VideoRequest,
    error: UnsupportedRequestError,
    policy: Policy | None,
) -> UnsupportedRequestError:
    """Return an error of a mode that a model does not have, with those that do as the way out.

    Any other error, and one of a backend that has no such model, is returned as it is.
    """
    if all(mismatch.field != "mode" for mismatch in error.mismatches):
        return error
    backend = (request.model or client.settings.default_backend).partition("/")[0]
    others = request.model_copy(update={"model": None, "routing": Routing(allow=(backend,))})
    try:
        report = await client.plan_all(others, policy=policy, best=_NAMED)
    except MediaAgentError:
        return error
    able = [each.name for each in report.ranked if each.plan is not None][:_NAMED]
    if not able:
        return error
    better = UnsupportedRequestError(error.message, hint=f"--model {' or '.join(able)} can")
    better.mismatches = error.mismatches
    return better
