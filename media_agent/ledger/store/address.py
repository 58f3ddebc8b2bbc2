"""Where a Postgres database is, and what of that may be shown."""

from dataclasses import dataclass, field
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
        host, port = parts.get("host") or "localhost", parts.get("port")
        at = host if port is None else f"{host}:{port}"
        password = parts.get("password")
        name = f"postgresql://{at}/{parts.get('dbname') or ''}"
        conninfo = make_conninfo("", **{each: str(value) for each, value in parts.items()})
        return cls(name, conninfo, None if password is None else str(password))

    def hide(self, text: str) -> str:
        """Return a text without the password."""
        return text if not self.password else text.replace(self.password, "[password]")
