"""Where fal's platform API is, and what its refusals mean.

It is another host than the queue. A key goes there only if it goes to fal anyway, or to the address
that the user chose for the queue.
"""

from media_agent.errors import (
    BackendAuthenticationError,
    ConfigurationError,
    MediaAgentError,
)
from media_agent.storage.addresses import origin_of, parsed_address
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.http.urls import without_secrets

PLATFORM = "https://api.fal.ai/v1"


def choose_platform(base_url: str, chosen: str | None, *, queue: str) -> str:
    """Return the address of the platform API beside that of the queue, or the chosen one.

    Raises:
        ConfigurationError: the chosen one is on a host that neither fal nor base_url names.
    """
    base = _origin(base_url)
    if chosen is None:
        return PLATFORM if base == _origin(queue) else f"{base_url.rstrip('/')}/v1"
    if _origin(chosen) not in (_origin(PLATFORM), base):
        raise ConfigurationError(
            f"platform_url {without_secrets(chosen)!r} is neither at {PLATFORM} nor at base_url: "
            "the key is sent to no other host",
            hint="leave platform_url out, or set base_url to that host too",
        )
    return chosen


def error_of_list(reply: Reply) -> MediaAgentError | None:
    """Return what a refusal of the list means; None: what it means anywhere."""
    match reply.status:
        case 401 | 403:
            return BackendAuthenticationError(
                f"{reply.host} lists no requests for this key: {reply.words() or reply.status}",
                hint="the list needs a key of the account that sent them; fal.ai/dashboard/keys",
            )
        case 404:
            return ConfigurationError(
                f"{reply.host} has no list of requests: it answers 404",
                hint="if base_url is a proxy, set platform_url under options to where it has fal's "
                "platform API",
            )
    return None


def _origin(address: str) -> tuple[str, str, int] | None:
    url = parsed_address(address)
    return None if url is None else origin_of(url)
