"""What fetching a model means, before it is done: which files, how much, where, on whose terms."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError, PluginError, StorageError
from media_agent.hub.client import Hub
from media_agent.hub.repository import HubFile, Repository, look_up, read
from media_agent.storage.files import free_bytes

ChooseFiles = Callable[[Path, str | None], tuple[str, ...]]
"""As `BackendSpec.choose_files`."""

_LARGEST_SMALL = 4 * 2**20  # bytes of a JSON file that is read for the plan
_DEPTH = 2  # parts of a name: a component and a file of it
_DEEP = 6  # of the files of a model in a repository of several
_DEEP_KINDS = (".json", ".safetensors", ".zst", ".bin", ".model")


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What would be fetched."""

    repository: Repository
    folder: Path
    files: tuple[HubFile, ...]
    free_bytes: int | None
    """On the disk of the folder; None: nobody can say."""

    @property
    def total_bytes(self) -> int:
        """What the model takes on the disk."""
        return sum(file.size for file in self.files)

    @property
    def missing_bytes(self) -> int:
        """What is not there yet."""
        return sum(file.size - count_present(self.folder, file) for file in self.files)

    def check_space(self) -> None:
        """Refuse a disk that is too small.

        Raises:
            StorageError: more is missing than is free.
        """
        if self.free_bytes is not None and self.missing_bytes > self.free_bytes:
            raise StorageError(
                f"{self.missing_bytes} bytes are to be fetched, and {self.free_bytes} are free "
                f"for {self.folder}",
                hint="free some space, or set MEDIA_AGENT_DATA_DIR to a folder on another disk",
            )

    def as_json(self) -> dict[str, JsonValue]:
        """Return it for programs."""
        return {
            "repository": self.repository.name,
            "commit": self.repository.commit,
            "licence": self.repository.licence,
            "gated": self.repository.is_gated,
            "folder": str(self.folder),
            "files": [{"name": file.name, "bytes": file.size} for file in self.files],
            "total_bytes": self.total_bytes,
            "missing_bytes": self.missing_bytes,
            "free_bytes": self.free_bytes,
        }


async def plan_fetch(
    hub: Hub,
    name: str,
    *,
    folder: Path,
    choose: ChooseFiles,
    revision: str = "main",
    variant: str | None = None,
) -> FetchPlan:
    """Look at a repository and choose its files; nothing is written to `folder`.

    Raises:
        InvalidRequestError: there is no such repository, or no backend could use it.
        MediaAgentError: the hub refuses or cannot be reached, or `choose` is at fault.
    """
    repository = await look_up(hub, name, revision)
    if repository.is_gated and not hub.has_token:
        raise hub.gated_error(name)
    with tempfile.TemporaryDirectory() as temporary:
        skeleton = Path(temporary)
        await _draw(hub, repository, skeleton)
        try:
            chosen = choose(skeleton, variant)
        except StorageError as error:
            said = error.message.replace(str(skeleton), name)
            hint = "models in the layout of diffusers, or of MAGI-1, can be fetched"
            raise InvalidRequestError(said, hint=hint) from error
    unknown = [each for each in chosen if each not in repository.files]
    if unknown:
        raise PluginError(f"files were chosen that {name} does not have: {', '.join(unknown[:3])}")
    files = tuple(repository.files[each] for each in dict.fromkeys(chosen))
    return FetchPlan(repository, folder, files, free_bytes(folder))


def count_present(folder: Path, file: HubFile) -> int:
    """Return how many bytes of a file are there: all, or those of a download that broke off."""
    for path in (folder / file.name, part_of(folder, file)):
        if path.is_file() and path.stat().st_size <= file.size:
            return path.stat().st_size
    return 0


def part_of(folder: Path, file: HubFile) -> Path:
    """Return where an unfinished file is; another content has another place."""
    path = folder / file.name
    return path.with_name(f"{path.name}.{(file.sha256 or file.git_hash or 'new')[:12]}.part")


async def _draw(hub: Hub, repository: Repository, skeleton: Path) -> None:
    """Write the repository with its small JSON files, and with all others empty."""
    for file in repository.files.values():
        path = PurePosixPath(file.name)
        most = _DEEP if path.suffix in _DEEP_KINDS else _DEPTH
        if len(path.parts) > most:
            continue
        is_read = path.suffix == ".json" and file.size <= _LARGEST_SMALL
        content = b""
        if is_read:
            place = repository.path_of(file.name)
            content = await read(hub, place, repository.name, _LARGEST_SMALL)
        target = skeleton / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
