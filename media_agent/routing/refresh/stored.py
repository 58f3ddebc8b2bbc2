"""The update that is in use, kept in the data folder with its signature."""

import base64
import datetime
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import AwareDatetime, Field, ValidationError

from media_agent.errors import StorageError
from media_agent.routing.refresh.update import CatalogueUpdate, read_update
from media_agent.storage.files import storage_errors, write_atomically
from media_agent.storage.locks import lock
from media_agent_schemas.base import Schema


class StoredUpdate(Schema):
    """A file as it came, and where from."""

    url: str = Field(description="Where it was read.")
    fetched_at: AwareDatetime = Field(description="When.")
    signature: str = Field(description="Of the file, in base64.")
    content: str = Field(description="The file itself, as text.")

    def read(self) -> CatalogueUpdate:
        """Return what it says."""
        return read_update(self.content.encode())

    def signature_bytes(self) -> bytes:
        """Return the signature; b"": it is none."""
        try:
            return base64.b64decode(self.signature, validate=True)
        except ValueError:
            return b""


class UpdateStore:
    """The place of the update in one data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "catalogue.json"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no other process change the update meanwhile.

        Raises:
            StorageError: the folder cannot be written.
        """
        with storage_errors(str(self.path)), ExitStack() as held:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(lock(self.path.with_suffix(".lock"), waits=True))
            yield

    def get(self) -> StoredUpdate | None:
        """Return the update in use, None if there is none.

        Raises:
            StorageError: the file is damaged or cannot be read.
        """
        try:
            return StoredUpdate.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is damaged"
            raise StorageError(
                f"the catalogue {self.path} cannot be read: {reason}",
                hint="media-agent catalogue reset removes it",
            ) from None

    def put(self, url: str, content: bytes, signature: bytes, now: datetime.datetime) -> None:
        """Keep an update, in place of another one, whole or not at all."""
        stored = StoredUpdate(
            url=url,
            fetched_at=now,
            signature=base64.b64encode(signature).decode(),
            content=content.decode(),
        )
        with storage_errors(str(self.path)):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, stored.model_dump_json(indent=2).encode())

    def remove(self) -> bool:
        """Remove the update; return whether there was one."""
        with storage_errors(str(self.path)):
            was_there = self.path.exists()
            self.path.unlink(missing_ok=True)
        return was_there
