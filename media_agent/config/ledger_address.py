"""The address of a ledger on a server: a secret, as it may say a password."""

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from pydantic import AfterValidator, SecretStr

_SCHEMES = ("postgresql", "postgres")


def _check(address: SecretStr) -> SecretStr:
    parts = _split(address)
    if parts is None or parts.scheme not in _SCHEMES:
        raise ValueError("it is no address such as postgresql://db.example:5432/media")
    return address


LedgerAddress = Annotated[SecretStr, AfterValidator(_check)]


def shown_address(address: SecretStr) -> str:
    """Return an address without its user, its password and its options."""
    parts = _split(address)
    return "" if parts is None else f"{parts.scheme}://{_host_of(parts)}{parts.path}"


def passwords_in(address: SecretStr) -> Iterator[str]:
    """Yield what is a password in an address, as it is written there and as it is meant."""
    parts = _split(address)
    if parts is None:
        return
    _, _, written = parts.netloc.rpartition("@")[0].partition(":")
    if written:
        yield from {written, unquote(written)}
    options = parse_qs(parts.query)
    for name in ("password", "sslpassword"):
        yield from options.get(name, ())


def _host_of(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _split(address: SecretStr) -> SplitResult | None:
    try:
        parts = urlsplit(address.get_secret_value())
        return None if parts.port == 0 else parts  # what is no port is an error here
    except ValueError:
        return None
