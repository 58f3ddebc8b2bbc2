"""What a video of a server costs: as the settings say it, else nothing on one's own hardware."""

from media_agent.backend.declaration import estimate_declared
from media_agent.storage.addresses import is_inner, parsed_address
from media_agent_hosted.providers.openai_compatible.facts import ServerSettings
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.events import Cost
from media_agent_schemas.request import VideoRequest


def estimate_price(
    request: VideoRequest, base_url: str | None, settings: ServerSettings
) -> Estimate:
    """Return the price of a video; how long it takes nobody knows."""
    cost = find_own_cost(base_url, settings)
    if cost is not None:
        return Estimate(cost_usd=cost.usd, source=cost.source)
    return estimate_declared(request.seconds(), settings.usd_per_second, settings.usd_per_video)


def find_own_cost(base_url: str | None, settings: ServerSettings) -> Cost | None:
    """Return the cost of one's own hardware; None: there is a price, or nobody knows one.

    A server at a public address may be rented by the second, or be a service that sends bills.
    """
    has_price = (settings.usd_per_second, settings.usd_per_video) != (None, None)
    url = None if base_url is None else parsed_address(base_url)
    if has_price or (url is not None and not is_inner(url.host)):
        return None
    return Cost(usd=0, source="own hardware: no price")
