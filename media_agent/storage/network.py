"""How the network is met: whom it is trusted to, through which proxies, what its trouble means.

Certificates and proxies are two switches: which certificates count is the same for every host,
and only this machine is never asked through a proxy.
"""

import email.utils
import os
import re
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import lru_cache
from http.cookiejar import CookieJar
from pathlib import Path

import httpx

from media_agent.environment import expand_home, proxies, value_of
from media_agent.errors import BackendUnavailableError, ConfigurationError, MediaAgentError
from media_agent.storage.addresses import is_loopback
from media_agent.telemetry.calls import MeasuredClient

PIECE = 2**18  # bytes decoded at once
_OWN_STORES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_STORES_OF_OTHERS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_NEVER_LEFT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
TROUBLE = (httpx.TransportError, httpx.DecodingError, TimeoutError)
"""What goes wrong on the way."""
STRANGE = (ValueError, ArithmeticError, OSError, ExceptionGroup)
"""What libraries below the transport raise of an address or a proxy that they cannot use."""
_ANY_ZLIB = 47  # zlib or gzip, whichever it is
_KEPT_CONNECTIONS = 8  # idle ones; httpcore looks at each of them with every request
_KEPT_SECONDS = 4.0  # uvicorn closes them after five


class Way:
    """Hears from the transport how far a request got; one for each request."""

    def __init__(self) -> None:
        self.is_heard = False
        self.has_left = False
        """Whether any of the request may have reached the service; a proxy is none."""

    async def __call__(self, event: str, info: Mapping[str, object]) -> None:
        """Take an event of httpcore's trace."""
        self.is_heard = True
        is_tunnel = getattr(info.get("request"), "method", b"") == b"CONNECT"
        if event.endswith(".send_request_headers.started") and not is_tunnel:
            self.has_left = True
        if event.endswith(".send_request_headers.failed") and not is_tunnel:
            # a header that cannot be written is refused before the first byte
            self.has_left = type(info.get("exception")).__name__ != "LocalProtocolError"


class _NoCookies(CookieJar):
    """Keeps nothing of one answer for the next request."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Leave them."""


def open_client(
    url: httpx.URL,
    *,
    timeout: httpx.Timeout,
    transport: httpx.AsyncBaseTransport | None = None,
    keeps_connections: bool = False,
) -> httpx.AsyncClient:
    """Return a client for the host of an address; it follows no redirect and asks for no coding.

    `keeps_connections` is for requests that may be repeated freely: on a kept connection that the
    other side just closed, nobody can tell whether a paid request got through.

    Raises:
        ConfigurationError: a variable that says proxies or certificates is wrong; it is named.
    """
    is_checked = url.scheme == "https" and transport is None
    verify = certificates() if is_checked else False
    try:
        return MeasuredClient(
            transport=transport,
            timeout=timeout,
            limits=httpx.Limits(
                max_keepalive_connections=_KEPT_CONNECTIONS if keeps_connections else 0,
                keepalive_expiry=_KEPT_SECONDS,
            ),
            cookies=_NoCookies(),
            verify=verify,
            trust_env=not is_loopback(url.host),  # httpx looks for proxies itself
            follow_redirects=False,
            headers={"User-Agent": "media-agent", "Accept-Encoding": "identity"},
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise ConfigurationError(
            f"the variable {_faulty_proxy()} cannot be used; nothing was sent",
            hint="correct or unset it; socks5:// needs the package socksio, and httpx takes no "
            "IPv6 networks in NO_PROXY",
        ) from error


def before_sending(error: Exception, host: str, way: Way) -> MediaAgentError | None:
    """Return what an error means that came before anything left; None: something had left."""
    is_before = isinstance(error, _NEVER_LEFT) or way.is_heard
    if way.has_left or not is_before:
        return None
    untrusted = _certificate_error(error)
    if untrusted is not None:
        return ConfigurationError(
            f"the certificate of {host} is not trusted: {untrusted.verify_message}",
            hint="for one of your own, name the file of its authority in SSL_CERT_FILE; "
            "nothing was sent",
        )
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return ConfigurationError(
            f"the request to {host} cannot be sent as it is ({type(error).__name__})",
            hint="check base_url and headers; nothing was sent",
        )
    if isinstance(error, STRANGE) and not isinstance(error, TROUBLE):
        return ConfigurationError(
            f"the way to {host} cannot be used ({type(error).__name__})",
            hint=f"check base_url{_proxies_in_use()}; nothing was sent",
        )
    if isinstance(error, httpx.ProxyError) and str(error).startswith("407"):
        return ConfigurationError(
            f"the proxy on the way to {host} requires a user name and password, or different ones",
            hint=f"set them{_proxies_in_use().replace(' and ', ' in ', 1)}; nothing was sent",
        )
    if isinstance(error, httpx.ProxyError):
        said = f"the proxy on the way to {host} refuses"
    else:
        said = f"{host} cannot be reached"
    return BackendUnavailableError(
        f"{said} ({reason_of(error)})",
        hint=f"check base_url, the network{_proxies_in_use()}; nothing was sent",
    )


def retry_after_seconds(value: str | None, now: float) -> float | None:
    """Read a Retry-After header, in seconds or as a date; None if absent or malformed."""
    if value is None:
        return None
    if re.fullmatch(r"\s*\d{1,9}(\.\d{1,9})?\s*", value, re.ASCII):
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def reason_of(error: Exception) -> str:
    """Name an error of the transport, in its own words where these repeat nothing of a reply."""
    name = type(error).__name__
    if isinstance(error, BrokenOffError):
        return str(error)
    is_ours = isinstance(error, httpx.ConnectError | httpx.ProxyError | httpx.DecodingError)
    said = " ".join(str(error).split())[:200] if is_ours else ""
    return f"{name}: {said}" if said else name


def safe_cause(error: Exception) -> Exception | None:
    """Return an error as a cause to keep; one about the protocol repeats headers, with the key."""
    return None if isinstance(error, httpx.ProtocolError) else error


async def decode(response: httpx.Response) -> AsyncIterator[bytes]:
    """Yield a body in pieces of bounded size, whatever its one content coding makes of it.

    Raises:
        httpx.TransportError: it broke off.
        httpx.DecodingError: it has another coding than gzip or deflate, or several.
    """
    coding = response.headers.get("content-encoding", "").strip().lower()
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("a reply that was not requested asynchronously")
    decoder = None if coding in ("", "identity") else _Decoder(coding)
    received = 0
    async for piece in _pieces(stream):
        received += len(piece)
        if decoder is None:
            yield piece
            continue
        for part in decoder.decode(piece):
            yield part
    promised = response.headers.get("content-length", "")
    if promised.isdecimal() and int(promised) != received:
        raise BrokenOffError(f"{received} of {promised} bytes received")
    if decoder is not None and not decoder.is_whole:
        raise BrokenOffError("a compressed body broke off")


class BrokenOffError(httpx.TransportError):
    """Less came than was promised."""


async def _pieces(stream: httpx.AsyncByteStream) -> AsyncIterator[bytes]:
    """Yield what the network gives; its trouble is no OSError, as that of a disk is."""
    try:
        async for piece in stream:
            yield piece
    except OSError as error:  # ssl.SSLError and TimeoutError are
        raise BrokenOffError(f"the connection broke: {type(error).__name__}") from error


class _Decoder:
    """Undoes one content coding, never more than a piece at a time."""

    def __init__(self, coding: str) -> None:
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise httpx.DecodingError(f"it has the coding {coding[:40]!r}, which was not asked for")
        self._inflate = zlib.decompressobj(_ANY_ZLIB)
        self._may_be_bare = coding == "deflate"  # some leave the wrapper of zlib out
        self._is_begun = False

    @property
    def is_whole(self) -> bool:
        """Whether the end of the compressed body came, or nothing at all."""
        return self._inflate.eof or not self._is_begun

    def decode(self, piece: bytes) -> Iterator[bytes]:
        """Yield what a piece becomes.

        Raises:
            httpx.DecodingError: it is not of this coding.
        """
        self._is_begun = self._is_begun or bool(piece)
        while piece:
            if self._inflate.eof:  # one gzip file behind another
                self._inflate = zlib.decompressobj(_ANY_ZLIB)
            part = self._inflate_piece(piece)
            self._may_be_bare = False
            piece = self._inflate.unconsumed_tail or self._inflate.unused_data
            if part:
                yield part

    def _inflate_piece(self, piece: bytes) -> bytes:
        try:
            return self._inflate.decompress(piece, PIECE)
        except zlib.error as error:
            if not self._may_be_bare:
                raise httpx.DecodingError("it is not in the coding that it says") from error
        self._may_be_bare, self._inflate = False, zlib.decompressobj(-zlib.MAX_WBITS)
        return self._inflate_piece(piece)


def certificates() -> ssl.SSLContext:
    """Return whom to trust: those that a variable names, else what everybody trusts here."""
    for names in (_OWN_STORES, _STORES_OF_OTHERS):
        named = tuple((name, value) for name in names if (value := value_of(name)))
        if named:
            return _trusting(named)
    return _trusting(())


@lru_cache(maxsize=8)
def _trusting(named: tuple[tuple[str, str], ...]) -> ssl.SSLContext:
    if not named:
        context = httpx.create_ssl_context(trust_env=False)
        context.load_default_certs()  # beside those of certifi, what this machine trusts
        return context
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name, value in named:
        for place in value.split(os.pathsep) if name == "SSL_CERT_DIR" else (value,):
            _load(context, name, expand_home(place))
    return context


def _load(context: ssl.SSLContext, name: str, path: Path) -> None:
    """Trust the certificates of a file or folder.

    Raises:
        ConfigurationError: there are none; the variable is named.
    """
    try:
        if path.is_dir():
            next(path.iterdir())
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except (OSError, StopIteration) as error:
        gone = "it is not there" if not path.exists() else "no certificates are in it"
        raise ConfigurationError(
            f"the variable {name} names {path}, and {gone}; nothing was sent",
            hint="correct or unset it",
        ) from error


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


def _faulty_proxy() -> str:
    """Return the variable that httpx cannot make a client of; its value may hold a password."""
    for kind, address in proxies().items():
        if kind not in ("http", "https", "all"):
            continue
        try:
            httpx.AsyncHTTPTransport(
                proxy=address if "://" in address else f"http://{address}", verify=False
            )
        except (ValueError, ImportError, httpx.InvalidURL):
            return f"{kind.upper()}_PROXY"
    return "NO_PROXY"


def _proxies_in_use() -> str:
    kinds = [kind for kind in ("http", "https", "all") if kind in proxies()]
    return "".join(f" and {kind.upper()}_PROXY" for kind in kinds)
