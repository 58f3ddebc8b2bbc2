"""The two places where Seedance runs: their hosts, and the ids that each one knows; pure."""

from typing import Literal

from media_agent.errors import ConfigurationError, InvalidRequestError
from media_agent.storage.addresses import parsed_address

Region = Literal["international", "mainland"]

ADDRESSES: dict[Region, str] = {
    "international": "https://ark.ap-southeast.bytepluses.com/api/v3",
    "mainland": "https://ark.cn-beijing.volces.com/api/v3",
}
USUAL_MODELS: dict[Region, str] = {
    "international": "dreamina-seedance-2-0-260128",
    "mainland": "doubao-seedance-2-0-260128",
}
_ENDS: dict[Region, str] = {"international": ".bytepluses.com", "mainland": ".volces.com"}
_PREFIXES: dict[Region, tuple[str, ...]] = {
    "international": ("dreamina-", "seedance-"),
    "mainland": ("doubao-",),
}
_NAMES: dict[Region, str] = {
    "international": "BytePlus ModelArk (international)",
    "mainland": "Volcengine Ark (mainland)",
}


def choose_region(name: str, region: Region | None, base_url: str | None) -> Region:
    """Return the region of a backend, by its options and by its address.

    Raises:
        ConfigurationError: the address is in the other region.
    """
    address = None if base_url is None else parsed_address(base_url)
    host = "" if address is None else address.host
    found = next((each for each, end in _ENDS.items() if host.endswith(end)), None)
    if region is not None and found not in (None, region):
        raise ConfigurationError(
            f"{name} is set to {region}, and its base_url is that of {_NAMES[found or region]}",
            hint=f'set region = "{found}" under [backends.{name}.options], or leave base_url out',
        )
    return region or found or "international"


def region_of(model_id: str) -> Region | None:
    """Return where a model is known by this id; None: it does not say."""
    return next(
        (region for region, prefixes in _PREFIXES.items() if model_id.startswith(prefixes)), None
    )


def check_pair(name: str, model_id: str, region: Region) -> None:
    """Refuse an id of the other region, which would only be unknown there.

    Raises:
        InvalidRequestError: it is one.
    """
    known_in = region_of(model_id)
    if known_in not in (None, region):
        raise InvalidRequestError(
            f"{model_id!r} is an id of {_NAMES[known_in or region]}; {name} is set to {region}, "
            f"{_NAMES[region]}, which has other ids",
            hint=f"use an id such as {USUAL_MODELS[region]}, or set region = "
            f'"{known_in}" under [backends.{name}.options] and use a key from there',
        )
