"""The commands about keys: store one, list where each comes from, remove one."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cyclopts import App

from media_agent.cli.arguments import Flag
from media_agent.cli.screen import write_json, write_stdout, write_table

if TYPE_CHECKING:
    from media_agent.config.settings import Settings
    from media_agent.registry.registry import Registry

_LONGEST = 2**16  # characters


def build_keys_app() -> App:
    """Return the commands about keys."""
    app = App(name="keys", help="Store the keys of hosted backends, list them, or remove one.")
    app.command(set_key, name="set")
    app.command(list_keys, name="list")
    app.command(remove_key, name="rm")
    return app


def set_key(name: str, /) -> int:
    """Store the key of a backend, typed without echo, or read from standard input.

    Only you can read the file. A key in the settings, or in the backend's usual variable, goes
    before it.

    Args:
        name: Backend, as listed by media-agent backends.
    """
    from media_agent.config.keys import find_address
    from media_agent.config.stored_keys import StoredKey, StoredKeys

    settings, registry = _look()
    _check_backend(name, registry)
    stored = StoredKeys()
    address = find_address(settings.base_url(name), registry.spec(name))
    stored.set(name, StoredKey(key=_read_key(name), base_url=address))
    write_stdout(f"the key of {name} is stored in {stored.path}")
    found = settings.find_key(name, registry.spec(name))
    if found.source is not None and not found.is_stored:
        write_stdout(f"it is not used as long as there is a key from {found.source}")
    return 0


def list_keys(*, json: Flag = False) -> int:
    """List the backends that have a key, and where it comes from; never the key itself.

    Args:
        json: Print JSON: {"data": [{"name", "from", "used"}, ...]}.
    """
    rows = list(_list_sources(*_look()))
    if json:
        write_json(
            {"data": [{"name": n, "from": source, "used": used} for n, source, used in rows]}
        )
    elif rows:
        write_table(
            ("BACKEND", "KEY FROM", "USED"),
            [(n, s, "yes" if used else "no") for n, s, used in rows],
        )
    else:
        write_stdout("no keys yet; store one with media-agent keys set BACKEND")
    return 0


def remove_key(name: str, /) -> int:
    """Remove a stored key; keys in settings, variables and files are left alone.

    Args:
        name: Backend, as shown by keys list.
    """
    from media_agent.config.stored_keys import StoredKeys

    StoredKeys().remove(name)
    write_stdout("the key was removed")
    return 0


def _look() -> "tuple[Settings, Registry]":
    from media_agent.config.settings import load_settings
    from media_agent.registry.registry import Registry

    settings = load_settings()
    return settings, Registry(kinds=settings.kinds())


def _check_backend(name: str, registry: "Registry") -> None:
    """Refuse the name of no backend; what was typed may be the key, and is not repeated then.

    Raises:
        InvalidRequestError: there is none of this name.
    """
    from media_agent.concealing import HIDDEN, looks_like_a_key
    from media_agent.errors import InvalidRequestError
    from media_agent.suggest import did_you_mean

    if name not in registry.names():
        shown = HIDDEN if looks_like_a_key(name) else repr(name)
        hint = did_you_mean("" if shown == HIDDEN else name, registry.names())
        raise InvalidRequestError(f"unknown backend {shown}", hint=hint)


def _read_key(name: str) -> str:
    """Return the key that is typed or piped in.

    Raises:
        InvalidRequestError: there is none, or it is more than one line.
    """
    import sys
    from getpass import getpass

    from media_agent.errors import InvalidRequestError

    try:
        if sys.stdin is None:  # closed
            key = ""
        elif sys.stdin.isatty():
            key = getpass(f"key of {name}: ", stream=sys.stderr)
        else:
            key = sys.stdin.read(_LONGEST + 1)
    except EOFError:
        key = ""
    key = key.strip()
    if not key.isprintable() or not key or len(key) > _LONGEST:
        raise InvalidRequestError(
            "a key is one line of text" if key else "no key was given",
            hint=f"media-agent keys set {name} asks for it, or reads it from standard input",
        )
    return key


def _list_sources(settings: "Settings", registry: "Registry") -> Iterator[tuple[str, str, bool]]:
    """Yield backend, source of its key, and whether that key is used."""
    from media_agent.config.stored_keys import StoredKeys

    stored = StoredKeys().read()
    for name in sorted({*registry.names(), *stored}):
        found = settings.find_key(name, registry.spec(name))
        if found.key is not None and found.source is not None:
            yield name, found.source, True
        if name in stored and not found.is_stored:
            yield name, f"the key stored for {name}", False
