"""Digests of weights, remembered as long as a file keeps its size and time of change."""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from media_agent.storage.files import write_atomically
from media_agent_diffusers.model_folder.folder import ModelFolder

_BLOCK = 1 << 24


class DigestCache:
    """Knows the SHA-256 of files of weights; reading tens of gigabytes twice is avoided.

    The digest of a folder is that of the lines which `sha256sum` prints for the files that are
    loaded; where there are no others: `LC_ALL=C ls */*.safetensors | xargs sha256sum | sha256sum`.
    A GGUF file counts as if it lay in the subfolder of its component.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def find_known(self, folder: ModelFolder) -> str | None:
        """Return the digest if no file changed since it was taken; reads no weights."""
        remembered = self._read()
        digests = {}
        for name, file in folder.name_weights().items():
            mark = remembered.get(str(file.resolve()))
            if mark is None or mark[:2] != _state(file):
                return None
            digests[name] = str(mark[2])
        return _digest_of(digests)

    def digest(self, folder: ModelFolder, check: Callable[[], None]) -> str:
        """Return the digest; `check` is called now and then and may raise to stop."""
        files = folder.name_weights()
        digests = self.file_digests(files.values(), check)
        return _digest_of(dict(zip(files, digests, strict=True)))

    def file_digests(self, files: Iterable[Path], check: Callable[[], None]) -> list[str]:
        """Return the digest of each file, read if it is new or was changed."""
        remembered = self._read()
        digests, is_new = [], False
        for file in files:
            key, state = str(file.resolve()), _state(file)
            if remembered.get(key, [])[:2] != state:
                remembered[key] = [*state, _sha256(file, check)]
                is_new = True
            digests.append(str(remembered[key][2]))
        if is_new:
            self._write(remembered)
        return digests

    def _read(self) -> dict[str, list[object]]:
        try:
            data = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # as good as empty: everything is read again
        entries = data.items() if isinstance(data, dict) else ()
        return {key: mark for key, mark in entries if isinstance(mark, list) and len(mark) == 3}

    def _write(self, remembered: dict[str, list[object]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, json.dumps(remembered, indent=1).encode())


def _state(file: Path) -> list[object]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


def _sha256(file: Path, check: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as reader:
        while block := reader.read(_BLOCK):
            check()
            digest.update(block)
    return digest.hexdigest()


def _digest_of(digests: dict[str, str]) -> str:
    lines = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    return hashlib.sha256(lines.encode()).hexdigest()
