"""The address of a ledger on a server: a secret, as it may say a password."""

import re
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import unquote

from pydantic import AfterValidator, SecretStr

_HOST = r"(?:\[[^]@/?#,]*\]|[^][:@/?#,\s]*)(?::(?:[1-9][0-9]{0,4})?)?"
_ADDRESS = re.compile(
    r"(?P<scheme>postgres(?:ql)?)://"
    r"(?:[^:@/?#\s]*(?::(?P<password>[^@/?#\s]*))?@)?"
    rf"(?P<place>{_HOST}(?:,{_HOST})*(?:/[^@/?#\s]*)?)"
    r"(?:\?(?P<options>[^@#\s]*))?"
)
"""As libpq reads it, and without what libpq and others read differently: a password with an "@"
or a "/" of its own would become part of the host or of the database, which are shown."""
_SECRETS = ("password", "sslpassword")


def _check(address: SecretStr) -> SecretStr:
    found = _match(address)
    if found is None or any(int(port) > 65535 for port in re.findall(r":(\d+)", found["place"])):
        raise ValueError(
            "it is written postgresql://HOST:5432/DATABASE, with USER:PASSWORD@ before the host, "
            "and characters other than letters and digits in a password with %: @ is %40"
        )
    return address


LedgerAddress = Annotated[SecretStr, AfterValidator(_check)]


def shown_address(address: SecretStr) -> str:
    """Return an address without its user, its password and its options."""
    found = _match(address)
    return "" if found is None else f"{found['scheme']}://{found['place']}"


def passwords_in(address: SecretStr) -> Iterator[str]:
    """Yield what is a password in an address, as it is written there and as it is meant."""
    found = _match(address)
    if found is None:
        return
    options = [each.partition("=") for each in (found["options"] or "").split("&")]
    secrets = [value for name, _, value in options if name in _SECRETS]
    for written in (found["password"], *secrets):
        if written:
            yield from {written, unquote(written)}


def _match(address: SecretStr) -> re.Match[str] | None:
    return _ADDRESS.fullmatch(address.get_secret_value())
