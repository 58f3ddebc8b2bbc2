"""The keys that `media-agent keys set` stores in the user's configuration folder, private."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_config_path
from pydantic import ConfigDict, Field, ValidationError

from media_agent.errors import ConfigurationError, InvalidRequestError
from media_agent.storage.files import is_open_to_others, storage_errors, write_atomically
from media_agent_schemas.base import Schema

_OWN_EYES, _OWN_FOLDER = 0o600, 0o700
_LOGGER = logging.getLogger(__name__)


class StoredKey(Schema):
    """One key, and the address it was stored for."""

    model_config = ConfigDict(hide_input_in_errors=True)

    key: str = Field(min_length=1, repr=False)
    base_url: str | None = Field(default=None, description="Null: the provider's own.")


class _File(Schema):
    model_config = ConfigDict(hide_input_in_errors=True)

    keys: dict[str, StoredKey] = Field(default={})


class StoredKeys:
    """The stored keys by the name of their backend; several processes may use them at once."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = user_config_path("media-agent") / "keys.json" if path is None else path

    def read(self) -> Mapping[str, StoredKey]:
        """Return all keys.

        Raises:
            ConfigurationError: the file cannot be read, or is damaged.
        """
        try:
            keys = _File.model_validate_json(self.path.read_bytes()).keys
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is damaged"
            raise ConfigurationError(
                f"the stored keys {self.path} cannot be read: {reason}",
                hint="repair the file, or delete it and store the keys again",
            ) from None
        if is_open_to_others(self.path):
            _LOGGER.warning("others can read the stored keys %s: chmod 600 it", self.path)
        return keys

    def set(self, name: str, key: StoredKey) -> None:
        """Store a key, in place of another one for this backend.

        Raises:
            ConfigurationError, StorageError: the file cannot be read or written.
        """
        with self._lock():
            self._write({**self.read(), name: key})

    def remove(self, name: str) -> None:
        """Forget a key.

        Raises:
            InvalidRequestError: none is stored for this backend.
            ConfigurationError, StorageError: the file cannot be read or written.
        """
        with self._lock():
            keys = dict(self.read())
            if keys.pop(name, None) is None:
                raise InvalidRequestError(
                    "no key is stored for this backend", hint="media-agent keys list shows them"
                )
            self._write(keys)

    def _write(self, keys: Mapping[str, StoredKey]) -> None:
        content = _File(keys=dict(keys)).model_dump_json(indent=2).encode()
        write_atomically(self.path, content, mode=_OWN_EYES)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep other processes from changing the file between our reading and our writing."""
        from media_agent.storage.locks import lock

        with storage_errors(str(self.path)):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=_OWN_FOLDER)
            with lock(self.path.with_suffix(".lock"), waits=True):
                yield
