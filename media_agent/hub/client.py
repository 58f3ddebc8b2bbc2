"""Asks a hub: the token goes to huggingface.co alone, and every answer that is no file is named."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import httpx
from pydantic import SecretStr

from media_agent.environment import value_of
from media_agent.errors import (
    BackendAuthenticationError,
    BackendResponseError,
    BackendUnavailableError,
    ConfigurationError,
    InvalidRequestError,
    MediaAgentError,
)
from media_agent.storage.addresses import is_followed, origin_of, parsed_address, resolved
from media_agent.storage.network import (
    STRANGE,
    TROUBLE,
    Way,
    before_sending,
    open_client,
    reason_of,
    retry_after_seconds,
    safe_cause,
)

HUB = "https://huggingface.co"
_REDIRECTS = 5
_STALL_SECONDS = 60.0
_BUSY = (408, 429, 500, 502, 503, 504)
_YES = ("1", "true", "yes", "on")


class AgainError(Exception):
    """The same request may be answered later."""

    def __init__(self, error: MediaAgentError, wait: float = 0.0) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait = wait  # seconds


class Hub:
    """The hub at an address; `token_origin` is the only one that its token goes to."""

    def __init__(
        self,
        endpoint: str = HUB,
        token: SecretStr | None = None,
        *,
        token_origin: str = HUB,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        url = parsed_address(endpoint)
        if url is None or url.userinfo:
            raise ConfigurationError(
                "HF_ENDPOINT is no address of a hub", hint=f"unset it, or set it to {HUB}"
            )
        self.endpoint = str(url).rstrip("/")
        self.host = url.host
        self._token = token
        self._token_origin = origin_of(httpx.URL(token_origin))
        self._transport = transport

    @classmethod
    def of_environment(cls) -> Self:
        """Return the hub that HF_ENDPOINT names, with the token in HF_TOKEN.

        Raises:
            BackendUnavailableError: HF_HUB_OFFLINE says that none is to be asked.
        """
        if (value_of("HF_HUB_OFFLINE") or "").lower() in _YES:
            raise BackendUnavailableError(
                "HF_HUB_OFFLINE is set, so nothing is downloaded", hint="unset it"
            )
        token = value_of("HF_TOKEN")
        return cls(value_of("HF_ENDPOINT") or HUB, None if token is None else SecretStr(token))

    @property
    def has_token(self) -> bool:
        """Whether there is a token that this hub gets."""
        return bool(self._headers(httpx.URL(self.endpoint)))

    @asynccontextmanager
    async def open(self, path: str, repo: str, *, offset: int = 0) -> AsyncIterator[httpx.Response]:
        """Open the answer to a path below the endpoint, from a byte on, wherever it leads.

        Raises:
            InvalidRequestError: there is no such repository, revision or file.
            BackendAuthenticationError: the repository is gated or private.
            BackendResponseError: the hub refuses, or redirects to where nobody goes.
            BackendUnavailableError: this machine cannot reach it.
            AgainError: it is busy, or the connection broke.
        """
        url = httpx.URL(f"{self.endpoint}{path}")
        for _ in range(_REDIRECTS + 1):
            async with self._request(url, offset) as response:
                if response.next_request is None:
                    error = self._find_error(response, repo)
                    if error is not None:
                        raise error
                    yield response
                    return
                following = resolved(str(response.next_request.url), str(url))
            if following is None or not is_followed(following, url):
                raise BackendResponseError(
                    f"{url.host} redirects to an address that is not fetched"
                )
            url = following
        raise BackendResponseError(f"{self.host} redirects without end")

    @asynccontextmanager
    async def _request(self, url: httpx.URL, offset: int) -> AsyncIterator[httpx.Response]:
        headers = self._headers(url) | ({"Range": f"bytes={offset}-"} if offset else {})
        timeout, way = httpx.Timeout(_STALL_SECONDS, connect=10.0), Way()
        client = open_client(url, timeout=timeout, transport=self._transport)
        async with client:
            try:
                request = client.build_request(
                    "GET", url, headers=headers, extensions={"trace": way}
                )
                response = await client.send(request, stream=True)
            except (*TROUBLE, *STRANGE) as error:
                known = before_sending(error, url.host, way)
                if known is None and not isinstance(error, TROUBLE):
                    raise
                raise self._translate(error, known, url.host) from safe_cause(error)
            try:
                yield response
            finally:
                await response.aclose()

    def _headers(self, url: httpx.URL) -> dict[str, str]:
        if self._token is None or origin_of(url) != self._token_origin:
            return {}
        return {"Authorization": f"Bearer {self._token.get_secret_value()}"}

    def _translate(self, error: Exception, known: MediaAgentError | None, host: str) -> Exception:
        if known is not None and not known.retryable:
            return known
        said = known.message if known is not None else f"{host} broke off ({reason_of(error)})"
        hint = "check the network; the same command continues where it stopped"
        return AgainError(BackendUnavailableError(said, hint=hint))

    def _find_error(self, response: httpx.Response, repo: str) -> Exception | None:
        """Return what an answer means that is no success."""
        status, code = response.status_code, response.headers.get("x-error-code", "")
        if status in (200, 206, 416):
            return None
        if status in _BUSY:
            busy = BackendUnavailableError(f"{self.host} answered {status}", hint="try again later")
            wait = retry_after_seconds(response.headers.get("retry-after"), time.time())
            return AgainError(busy, wait or 0.0)
        if code == "GatedRepo":
            return self.gated_error(repo)
        if code == "RevisionNotFound":
            return InvalidRequestError(f"{repo} has no such revision", hint="see its page")
        if status in (401, 404):  # a private repository is answered like none, without its token
            return InvalidRequestError(
                f"{self.host} has no model {repo!r}, or it is private",
                hint="check the name, as OWNER/NAME on its page; a private one needs HF_TOKEN",
            )
        return BackendResponseError(f"{self.host} answered {status} for {repo}")

    def gated_error(self, repo: str) -> BackendAuthenticationError:
        """Return the error for a repository whose authors want their terms accepted first."""
        if self.has_token:
            said = f"{repo} is gated, and the token in HF_TOKEN has no access to it"
            hint = f"accept its terms at {HUB}/{repo} with the account of this token"
        else:
            said = f"{repo} is gated, and there is no token for {self.host}"
            hint = f"accept its terms at {HUB}/{repo}, and set HF_TOKEN, which goes to {HUB} only"
        return BackendAuthenticationError(said, hint=hint)
