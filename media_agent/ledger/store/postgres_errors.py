"""What is wrong with a Postgres database, in words; never with the password."""

import psycopg

from media_agent.errors import (
    ConfigurationError,
    InvalidRequestError,
    LedgerBusyError,
    MediaAgentError,
    StorageError,
)
from media_agent.ledger.store.address import Address

_REFUSALS = (  # of libpq, which has no code for them
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "authentication failed",
    "does not exist",
    "does not support SSL",
    "certificate verify failed",
    "tlsv1 alert",
    "sslv3 alert",
    "invalid ",  # a port, a number, an sslmode, ...
    "unrecognized configuration parameter",
    "definition of service",
    "root certificate",
)
_AWAY = ("08", "57P", "53300")  # no connection; shutting down or starting; too many
_SILENT = ("25P03", "25P04")  # the transaction was idle, or went on, for too long
_CONFLICTS = ("55P03", "40001", "40P01")


def is_lasting(error: psycopg.Error) -> bool:
    """Return whether another attempt would not help: it is not that the server is away."""
    code = error.sqlstate
    if code is None:  # there is no connection, or it broke
        return not isinstance(error, psycopg.OperationalError) or _is_refusal(error)
    return not code.startswith(_AWAY)


def is_broken(error: psycopg.Error) -> bool:
    """Return whether the connection of a transaction is gone, or the server ended it.

    Of COMMIT that leaves open whether it was done.
    """
    code = error.sqlstate
    if code is None:
        return isinstance(error, psycopg.OperationalError)
    return code.startswith(_AWAY) or code in _SILENT


def trouble(error: psycopg.Error, address: Address) -> MediaAgentError:
    """Return the error that says what is wrong with a database, and the way out."""
    name, code = address.name, error.sqlstate or ""
    text = error.diag.message_primary or str(error).strip() or type(error).__name__
    said = address.hide(" ".join(text.split()))  # libpq says a line for each attempt
    if not code and isinstance(error, psycopg.OperationalError):
        return _unreachable(error, name, said)
    if code.startswith(_AWAY):
        return LedgerBusyError(f"{name} is away: {said}", hint="try again when it is back")
    if code in _SILENT:
        return LedgerBusyError(
            f"{name} ended the transaction: this process was silent too long", hint="try again"
        )
    if code in _CONFLICTS:
        return LedgerBusyError(
            f"{name} is locked: another process has been writing to it for too long",
            hint="try again; SELECT * FROM pg_stat_activity shows who writes",
        )
    if code == "53100":
        return StorageError(
            f"{name} cannot be written: the disk of the server is full",
            hint="free some space there and run it again",
        )
    if code == "25006":
        return StorageError(
            f"{name} is read-only: it may be a standby",
            hint="name the primary, or add ?target_session_attrs=read-write to several hosts",
        )
    if code in ("42501", "28000", "28P01", "3D000"):
        return ConfigurationError(
            f"{name} refuses its user: {said}",
            hint="check the setting ledger; the user must own the database, or have CREATE on it",
        )
    if isinstance(error, psycopg.DataError) or code == "54000":
        return InvalidRequestError(f"{name} cannot keep a value: {said}")
    return StorageError(f"{name} cannot be used: {said}")


def _unreachable(error: psycopg.Error, name: str, said: str) -> MediaAgentError:
    if _is_refusal(error):
        return ConfigurationError(
            f"{name} cannot be used: {said}", hint="check the setting ledger, or PGPASSFILE"
        )
    return LedgerBusyError(
        f"{name} cannot be reached: {said}", hint="try again when it is back; nothing was written"
    )


def _is_refusal(error: psycopg.Error) -> bool:
    said = str(error)
    return any(each in said for each in _REFUSALS)
