"""Which addresses are followed: an address that a reply names may lead into our own network.

Hosts are judged by how they are written; no name is looked up.
"""

import contextlib
import ipaddress
import socket
import urllib.parse
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

_LAST_PORT = 2**16 - 1
_TRANSLATED = (  # RFC 6052 and RFC 4291: the last 32 bits are an address of version 4
    ipaddress.IPv6Network("64:ff9b::/96"),
    ipaddress.IPv6Network("::/96"),
)
_OWN_NETWORKS = (  # which not every version of Python counts among them
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # RFC 8215: translated within a network
    ipaddress.IPv6Network("fec0::/10"),  # RFC 3879: once of a site
)
_INNER_NAMES = (".localhost", ".local", ".internal", ".home.arpa")


def parsed_address(text: str) -> "httpx.URL | None":
    """Return an http(s) address with a host, or None."""
    import httpx  # which a start does not wait for

    try:
        url = httpx.URL(text.strip())
        is_one = url.scheme in ("http", "https") and bool(url.host)  # some are read only here
    except (httpx.InvalidURL, ValueError, TypeError):
        return None
    return url if is_one and (url.port or 0) <= _LAST_PORT else None


def resolved(text: str, asked: str | None) -> "httpx.URL | None":
    """Return the address that a text out of an answer means, or None.

    It may be relative to the address that was asked: "/a.mp4", "a.mp4", "//host/a.mp4".
    """
    text = text.strip()
    try:
        return parsed_address(
            text if asked is None or not text else urllib.parse.urljoin(asked, text)
        )
    except ValueError:
        return None


def origin_of(url: "httpx.URL") -> tuple[str, str, int]:
    """Return scheme, host and port."""
    return url.scheme, url.host.rstrip("."), url.port or {"http": 80, "https": 443}[url.scheme]


def is_followed(url: "httpx.URL", named_by: "httpx.URL | None") -> bool:
    """Whether a file may be fetched from an address that a server named; None: who knows which.

    A public server may name https on public hosts only. One of an own network, which is an inner
    host or one that its user let be asked by plain http, may name others there.
    """
    if url.userinfo:
        return False
    if named_by is not None and (named_by.scheme == "http" or is_inner(named_by.host)):
        return True
    return url.scheme == "https" and not is_inner(url.host)


@lru_cache(maxsize=256)  # of a server every call asks it
def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    address = _number_of(host)
    return host.rstrip(".").lower() == "localhost" if address is None else address.is_loopback


def is_inner(host: str) -> bool:
    """Whether a host is plainly of an inner network, or this machine."""
    address = _number_of(host)
    if address is not None:
        own = any(address in each for each in _OWN_NETWORKS)
        return own or not address.is_global or address.is_multicast
    name = host.rstrip(".").lower()
    return "." not in name or name.endswith(_INNER_NAMES)


def _number_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a host is, also in the short forms that the system takes: 127.1."""
    host = host.rstrip(".")
    with contextlib.suppress(OSError, ValueError):
        return ipaddress.IPv4Address(socket.inet_aton(host))
    with contextlib.suppress(ValueError):
        address = ipaddress.IPv6Address(host)
        return address.ipv4_mapped or address.sixtofour or _translated(address) or address
    return None


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the address of version 4 that a network translates this one to, if it is such."""
    if not address.is_loopback and any(address in each for each in _TRANSLATED):
        return ipaddress.IPv4Address(address.packed[-4:])
    return None
