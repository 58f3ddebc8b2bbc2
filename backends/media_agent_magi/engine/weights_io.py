"""Reading safetensors into a model: every name and shape must fit, dtypes follow the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

INDEX_NAME = "model.safetensors.index.json"
SHOWN = 5


class WeightsError(ValueError):
    """Weights that cannot be read or do not belong to this model; the message says which."""


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill `model` from a file, or from a folder of shards, converting to its dtypes.

    Raises WeightsError, before anything is changed, listing all names that are missing or too many
    and all shapes that differ.
    """
    files = _files(path)
    own = dict(model.named_parameters()) | dict(model.named_buffers())
    check_names({n: tuple(t.shape) for n, t in own.items()}, _shapes(files), str(path))
    with torch.no_grad():
        for name, tensor in _tensors(files):
            own[name].copy_(tensor)


def check_names(
    wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], source: str
) -> None:
    """Raise WeightsError unless names and shapes agree; the message lists the differences."""
    both = sorted(set(wanted) & set(found))
    differing = [f"{n} {found[n]}, not {wanted[n]}" for n in both if found[n] != wanted[n]]
    parts = [
        _list_names("missing", sorted(set(wanted) - set(found))),
        _list_names("unexpected", sorted(set(found) - set(wanted))),
        _list_names("of another shape", differing),
    ]
    if faults := [part for part in parts if part]:
        raise WeightsError(f"{source} does not fit the model: {'; '.join(faults)}")


def _list_names(what: str, names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} {what}: {', '.join(names[:SHOWN])}{more}" if names else ""


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    index = path / INDEX_NAME
    if index.is_file():
        shards = json.loads(index.read_text())["weight_map"].values()
        return [path / shard for shard in sorted(set(shards))]
    single = path / "model.safetensors"
    if single.is_file():
        return [single]
    raise WeightsError(f"no weights at {path}: expected a file, or {INDEX_NAME} in a folder")


def _shapes(files: list[Path]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as content:
                for name in content.keys():  # noqa: SIM118 - no mapping
                    shapes[name] = tuple(content.get_slice(name).get_shape())
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"cannot read {file}: {error}") from error
    return shapes


def _tensors(files: list[Path]) -> Iterator[tuple[str, Tensor]]:
    for file in files:
        with safe_open(file, framework="pt") as content:
            for name in content.keys():  # noqa: SIM118 - no mapping
                yield name, content.get_tensor(name)
