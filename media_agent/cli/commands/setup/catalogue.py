"""The commands about the catalogue: read newer facts about models, show them, drop them again."""

from typing import TYPE_CHECKING

from cyclopts import App

from media_agent.cli.arguments import Flag
from media_agent.cli.screen import write_json, write_stdout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from media_agent.config.settings import Settings
    from media_agent.routing.refresh.update import CatalogueUpdate, Difference

_SHOWN = 40  # differences; the rest is counted


def build_catalogue_app() -> App:
    """Return the commands about the catalogue."""
    app = App(name="catalogue", help="Read newer prices and other facts about models.")
    app.command(update)
    app.command(show)
    app.command(verify)
    app.command(reset)
    return app


def update(url: str | None = None, /, *, dry_run: Flag = False, json: Flag = False) -> int:
    """Read a signed file of newer facts, and put it over what this release knows.

    The signature lies at the same address with .sig behind it, and must be of the key that
    public_key under [catalogue] of the settings says.

    Args:
        url: An https address; default: the url under [catalogue].
        dry_run: Show what would change, and change nothing.
        json: Print JSON: {"date", "changes": [...], "left_out": [...]}.
    """
    import asyncio
    from datetime import UTC, datetime

    from media_agent.errors import InvalidRequestError
    from media_agent.routing.refresh.check import check_newer, check_update
    from media_agent.routing.refresh.fetch import fetch_update
    from media_agent.routing.refresh.stored import UpdateStore

    settings, now = _load_settings(), datetime.now(UTC)
    place, store = url or settings.catalogue.url, UpdateStore(settings.data_dir)
    if place is None:
        raise InvalidRequestError("no address", hint="give a URL, or set url under [catalogue]")
    content, signature = asyncio.run(fetch_update(place))
    key = settings.catalogue.public_key
    found = check_update(content, signature, key, known=store.get(), today=now.date())
    changes = _list_changes(settings, found)
    if not dry_run:
        with store.held():
            check_newer(found, store.get())  # another run may have read one meanwhile
            store.put(place, content, signature, now)
    if json:
        write_json(_as_json(found, changes))
        return 0
    _show(found, changes)
    write_stdout("nothing was changed" if dry_run else f"kept in {store.path}")
    return 0


def show(*, json: Flag = False) -> int:
    """Show the update that is in use: where it is from, and what it changes.

    Args:
        json: Print JSON: {"date", "changes": [...], "left_out": [...]}, or {} without an update.
    """
    from media_agent.routing.refresh.stored import UpdateStore

    settings = _load_settings()
    stored = UpdateStore(settings.data_dir).get()
    if stored is None:
        if json:
            write_json({})
        else:
            write_stdout("no update is in use; the facts are those of this release")
        return 0
    found = stored.read()
    changes = _list_changes(settings, found)
    if json:
        origin = stored.model_dump(mode="json", include={"url", "fetched_at"})
        write_json(origin | _as_json(found, changes))
        return 0
    write_stdout(f"read from {stored.url} at {stored.fetched_at:%Y-%m-%d %H:%M} UTC")
    _show(found, changes)
    return 0


def verify() -> int:
    """Check the signature of the update that is in use again, with the key in the settings."""
    from media_agent.errors import InvalidRequestError
    from media_agent.routing.refresh.check import check_signature
    from media_agent.routing.refresh.stored import UpdateStore

    settings = _load_settings()
    stored = UpdateStore(settings.data_dir).get()
    if stored is None:
        raise InvalidRequestError("no update is in use", hint="media-agent catalogue update")
    check_signature(
        stored.content.encode(), stored.signature_bytes(), settings.catalogue.public_key
    )
    write_stdout(f"the catalogue of {stored.read().date} is signed with the key in the settings")
    return 0


def reset() -> int:
    """Remove the update, so that the facts of this release hold again."""
    from media_agent.routing.refresh.stored import UpdateStore

    removed = UpdateStore(_load_settings().data_dir).remove()
    write_stdout("the update was removed" if removed else "no update is in use")
    return 0


def _load_settings() -> "Settings":
    from media_agent.config.settings import load_settings

    return load_settings()


def _list_changes(settings: "Settings", found: "CatalogueUpdate") -> "list[Difference]":
    """Return what an update changes of the facts of this release."""
    from media_agent.registry.registry import Registry
    from media_agent.routing.catalogue import Catalogue
    from media_agent.routing.listing import list_all
    from media_agent.routing.refresh.update import list_differences

    registry = Registry(kinds=settings.kinds())
    listed: dict[str, set[str]] = {}
    for each in list_all(registry, settings).models:
        kind = each.capabilities.kind or each.capabilities.backend
        listed.setdefault(kind, set()).add(each.capabilities.model)
    return list(list_differences(found, Catalogue.load(registry.specs).files, listed))


def _show(found: "CatalogueUpdate", changes: "Sequence[Difference]") -> None:
    write_stdout(f"catalogue of {found.date}: {len(changes)} changes")
    for change in changes[:_SHOWN]:
        write_stdout(f"  {change}")
    if len(changes) > _SHOWN:
        write_stdout(f"  and {len(changes) - _SHOWN} more: --json lists them")
    for said in found.left_out:
        write_stdout(f"left out: {said}")


def _as_json(found: "CatalogueUpdate", changes: "Sequence[Difference]") -> dict[str, object]:
    from dataclasses import asdict

    return {
        "date": found.date.isoformat(),
        "changes": [asdict(change) for change in changes],
        "left_out": list(found.left_out),
    }
