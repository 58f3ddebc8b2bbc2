"""The regions of Model Studio: their hosts, and which one the settings mean; pure."""

from dataclasses import dataclass
from typing import Literal

from media_agent.errors import ConfigurationError
from media_agent.storage.addresses import parsed_address

Region = Literal["singapore", "beijing"]


@dataclass(frozen=True, slots=True)
class _Hosts:
    shared: str
    of_workspaces: str


_HOSTS: dict[Region, _Hosts] = {
    "singapore": _Hosts("dashscope-intl.aliyuncs.com", ".ap-southeast-1.maas.aliyuncs.com"),
    "beijing": _Hosts("dashscope.aliyuncs.com", ".cn-beijing.maas.aliyuncs.com"),
}


def choose_region(name: str, region: Region | None, base_url: str | None) -> Region:
    """Return the region of a backend, by its options and by its address.

    Raises:
        ConfigurationError: the address is in another region.
    """
    address = None if base_url is None else parsed_address(base_url)
    found = None if address is None else _region_of(address.host)
    if region is not None and found not in (None, region):
        raise ConfigurationError(
            f"{name} is set to {region}, and its base_url is in {found}",
            hint=f'set region = "{found}" under [backends.{name}.options], or leave base_url out; '
            "key, model and address must be of one region",
        )
    return region or found or "singapore"


def address_of(region: Region, workspace: str | None) -> str:
    """Return the base URL of a region, or of a workspace in it."""
    hosts = _HOSTS[region]
    host = hosts.shared if workspace is None else f"{workspace}{hosts.of_workspaces}"
    return f"https://{host}/api/v1"


def _region_of(host: str) -> Region | None:
    return next(
        (
            region
            for region, hosts in _HOSTS.items()
            if host == hosts.shared or host.endswith(hosts.of_workspaces)
        ),
        None,
    )
