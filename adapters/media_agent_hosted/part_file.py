"""A file that is there whole or not at all, hashed while it is written."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from media_agent.errors import StorageError


class PartFile:
    """Is written beside its place and moved there at the end; after trouble nothing is left."""

    def __init__(self, path: Path) -> None:
        self.size = 0
        self._path = path
        self._aside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The digest of what was written so far, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, piece: bytes) -> None:
        """Append some bytes.

        Raises:
            StorageError: the disk does not take them.
        """
        with self._storage_errors():
            self._file.write(piece)
        self._digest.update(piece)
        self.size += len(piece)

    def __enter__(self) -> Self:
        with self._storage_errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._aside.open("xb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            with self._storage_errors(), self._file:
                if kind is None:
                    self._file.flush()
                    os.fsync(self._file.fileno())
                    self._aside.replace(self._path)
        finally:
            self._aside.unlink(missing_ok=True)

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"{self._path} cannot be written: {error.strerror or error}",
                hint="free some space, or choose another data folder",
            ) from error
