"""From where a call comes: pages of other sites must not drive a server through a browser.

A browser that was led to a foreign page can reach a server on this machine. It sends the name by
which the page knows the server (Host), the page's own origin (Origin), and how far the two are
apart (Sec-Fetch-Site); programs send the first only.
"""

import urllib.parse
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from starlette.datastructures import Headers

from media_agent.errors import ForbiddenError
from media_agent.storage.addresses import is_loopback

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_PORTS = {"http": 80, "https": 443}
_MAKE_A_KEY = "make an API key with media-agent server-keys add NAME, and call with it"


@dataclass(frozen=True, slots=True)
class Origins:
    """Judges where calls come from; `public_url` is another name of the server."""

    public_url: str | None = None
    allowed: Collection[str] = ()
    """Origins of pages that may call besides the server's own."""

    def check_local(self, method: str, headers: Headers) -> None:
        """Check a call to a server without API keys.

        Raises:
            ForbiddenError: it is not of this machine, or led here by a foreign page.
        """
        if any(name in headers for name in _FORWARDED):
            said = "a proxy forwards this call, and this server has no API keys"
            raise ForbiddenError(said, hint=_MAKE_A_KEY)
        host = _host_of(headers.get("host", ""))
        if host is None or not is_loopback(host):
            said = "without API keys this server is called as localhost or 127.0.0.1 only"
            raise ForbiddenError(said, hint=_MAKE_A_KEY)
        self._check_page(method, headers, is_origin_needed=False)

    def check_session(self, method: str, headers: Headers) -> None:
        """Check a call that a browser makes with the cookie of a session.

        Raises:
            ForbiddenError: a foreign page makes it, or it changes something and names no page.
        """
        self._check_page(method, headers, is_origin_needed=method not in _SAFE)

    def _check_page(self, method: str, headers: Headers, *, is_origin_needed: bool) -> None:
        origin = headers.get("origin")
        if origin is not None:
            is_ours = self._is_own(origin, headers.get("host", "")) or origin in self.allowed
        else:
            is_ours = not is_origin_needed and _is_led_by_nobody(method, headers)
        if not is_ours:
            raise ForbiddenError(
                "a page of another site calls this server",
                hint="name its origin in server.allowed_origins if it may",
            )

    def _is_own(self, origin: str, host: str) -> bool:
        own = _parts(origin)
        if own is None:
            return False
        return own == _parts(f"{own[0]}://{host}") or (
            self.public_url is not None and own == _parts(self.public_url)
        )


def _is_led_by_nobody(method: str, headers: Headers) -> bool:
    """Return whether a call without an origin is a program's, our page's, or a followed link."""
    site = headers.get("sec-fetch-site", "none")
    is_link = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
    return site in ("none", "same-origin") or (
        is_link and headers.get("sec-fetch-dest", "document") == "document"
    )


def _host_of(value: str) -> str | None:
    parts = _parts(f"http://{value}")
    return None if parts is None else parts[1]


@lru_cache(maxsize=256)  # every call names this server, and few others
def _parts(address: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of an origin or an address; None: it has none, as "null"."""
    try:
        parts = urllib.parse.urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname.rstrip("."), port or _PORTS[parts.scheme]
