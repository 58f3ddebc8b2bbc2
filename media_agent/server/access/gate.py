"""Lets calls through to the routes, each with its caller; everything needs a key unless said.

Without any API key a server answers programs of its own machine only.
"""

import contextlib
import ipaddress
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from media_agent.config.server_section import ServerSection
from media_agent.errors import AuthenticationError, MediaAgentError
from media_agent.ledger.serving.api_keys import ApiKey
from media_agent.ledger.serving.api_keys import Scope as KeyScope
from media_agent.server.access.caller import CALLER, LOCAL_CALLER, Caller
from media_agent.server.access.keyring import Keyring, LedgerThreads
from media_agent.server.access.origins import Origins
from media_agent.server.access.rates import Allowance, Rates
from media_agent.server.access.sessions import Sessions, token_of
from media_agent.server.errors import answer_error

EXPOSED = (
    "ETag",
    "Retry-After",
    "openai-poll-after-ms",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
)
"""The headers of replies that pages of allowed origins may read."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN = frozenset({"/", "/favicon.ico", "/health", "/ready", "/openapi.json"})
_OPEN_BELOW = ("/assets/", "/v1/webhooks/")
"""The files of the page; and callbacks of providers, which are signed, or only hints."""
_PLANS = ("/branch/plan", "/extend/plan")
"""Of a job; by POST, and yet nothing is changed."""
_SCOPES: dict[str, KeyScope | None] = {
    "/metrics": "admin",
    "/v1/plan": "videos:read",  # by POST, and yet nothing is changed
    "/v1/session": None,
    "/mcp": None,  # each of its tools needs its own
}


@dataclass
class Access:
    """What a server knows of those who call it."""

    settings: ServerSection
    needs_keys: bool = False
    """Whether nobody gets in without a key: others can reach it, or there was a key before."""
    keyring: Keyring = field(default_factory=Keyring)
    sessions: Sessions = field(default_factory=Sessions)
    rates: Rates = field(default_factory=Rates)

    @property
    def origins(self) -> Origins:
        """Where calls may come from."""
        return Origins(self.settings.public_url, self.settings.allowed_origins)


class Gate:
    """The middleware that finds the caller of each call, or refuses it."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app = app
        self._access = access
        self._origins = access.origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on."""
        if scope["type"] == "websocket":  # there is none here
            await WebSocketClose()(scope, receive, send)
            return
        if scope["type"] != "http" or _is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            caller, allowance = await self._admit(scope, Headers(scope=scope))
        except MediaAgentError as error:
            await answer_error(error)(scope, receive, send)
            return
        scope[CALLER] = caller
        if caller.key_id is not None:
            send = self._while_valid(send, caller.key_id, scope)
        await self._app(scope, receive, send if allowance is None else _telling(send, allowance))

    def _while_valid(self, send: Send, key_id: str, scope: Scope) -> Send:
        """Return what sends a reply, cut off with its connection once the key is over.

        A stream lives for hours, and would tell more to whoever had the key.
        """
        ledger: LedgerThreads = scope["app"].state.context.host
        keyring = self._access.keyring

        async def pass_on(message: Message) -> None:
            is_more = message["type"] == "http.response.body" and message.get("more_body", False)
            if is_more and await keyring.find_by_id(key_id, ledger) is None:
                raise ClientDisconnect
            await send(message)

        return pass_on

    async def _admit(self, scope: Scope, headers: Headers) -> tuple[Caller, Allowance | None]:
        ledger: LedgerThreads = scope["app"].state.context.host
        access = self._access
        if not access.needs_keys:
            await self._look_for_keys(headers, ledger)
        if not access.needs_keys:
            self._origins.check_local(scope["method"], headers)
            return LOCAL_CALLER, None
        key = await self._find_key(scope, headers, ledger)
        allowance = access.rates.take_call(key)
        caller = caller_of(key)
        needed = scope_of(scope["method"], scope["path"])
        if needed is not None:
            caller.check_scope(needed)
        return caller, allowance

    async def _look_for_keys(self, headers: Headers, ledger: LedgerThreads) -> None:
        """Need keys as soon as there is any, and at once for a call with the first one."""
        secret, keyring = _secret_of(headers), self._access.keyring
        is_one = secret is not None and await keyring.find(secret, ledger) is not None
        self._access.needs_keys = is_one or await keyring.has_any(ledger)

    async def _find_key(self, scope: Scope, headers: Headers, ledger: LedgerThreads) -> ApiKey:
        """Return the valid key that a call names, in a header or by its session."""
        secret, key = _secret_of(headers), None
        token = token_of(headers["cookie"]) if "cookie" in headers else None
        if secret is not None:
            key = await self._access.keyring.find(secret, ledger)
        elif token is not None:
            self._origins.check_session(scope["method"], headers)
            name = self._access.sessions.find(token)
            key = None if name is None else await self._access.keyring.find_by_id(name, ledger)
        if key is not None:
            return key
        self._access.rates.take_failure(_address_of(scope))
        if secret is None and token is None:
            said = "no API key was given"
        elif secret is None:
            said = "the session is over"
        else:
            said = "the API key is not valid"
        raise AuthenticationError(said, hint="send it as Authorization: Bearer KEY")


def caller_of(key: ApiKey) -> Caller:
    """Return whoever calls with a key."""
    terms = key.terms
    return Caller(
        terms.owner,
        terms.scopes,
        sees_all="admin" in terms.scopes,
        key_id=key.id,
        resale_factor=1.0 if terms.resale_factor is None else terms.resale_factor,
    )


def scope_of(method: str, path: str) -> KeyScope | None:
    """Return the scope that a call needs; None: any key will do."""
    first = "/mcp" if path.startswith("/mcp/") else path
    if path.startswith("/v1/admin/"):
        return "admin"
    if first in _SCOPES:
        return _SCOPES[first]
    if path.startswith("/v1/jobs/") and path.endswith(_PLANS):
        return "videos:read"
    return "videos:read" if method in _SAFE else "videos:write"


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_BELOW)


def _secret_of(headers: Headers) -> str | None:
    """Return what is given as a key: as OpenAI's clients do, or as Anthropic's do."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and given.strip():
        return given.strip()
    return headers.get("x-api-key", "").strip() or None


def _address_of(scope: Scope) -> str:
    """Return the address of a caller; of one of version 6 the network, which is theirs as well."""
    client = scope.get("client")
    host = "" if client is None else str(client[0])
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
            return str(ipaddress.ip_network((address.packed[:8] + bytes(8), 64)))
    return host


def _telling(send: Send, allowance: Allowance) -> Send:
    async def tell(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            for name, value in allowance.headers():
                headers.append(name.decode(), value.decode())
        await send(message)

    return tell
