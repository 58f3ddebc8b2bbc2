"""Where models are listed: in one YAML file, or in a folder with a file for each family."""

from pathlib import Path

from pydantic import JsonValue

_SHARED = "shared.yaml"


def load_entries(path: Path) -> list[JsonValue]:
    """Return the entries of a file, or of all files in a folder, by name.

    In a folder, `shared.yaml` is read in front of each other file, so that what it names with `&`
    is known in all of them.
    """
    if not path.is_dir():
        return _parse(path.read_bytes())
    shared = path / _SHARED
    before = shared.read_bytes() + b"\n" if shared.exists() else b""
    families = sorted(each for each in path.glob("*.yaml") if each.name != _SHARED)
    return [entry for family in families for entry in _parse(before + family.read_bytes())]


def _parse(text: bytes) -> list[JsonValue]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is six times as fast
    entries = yaml.load(text, Loader=loader)["models"]
    assert isinstance(entries, list)
    return entries
