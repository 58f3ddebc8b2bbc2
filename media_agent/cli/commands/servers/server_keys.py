"""The commands about the API keys of a server's callers: make one, list them, revoke one."""

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from media_agent.cli.arguments import Flag, Number, read_number, read_until, read_whole_number
from media_agent.cli.screen import write_json, write_stderr, write_stdout, write_table

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic import JsonValue

    from media_agent.ledger.serving.api_keys import ApiKey

Policies = Annotated[tuple[str, ...], Parameter(name="--policy", negative=())]
Scopes = Annotated[
    tuple[Literal["videos:read", "videos:write", "admin"], ...], Parameter(negative=())
]


def build_server_keys_app() -> App:
    """Return the commands about the keys of callers."""
    app = App(
        name="server-keys", help="Make, list or revoke the API keys that media-agent serve takes."
    )
    app.command(add_key, name="add")
    app.command(list_keys, name="list")
    app.command(revoke_key, name="revoke")
    app.command(remove_key, name="rm")
    return app


def add_key(
    owner: str,
    /,
    *,
    scope: Scopes = ("videos:read", "videos:write"),
    budget_per_day: Number = None,
    budget_total: Number = None,
    resale_factor: Number = None,
    rpm: Number = None,
    concurrent: Number = None,
    policies: Policies = (),
    expires: str | None = None,
    json: Flag = False,
) -> int:
    """Make an API key and print it, once: only a digest of it is kept.

    Args:
        owner: Whose key it is: jobs and costs belong to this name, which several keys may share.
        scope: What it allows; may be repeated. With admin all jobs are seen.
        budget_per_day: USD that may be spent on one day (UTC).
        budget_total: USD that may be spent in all.
        resale_factor: What is paid of the cost of jobs asked with it, such as 1.3; usage counts it.
        rpm: Calls a minute.
        concurrent: Jobs under way at once.
        policies: A policy of the settings, [policies.NAME], that applies; may be repeated.
        expires: When it is over: a span such as 90d or 2w, or a date such as 2027-06-01.
        json: Print JSON: the key as in list, and "key", the secret.
    """
    from datetime import UTC, datetime

    from media_agent.cli.store import open_ledger
    from media_agent.ledger.serving.api_keys import KeyTerms

    now = datetime.now(UTC)
    _check_policies(policies)
    terms = KeyTerms(
        owner=owner,
        scopes=frozenset(scope),
        usd_per_day=read_number("budget-per-day", budget_per_day),
        usd_total=read_number("budget-total", budget_total),
        resale_factor=read_number("resale-factor", resale_factor),
        requests_per_minute=read_whole_number("rpm", rpm),
        concurrent_jobs=read_whole_number("concurrent", concurrent),
        policies=frozenset(policies),
        expires_at=None if expires is None else read_until("expires", expires, now),
    )
    key, secret = open_ledger().api_keys.add(terms, now)
    if json:
        write_json(_as_json(key, now) | {"key": secret})
        return 0
    write_stdout(secret)
    write_stderr(f"this is the key of {owner}, shown this once; its id is {key.id}")
    return 0


def list_keys(*, json: Flag = False) -> int:
    """List the keys of callers, oldest first; never the secrets.

    Args:
        json: Print JSON: {"data": [{"id", "owner", "scopes", ...}, ...]}.
    """
    from datetime import UTC, datetime

    from media_agent.cli.store import open_ledger

    now = datetime.now(UTC)
    keys = open_ledger().api_keys.list()
    if json:
        write_json({"data": [_as_json(key, now) for key in keys]})
    elif keys:
        heads = (
            "ID",
            "OWNER",
            "STATE",
            "SCOPES",
            "USD/DAY",
            "USD",
            "RESALE",
            "RPM",
            "JOBS",
            "POLICIES",
            "USED",
        )
        write_table(heads, [_as_row(key, now) for key in keys])
    else:
        write_stdout("no keys yet; make one with media-agent server-keys add NAME")
    return 0


def revoke_key(key_id: str, /) -> int:
    """Let a key be valid no longer; a running server knows within 5 seconds.

    Jobs that were begun with it continue.

    Args:
        key_id: Id of the key, as shown by server-keys list; the key itself will do.
    """
    from datetime import UTC, datetime

    from media_agent.cli.store import open_ledger
    from media_agent.ledger.serving.api_keys import id_of

    open_ledger().api_keys.revoke(id_of(key_id) or key_id, datetime.now(UTC))
    write_stdout("the key was revoked")
    return 0


def remove_key(key_id: str, /) -> int:
    """Remove a key from the list; without any key a server takes calls of this machine only.

    Args:
        key_id: Id of the key, as shown by server-keys list.
    """
    from media_agent.cli.store import open_ledger
    from media_agent.ledger.serving.api_keys import id_of

    open_ledger().api_keys.remove(id_of(key_id) or key_id)
    write_stdout("the key was removed")
    return 0


def _check_policies(names: tuple[str, ...]) -> None:
    """Refuse a policy that the settings do not have: with it nothing would be made.

    Raises:
        InvalidRequestError: there is none of this name.
    """
    from media_agent.config.settings import load_settings
    from media_agent.errors import InvalidRequestError
    from media_agent.suggest import did_you_mean

    known = load_settings().policies if names else {}
    for name in names:
        if name not in known:
            raise InvalidRequestError(
                f"the settings have no policy {name!r}",
                hint=f"{did_you_mean(name, known)}; policies are sections [policies.NAME]",
            )


def _as_json(key: "ApiKey", now: "datetime") -> "dict[str, JsonValue]":
    terms = key.terms
    times = {
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "expires_at": terms.expires_at,
        "revoked_at": key.revoked_at,
    }
    return {
        "id": key.id,
        "owner": terms.owner,
        "valid": key.is_valid(now),
        "scopes": [str(scope) for scope in sorted(terms.scopes)],
        "budget_per_day_usd": terms.usd_per_day,
        "budget_total_usd": terms.usd_total,
        "resale_factor": terms.resale_factor,
        "requests_per_minute": terms.requests_per_minute,
        "concurrent_jobs": terms.concurrent_jobs,
        "policies": [*sorted(terms.policies)],
        **{name: None if time is None else time.isoformat() for name, time in times.items()},
    }


def _as_row(key: "ApiKey", now: "datetime") -> tuple[str, ...]:
    terms, used = key.terms, key.last_used_at
    over = "expired" if key.revoked_at is None else "revoked"
    limits = (
        terms.usd_per_day,
        terms.usd_total,
        terms.resale_factor,
        terms.requests_per_minute,
        terms.concurrent_jobs,
    )
    return (
        key.id,
        terms.owner,
        "valid" if key.is_valid(now) else over,
        " ".join(sorted(terms.scopes)),
        *("-" if limit is None else f"{limit:g}" for limit in limits),
        " ".join(sorted(terms.policies)) or "-",
        "never" if used is None else f"{used.astimezone():%Y-%m-%d %H:%M}",
    )
