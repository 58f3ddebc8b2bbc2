"""The API keys of a server's callers: who may do what, for how much, and until when.

A key is random with 256 bits, so what is kept of it is a plain SHA-256: there is nothing to guess
that a slow hash would protect. It is found by the part of it that is its id, which is no secret.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from media_agent.errors import InvalidRequestError, RateLimitError
from media_agent.ledger.rows import insert, text_of
from media_agent.ledger.state import JobOptions
from media_agent.ledger.store.database import Database, Row, Transaction, reads_row

Scope = Literal["videos:read", "videos:write", "admin"]
SCOPES: frozenset[Scope] = frozenset({"videos:read", "videos:write", "admin"})
LOCAL = "local"
"""The caller of a server without API keys, which listens to this machine only; no owner of one."""

_OWNER = re.compile(r"[A-Za-z0-9][\w.@-]{0,63}", re.ASCII)
_BEGINNING = "sk-ma-"
_MOST = 1e9  # of any limit
_ID_BYTES = 6
_SECRET_BYTES = 32
_COARSE = timedelta(minutes=10)
"""How exact the last use of a key is kept: writing it costs a transaction."""

_IS_OVER = "(revoked_at IS NOT NULL OR coalesce(expires_at <= :now, FALSE))"
_LIMITS = f"""
SELECT min(usd_per_day) AS per_day, min(usd_total) AS total, min(concurrent_jobs) AS jobs
FROM api_keys WHERE owner = :owner
GROUP BY {_IS_OVER} ORDER BY {_IS_OVER} LIMIT 1"""
_AT_WORK = """
SELECT count(*) AS jobs FROM jobs
WHERE caller = :owner AND status IN ('queued', 'in_progress')
    AND part_of IS NULL AND removed_at IS NULL"""


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What a key allows; None: without a limit."""

    owner: str
    """Whose key it is; jobs belong to this name, and so do budgets."""
    scopes: frozenset[Scope]
    usd_per_day: float | None = None
    usd_total: float | None = None
    requests_per_minute: int | None = None
    concurrent_jobs: int | None = None
    expires_at: datetime | None = None
    resale_factor: float | None = None
    """What the owner pays of what jobs cost that were asked with it: 1.3 is 30 % more; None: 1."""
    policies: frozenset[str] = frozenset()
    """Policies of the settings that apply, beside those that apply to all."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key, without its secret."""

    id: str
    digest: str
    terms: KeyTerms
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Return whether it is neither revoked nor expired."""
        expires = self.terms.expires_at
        return self.revoked_at is None and (expires is None or now < expires)

    def is_of(self, secret: str) -> bool:
        """Return whether this is the key, in a time that tells nothing about it."""
        return hmac.compare_digest(self.digest, _digest(secret))

    def is_use_news(self, now: datetime, noted: datetime | None = None) -> bool:
        """Return whether a use now is worth writing; `noted` is one that may not stand here yet."""
        last = max((each for each in (self.last_used_at, noted) if each is not None), default=None)
        return last is None or now - last > _COARSE


@dataclass(frozen=True, slots=True)
class OwnerLimits:
    """What all keys of one owner together allow: the lowest limit of any that is valid.

    Of an owner whose keys are all over the lowest of those: their jobs under way are still theirs.
    """

    usd_per_day: float | None
    usd_total: float | None
    concurrent_jobs: int | None


class ApiKeys:
    """The part of the ledger that knows API keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, terms: KeyTerms, now: datetime) -> tuple[ApiKey, str]:
        """Make a key; return it and its secret, which is kept nowhere.

        Raises:
            InvalidRequestError: the owner has no name that can be one, or a limit is below zero.
        """
        _check_terms(terms)
        name = secrets.token_hex(_ID_BYTES)
        secret = f"{_BEGINNING}{name}-{secrets.token_urlsafe(_SECRET_BYTES)}"
        key = ApiKey(id=name, digest=_digest(secret), terms=terms, created_at=now)
        with self._database.writing() as transaction:
            insert(
                transaction,
                "api_keys",
                id=name,
                owner=terms.owner,
                digest=key.digest,
                scopes=" ".join(sorted(terms.scopes)),
                usd_per_day=terms.usd_per_day,
                usd_total=terms.usd_total,
                resale_factor=terms.resale_factor,
                requests_per_minute=terms.requests_per_minute,
                concurrent_jobs=terms.concurrent_jobs,
                policies=" ".join(sorted(terms.policies)),
                created_at=now,
                expires_at=terms.expires_at,
            )
        return key, secret

    def list(self) -> Sequence[ApiKey]:
        """Return all keys, those that are over too, oldest first."""
        with self._database.reading() as transaction:
            query = "SELECT * FROM api_keys ORDER BY created_at, id"
            return [_key_of(row) for row in transaction.rows(query)]

    def policies_of(self, owner: str, now: datetime) -> frozenset[str]:
        """Return the policies that any valid key of an owner names; if all are over, any of them.

        They hold for all that is theirs, whichever key it was asked with, as budgets do. This
        machine has no key.
        """
        if owner == LOCAL:
            return frozenset()
        query = f"""
            SELECT policies, {_IS_OVER} AS is_over FROM api_keys WHERE owner = :owner"""
        with self._database.reading() as transaction:
            rows = transaction.rows(query, owner=owner, now=text_of(now))
        valid = [row for row in rows if not row["is_over"]]
        return frozenset(name for row in valid or rows for name in row["policies"].split())

    def are_there_any(self) -> bool:
        """Return whether there is a key, or ever was one that was not removed."""
        with self._database.reading() as transaction:
            return transaction.row("SELECT 1 FROM api_keys LIMIT 1") is not None

    def revoke(self, key_id: str, now: datetime) -> None:
        """Let a key be valid no longer; harmless when it is not.

        Raises:
            InvalidRequestError: there is none of this id.
        """
        with self._database.writing() as transaction:
            _check_there(transaction, key_id)
            statement = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, :now) WHERE id = :id"
            transaction.change(statement, id=key_id, now=text_of(now))

    def remove(self, key_id: str) -> None:
        """Forget a key; as long as any is known, a server asks for one.

        Raises:
            InvalidRequestError: there is none of this id.
        """
        with self._database.writing() as transaction:
            _check_there(transaction, key_id)
            transaction.change("DELETE FROM api_keys WHERE id = :id", id=key_id)

    def note_use(self, key_id: str, now: datetime) -> None:
        """Keep when a key was used."""
        with self._database.writing(durably=False) as transaction:
            statement = "UPDATE api_keys SET last_used_at = :now WHERE id = :id"
            transaction.change(statement, id=key_id, now=text_of(now))


def limits_of(transaction: Transaction, owner: str, now: datetime) -> OwnerLimits:
    """Return what the keys of an owner allow together; this machine has none, and no limit."""
    if owner == LOCAL:
        return OwnerLimits(None, None, None)
    row = transaction.row(_LIMITS, owner=owner, now=text_of(now))
    if row is None:
        return OwnerLimits(None, None, None)
    return OwnerLimits(row["per_day"], row["total"], row["jobs"])


def check_one_more(transaction: Transaction, terms: JobOptions, now: datetime) -> None:
    """Check that a job of these terms may be under way, beside those of its caller that are.

    Raises:
        RateLimitError: as many as their keys allow are.
    """
    owner = terms.caller
    if owner is None or terms.part_of is not None:
        return
    most = limits_of(transaction, owner, now).concurrent_jobs
    if most is None:
        return
    (row,) = transaction.rows(_AT_WORK, owner=owner)
    if row["jobs"] >= most:
        raise RateLimitError(
            f"{row['jobs']} jobs of {owner} are under way, and {most} may be at once",
            hint="wait until one has ended",
        )


def id_of(secret: str) -> str | None:
    """Return the id in what may be a key, None if it is not written like one."""
    if not secret.startswith(_BEGINNING):
        return None
    return secret.removeprefix(_BEGINNING).partition("-")[0]


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _check_terms(terms: KeyTerms) -> None:
    if _OWNER.fullmatch(terms.owner) is None or terms.owner == LOCAL:
        raise InvalidRequestError(
            f"{terms.owner[:80]!r} cannot be the owner of an API key",
            hint="a name has up to 64 letters, digits and . _ @ -, and begins with a letter or a "
            f"digit; {LOCAL!r} is this machine",
        )
    if not terms.scopes:
        raise InvalidRequestError("a key without a scope allows nothing")
    for name, limit, least in (
        ("budget per day", terms.usd_per_day, 0),
        ("budget in total", terms.usd_total, 0),
        ("resale factor", terms.resale_factor, 0),
        ("number of calls a minute", terms.requests_per_minute, 1),
        ("number of jobs at once", terms.concurrent_jobs, 1),
    ):
        if limit is not None and not least <= limit <= _MOST:
            raise InvalidRequestError(f"the {name} is {limit:g}; it is {least} to {_MOST:g}")


def _check_there(transaction: Transaction, key_id: str) -> None:
    if transaction.row("SELECT 1 FROM api_keys WHERE id = :id", id=key_id) is None:
        raise InvalidRequestError(
            "there is no API key of this id", hint="media-agent server-keys list shows them"
        )


@reads_row
def _key_of(row: Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        digest=row["digest"],
        terms=KeyTerms(
            owner=row["owner"],
            scopes=frozenset(each for each in SCOPES if each in row["scopes"].split()),
            usd_per_day=row["usd_per_day"],
            usd_total=row["usd_total"],
            resale_factor=row["resale_factor"],
            requests_per_minute=row["requests_per_minute"],
            concurrent_jobs=row["concurrent_jobs"],
            policies=frozenset(row["policies"].split()),
            expires_at=_time_of(row["expires_at"]),
        ),
        created_at=datetime.fromisoformat(row["created_at"]),
        last_used_at=_time_of(row["last_used_at"]),
        revoked_at=_time_of(row["revoked_at"]),
    )


def _time_of(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
