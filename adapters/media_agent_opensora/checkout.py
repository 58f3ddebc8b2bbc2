"""What a checkout of Open-Sora lacks; its configurations are read, never run."""

import ast
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from media_agent.backend.python_text import parse_python

SCRIPT = "scripts/diffusion/inference.py"
CONFIGS = "configs/diffusion/inference"
UNSUPPORTED = (
    "Open-Sora 1.x and Open-Sora Plan are not supported, because other programs with other "
    "arguments and other weights run them"
)
_WEIGHTS = "ckpts"
_CLONE = "git clone https://github.com/hpcaitech/Open-Sora"
_DOWNLOAD = "hf download hpcai-tech/Open-Sora-v2 --local-dir"


@dataclass(frozen=True, slots=True)
class Checkout:
    """The folders of Open-Sora on this machine."""

    folder: Path
    torchrun: Path
    ckpts: Path | None = None
    """Where the weights are, if not in the checkout."""

    def find_missing(self, config: str, search: str | None) -> str | None:
        """Return what a run of a configuration would lack, and how to get it; None: nothing.

        Args:
            config: The name of its file.
            search: The folders in which programs are looked for, as in PATH.
        """
        if not self.folder.is_dir():
            return f"a checkout: {self.folder} is no folder; {_CLONE}"
        if not (self.folder / SCRIPT).is_file():
            return f"{SCRIPT}: {self._name_what_it_is()}"
        if not (self.folder / CONFIGS / config).is_file():
            return f"{CONFIGS}/{config}: check out the main branch of Open-Sora again"
        try:
            absent = [path for path in self.find_weights(config).values() if _is_empty(path)]
        except (OSError, SyntaxError, ValueError, RecursionError) as error:
            return f"a readable {CONFIGS}/{config}: {error}"
        if absent:
            names = ", ".join(self._shorten(path) for path in absent)
            return f"{names}: {_DOWNLOAD} {self.ckpts or self.folder / _WEIGHTS}"
        if shutil.which(self.torchrun, path=search) is None:
            return (
                f"torchrun: {self.torchrun} was not found; name that of the environment in which "
                "Open-Sora is installed"
            )
        return None

    def find_weights(self, config: str) -> dict[str, Path]:
        """Return each file or folder of weights that a configuration names, by its key.

        Raises:
            OSError: a file that it is based on cannot be read.
            SyntaxError, ValueError, RecursionError: one of them is no configuration.
        """
        found = {}
        for key, text in _read_texts(self.folder / CONFIGS / config).items():
            parts = Path(text).parts
            if parts[:1] == (_WEIGHTS,) and len(parts) > 1:
                found[key] = (self.ckpts or self.folder / _WEIGHTS).joinpath(*parts[1:])
        return found

    def _shorten(self, path: Path) -> str:
        return str(path.relative_to(self.folder) if path.is_relative_to(self.folder) else path)

    def _name_what_it_is(self) -> str:
        """Return why a folder without the script cannot be used."""
        if (self.folder / "opensora" / "sample").is_dir():
            return f"{self.folder} is Open-Sora Plan; {UNSUPPORTED}; {_CLONE}"
        if (self.folder / "scripts" / "inference.py").is_file():
            return f"{self.folder} is Open-Sora 1.x; {UNSUPPORTED}; check out its main branch"
        return f"{self.folder} is no checkout of Open-Sora 2.0; {_CLONE}"


def _is_empty(path: Path) -> bool:
    """Return whether a file or folder of weights is not there, or has nothing in it."""
    if path.is_dir():
        return not any(path.iterdir())
    return not path.exists() or path.stat().st_size == 0


def _read_texts(path: Path) -> Mapping[str, str]:
    """Return the texts in a configuration and in those that it is based on, by dotted key."""
    text = path.read_text(encoding="utf-8")
    tree = parse_python(text, path)
    own: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            own |= dict(_walk_texts(node.targets[0].id, node.value))
    known: dict[str, str] = {}
    for key, base in own.items():
        if key.partition(".")[0] == "_base_":
            known |= _read_texts(path.parent / base)
    return known | own


def _walk_texts(key: str, node: ast.expr) -> Iterator[tuple[str, str]]:
    match node:
        case ast.Constant(value=str(text)):
            yield key, text
        case ast.Call(func=ast.Name(id="dict"), keywords=keywords):
            for each in keywords:
                yield from _walk_texts(f"{key}.{each.arg}", each.value)
        case ast.Dict(keys=keys, values=values):
            for name, value in zip(keys, values, strict=True):
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    yield from _walk_texts(f"{key}.{name.value}", value)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            for index, item in enumerate(items):
                yield from _walk_texts(f"{key}.{index}", item)
