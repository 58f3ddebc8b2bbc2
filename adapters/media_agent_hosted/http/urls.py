"""Which addresses an API may have."""

import re

import httpx

from media_agent.errors import (
    BackendRefusedError,
    BackendResponseError,
    ConfigurationError,
    MediaAgentError,
)
from media_agent.storage.addresses import is_loopback, parsed_address, resolved
from media_agent_hosted.http.replies import uncertain


def check_base(text: str, *, allow_plain_http: bool) -> httpx.URL:
    """Return the address of an API.

    Raises:
        ConfigurationError: it is malformed, holds a password, or is plain http to another machine
            without `allow_plain_http`.
    """
    url = parsed_address(text)
    if url is None or url.query or url.fragment:
        raise ConfigurationError(
            f"base_url {without_secrets(text)!r} is no address of an API",
            hint="for example https://api.example.com/v1",
        )
    if url.userinfo:
        raise ConfigurationError(
            f"base_url of {place_of(url)} holds a user name or password",
            hint="leave it out of the address; set the key instead",
        )
    if url.scheme == "http" and not allow_plain_http and not is_loopback(url.host):
        raise ConfigurationError(
            f"base_url http://{place_of(url)} would send key and prompt in the clear",
            hint="use https, or say allow_plain_http = true for a machine you trust",
        )
    return url


def without_secrets(text: str) -> str:
    """Return an address, well-formed or not, as a message may show it: without what is secret."""
    shown, *hidden = re.split("[?#]", text, maxsplit=1)
    return "..." if "@" in "".join(hidden) else shown.rpartition("@")[2]


def place_of(url: httpx.URL) -> str:
    """Return the host, with the port where it is not the usual one."""
    return url.netloc.decode("ascii", "replace")


def redirect_error(
    request: httpx.Request, response: httpx.Response, *, paid: bool
) -> MediaAgentError:
    """Return the error for a redirect; "See Other" below what was asked may name accepted work."""
    host, status = place_of(request.url), response.status_code
    said = f"{host} answered a {request.method} with the redirect {status}, which is not followed"
    target = resolved(response.headers.get("location", ""), str(request.url))
    asked = str(request.url.copy_with(query=None)).rstrip("/")
    if paid and status == 303 and target is not None and str(target).startswith(f"{asked}/"):
        return uncertain(host, f"{said}; it leads to {target.path}")
    kind = BackendRefusedError if paid else BackendResponseError
    return kind(said, hint="set base_url to where the API really is")
