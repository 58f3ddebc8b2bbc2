"""The folders of weights on this machine that a person has named, kept in DATA_DIR/models.json."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pydantic import Field, ValidationError

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import InvalidRequestError, StorageError
from media_agent.storage.files import storage_errors, write_atomically
from media_agent.storage.locks import lock
from media_agent.suggest import did_you_mean
from media_agent_schemas.base import Schema

NAME = r"[a-z0-9][a-z0-9._-]{0,63}"


class LocalModel(Schema):
    """A folder of weights with a name."""

    name: str = Field(pattern=f"^{NAME}$", description="As in backend/name.")
    backend: str = Field(min_length=1, description="The backend that can load it.")
    folder: Path = Field(description="Where the weights are.")
    gguf: dict[str, Path] = Field(
        default={}, description="GGUF files in place of the weights of a component, by its name."
    )


class _File(Schema):
    models: tuple[LocalModel, ...] = Field(default=(), description="In the order they were added.")


class ModelFolders:
    """The named folders of one data folder; several processes may use it at the same time."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "models.json"

    def list(self) -> tuple[LocalModel, ...]:
        """Return what was added, oldest first.

        Raises:
            StorageError: the file cannot be read or is damaged.
        """
        try:
            return _File.model_validate_json(self._path.read_bytes()).models
        except FileNotFoundError:
            return ()
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is damaged"
            raise StorageError(
                f"the list of models {self._path} cannot be read: {reason}",
                hint="repair it, or delete it and add the models again",
            ) from error

    def list_folders(self, backend: str) -> dict[str, Path]:
        """Return the folders of one backend by model name."""
        return {model.name: model.folder for model in self.list() if model.backend == backend}

    def list_gguf(self, backend: str) -> dict[str, dict[str, Path]]:
        """Return the GGUF files of the models of one backend, by model name and component."""
        return {model.name: model.gguf for model in self.list() if model.backend == backend}

    def add(self, model: LocalModel) -> None:
        """Add a model; the same one twice is harmless.

        Raises:
            InvalidRequestError: another folder has this name.
            StorageError: the list cannot be read or written.
        """
        with self._lock():
            if not self.is_known(model):
                self._write((*self.list(), model))

    def is_known(self, model: LocalModel) -> bool:
        """Return whether exactly this model was added.

        Raises:
            InvalidRequestError: another folder has this name.
            StorageError: the list cannot be read.
        """
        taken = self._find(model.name)
        if taken is not None and taken != model:
            raise _taken_error(taken)
        return taken is not None

    def check_free(self, name: str, folder: Path) -> None:
        """Refuse a name that another folder has.

        Raises:
            InvalidRequestError: another folder has it.
            StorageError: the list cannot be read.
        """
        taken = self._find(name)
        if taken is not None and taken.folder != folder:
            raise _taken_error(taken)

    def _find(self, name: str) -> LocalModel | None:
        return next((model for model in self.list() if model.name == name), None)

    def remove(self, name: str) -> LocalModel:
        """Forget a model and return it; its folder is left alone.

        Raises:
            InvalidRequestError: there is none of this name.
            StorageError: the list cannot be read or written.
        """
        with self._lock():
            known = {model.name: model for model in self.list()}
            if name not in known:
                hint = did_you_mean(name, known)
                raise InvalidRequestError(f"unknown model {name!r}", hint=hint)
            removed = known.pop(name)
            self._write(tuple(known.values()))
        return removed

    def _write(self, models: tuple[LocalModel, ...]) -> None:
        write_atomically(self._path, _File(models=models).model_dump_json(indent=2).encode())

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep other processes from changing the list between our reading and our writing."""
        with storage_errors(str(self._path)):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with lock(self._path.with_suffix(".lock"), waits=True):
                yield


def _taken_error(model: LocalModel) -> InvalidRequestError:
    return InvalidRequestError(
        f"the name {model.name} is taken by {model.folder}",
        hint=f"choose another with --name, or: media-agent models remove {model.name}",
    )


def name_of(folder: Path) -> str:
    """Return the name of a model made from that of its folder.

    Raises:
        InvalidRequestError: nothing of the folder's name can be used.
    """
    name = re.sub(r"[^a-z0-9._-]+", "-", folder.name.lower()).strip("-._")[:64]
    if re.fullmatch(NAME, name) is None:
        raise InvalidRequestError(
            f"no model name can be made from {folder}", hint="give one with --name"
        )
    return name


def check_name(name: str) -> str:
    """Return the name if it can be one.

    Raises:
        InvalidRequestError: it cannot.
    """
    if re.fullmatch(NAME, name) is None:
        raise InvalidRequestError(
            f"{name[:80]!r} is not a model name",
            hint="up to 64 lower-case letters, digits, '.', '_' and '-', beginning with one of "
            "the first two",
        )
    return name


def add_models(backend: str, settings: BackendSettings) -> BackendSettings:
    """Return the settings together with the models that were added for this backend."""
    added = ModelFolders(settings.data_dir)
    return replace(
        settings,
        models={**added.list_folders(backend), **settings.models},
        gguf={**added.list_gguf(backend), **settings.gguf},
    )
