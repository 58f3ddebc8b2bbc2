"""What is fetched for callers, or sent to where they say, goes to public addresses only.

Three judges, each for what the others cannot see: how an address is written (here), what its name
means now (here, before anything is connected: a probe would tell a caller what is open within), and
which address the connection goes to (httpx-secure: a name can mean something else a moment later).
"""

import asyncio
import contextlib
import ipaddress
import socket
from typing import TYPE_CHECKING

from media_agent.errors import InvalidRequestError
from media_agent.storage.addresses import is_inner, parsed_address

if TYPE_CHECKING:
    import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_OF_CLOUDS = frozenset({"168.63.129.16"})  # public, and yet the host agent of an Azure machine
_LONGEST_URL = 2048  # characters
_USUAL_PORTS = frozenset({80, 443})
_FIRST_FREE_PORT = 1024


def open_public_client(*, timeout: "httpx.Timeout") -> "httpx.AsyncClient":
    """Return a client that connects to public addresses only, and follows no redirect."""
    import httpx
    from httpx_secure import httpx_ssrf_protection

    from media_agent.storage.network import certificates

    client = httpx.AsyncClient(
        trust_env=False,  # through a proxy nobody could tell where a connection ends
        verify=certificates(),
        follow_redirects=False,
        timeout=timeout,
        limits=httpx.Limits(max_connections=64, max_keepalive_connections=0),
        headers={"User-Agent": "media-agent", "Accept-Encoding": "identity"},
    )
    return httpx_ssrf_protection(
        client, custom_validator=lambda host, address, port: is_public(address)
    )


def is_public(address: Address) -> bool:
    """Return whether an address is of the public internet."""
    has_zone = getattr(address, "scope_id", None) is not None
    return not has_zone and not is_inner(str(address)) and str(address) not in _OF_CLOUDS


async def check_public(text: str) -> "httpx.URL":
    """Return an address that may be asked; all that may not be are refused alike.

    Raises:
        InvalidRequestError: it is none, or leads to where a caller must not reach.
    """
    url = parsed_address(text) if len(text) <= _LONGEST_URL else None
    if url is None:
        raise InvalidRequestError(f"{text[:80]!r} is not an http(s) address")
    if not _is_well_written(url) or not await _means_public(url):
        raise unreachable_error(url)
    return url


def unreachable_error(url: "httpx.URL") -> InvalidRequestError:
    """Return the error of an address that is forbidden or not there: which of both is not told."""
    return InvalidRequestError(
        f"{url.host[:100]} cannot be reached at a public address",
        hint="give an http(s) address of the public internet, or send the file itself",
    )


def _is_well_written(url: "httpx.URL") -> bool:
    if url.userinfo or is_inner(url.host):
        return False
    return url.port is None or url.port in _USUAL_PORTS or url.port >= _FIRST_FREE_PORT


async def _means_public(url: "httpx.URL") -> bool:
    """Return whether a name has public addresses only."""
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            url.raw_host.decode("ascii"), port, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError):
        return False
    addresses = [_address_of(str(each[4][0])) for each in found]
    return bool(addresses) and all(
        address is not None and is_public(address) for address in addresses
    )


def _address_of(text: str) -> Address | None:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(text)
    return None
