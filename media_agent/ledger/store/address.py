"""Where a Postgres database is, and what of that may be shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Self

from pydantic import SecretStr

from media_agent.errors import ConfigurationError

SCHEMES = ("postgresql", "postgres")


@dataclass(frozen=True, slots=True)
class Address:
    """An address with its password apart."""

    name: str
    """For people: no user, no password."""
    conninfo: str = field(repr=False)
    password: str | None = field(repr=False)

    @classmethod
    def parse(cls, url: SecretStr) -> Self:
        """Read `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?OPTIONS`; what is absent is libpq's.

        Raises:
            ConfigurationError: it is none; what it says is not shown.
        """
        from psycopg import Error
        from psycopg.conninfo import conninfo_to_dict, make_conninfo

        text = url.get_secret_value()
        try:
            parts = conninfo_to_dict(text) if text.partition("://")[0] in SCHEMES else None
        except Error:
            parts = None
        if parts is None:
            raise ConfigurationError(
                "the setting ledger is no address of a Postgres database",
                hint="postgresql://USER:PASSWORD@HOST:5432/DATABASE, with %-escapes for other "
                "characters than letters and digits in the password",
            )
        said = {each: str(value) for each, value in parts.items()}
        return cls(_name_of(said), make_conninfo("", **said), said.get("password"))

    def hide(self, text: str) -> str:
        """Return a text without the password."""
        return text if not self.password else text.replace(self.password, "[password]")


def _name_of(parts: Mapping[str, str]) -> str:
    database = parts.get("dbname", "")
    if "service" in parts and "host" not in parts:
        return f"postgresql:///{database}?service={parts['service']}"
    hosts, ports = (parts.get(each, "").split(",") for each in ("host", "port"))
    last = ports[0] if len(ports) == 1 else ""  # one port is that of all hosts
    places = ",".join(_place(*each) for each in zip_longest(hosts, ports, fillvalue=last))
    return f"postgresql://{places}/{database}"


def _place(host: str, port: str) -> str:
    name = f"[{host}]" if ":" in host else host or "localhost"
    return f"{name}:{port}" if port else name
