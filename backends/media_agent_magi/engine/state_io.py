"""The state of a video in the making, and its file: one safetensors, versioned and checksummed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from media_agent_magi.engine.text.rows import TextRow

FORMAT, VERSION = "media-agent engine state", 1
ALIGNED = 8
UNSEALED = "0" * 64
"""Stands in a file in place of its checksum, which is known last."""

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16",
    torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
"""What safetensors calls them."""

OPEN = -1
"""Stands in a file for a number that is not known."""

Facts = Mapping[str, Any]
"""What a state belongs to and needs besides tensors: anything JSON can say."""


class StateError(ValueError):
    """A state that cannot be used; the message names the file and what is wrong with it."""


class DamagedStateError(StateError):
    """A state that is missing, cut off or damaged: an earlier one may still be whole."""


@dataclass(frozen=True, slots=True, eq=False)
class SamplerState:
    """Everything needed to resume after a chunk was handed out.

    Of its tensors the keys alone are ever written to: see `ChunkSampler.state`.

    Of texts it holds what is read. Without keys they are made again of the latents in `tail`.

    stage: the next one. total: chunks of the video. frames: latent frames to hand out. skipped:
    frames of the first made chunk that are not handed out. latents: by chunk in work. rows: their
    texts, one or one per sample. levels: schedule index at which a chunk with a source begins.
    keys: by layer, from token `first_token` behind chunk `origin` on. prefix: latents that the
    first made chunk begins with. tail: the last finished chunks. sink: its first token and how
    many it has, where the keys begin with one.
    """

    stage: int
    total: int | None
    frames: int | None
    skipped: int
    prefix_chunks: int
    origin: int
    first_token: int
    latents: dict[int, Tensor]
    rows: dict[int, tuple[TextRow, ...]]
    levels: dict[int, int]
    keys: dict[int, Tensor]
    prefix: Tensor | None
    tail: Tensor | None
    sink: tuple[int, int] | None = None

    def first_sample(self, samples: int) -> Self:
        """Return the state of so many videos that go on as the first of this one does."""

        def spread(x: Tensor) -> Tensor:
            return x[:1].expand(samples, *x.shape[1:])

        return replace(
            self,
            latents={chunk: spread(x) for chunk, x in self.latents.items()},
            rows={chunk: rows[:1] for chunk, rows in self.rows.items()},
            keys={layer: spread(x) for layer, x in self.keys.items()},
            prefix=None if self.prefix is None else spread(self.prefix),
            tail=None if self.tail is None else spread(self.tail),
        )

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the state as named tensors; `from_tensors` takes them back."""
        counts = (
            self.stage,
            OPEN if self.total is None else self.total,
            OPEN if self.frames is None else self.frames,
            self.skipped,
            self.prefix_chunks,
            self.origin,
            self.first_token,
        )
        tensors = {"counts": torch.tensor(counts)}
        tensors |= {f"latents.{chunk}": x for chunk, x in self.latents.items()}
        tensors |= {f"keys.{layer}": entry for layer, entry in self.keys.items()}
        tensors |= {f"level.{chunk}": torch.tensor(level) for chunk, level in self.levels.items()}
        for chunk, rows in self.rows.items():
            masks = torch.stack([row.mask for row in rows])
            read = int(masks.any(dim=0).nonzero().max()) + 1 if bool(masks.any()) else 1
            tensors[f"caption.{chunk}"] = torch.stack([row.caption[:read] for row in rows])
            tensors[f"mask.{chunk}"] = masks[:, :read]
        sink = None if self.sink is None else torch.tensor(self.sink)
        optional = {"prefix": self.prefix, "tail": self.tail, "sink": sink}
        return tensors | {name: x for name, x in optional.items() if x is not None}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build from what `to_tensors` returned."""
        stage, total, frames, *places = tensors["counts"].tolist()
        skipped, prefix_chunks, origin, first_token = places
        masks, sink = _by_number(tensors, "mask"), tensors.get("sink")
        return cls(
            stage=stage,
            total=None if total == OPEN else total,
            frames=None if frames == OPEN else frames,
            skipped=skipped,
            prefix_chunks=prefix_chunks,
            origin=origin,
            first_token=first_token,
            latents=_by_number(tensors, "latents"),
            rows={
                chunk: tuple(map(TextRow, captions, masks[chunk]))
                for chunk, captions in _by_number(tensors, "caption").items()
            },
            levels={chunk: int(level) for chunk, level in _by_number(tensors, "level").items()},
            keys=_by_number(tensors, "keys"),
            prefix=tensors.get("prefix"),
            tail=tensors.get("tail"),
            sink=(int(sink[0]), int(sink[1])) if sink is not None else None,
        )


def save_state(path: Path, state: SamplerState, facts: Facts) -> None:
    """Write the state and its facts to `path`; OSError where that cannot be done."""
    write_state(path, state, facts)
    seal_state(path)


def write_state(path: Path, state: SamplerState, facts: Facts) -> None:
    """Write all but the checksum, a tensor at a time: no more than one is in the main memory.

    `seal_state` makes it a state that can be loaded, later and elsewhere: it takes longer.
    """
    tensors = state.to_tensors()
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # aligned
    text = json.dumps(facts, sort_keys=True)
    metadata = {"sha256": UNSEALED, "format": FORMAT, "version": str(VERSION), "facts": text}
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name in names:
        x, start, end = tensors[name], end, end + tensors[name].nbytes
        header[name] = {
            "dtype": DTYPES[x.dtype],
            "shape": list(x.shape),
            "data_offsets": [start, end],
        }
    content = json.dumps(header).encode()
    content += b" " * (-len(content) % ALIGNED)
    with path.open("wb") as file:
        file.write(len(content).to_bytes(ALIGNED, "little") + content)
        for name in names:
            file.write(_numbers(tensors[name]))


def seal_state(path: Path) -> None:
    """Add the checksum to what `write_state` wrote; of the file no more is read than is mapped."""
    with safe_open(path, framework="pt") as content:
        checksum = _checksum(content.keys(), content.get_tensor, content.metadata()["facts"])
    with path.open("r+b") as file:
        start = file.read(len(UNSEALED) * 4)
        file.seek(start.index(UNSEALED.encode()))
        file.write(checksum.encode())


def load_state(path: Path, expected: Facts) -> tuple[SamplerState, dict[str, Any]]:
    """Read a state and all its facts from `path`.

    Raises:
        DamagedStateError: The file is missing, cut off or damaged.
        StateError: It is of another version, or one of its facts is not the `expected`
            one.
    """
    try:
        with safe_open(path, framework="pt") as content:
            metadata = content.metadata() or {}
            _check_format(path, metadata)
            # views of the mapped file
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise DamagedStateError(f"the state {path} is not there") from error
    except OSError as error:
        message = f"cannot read the state {path}: {error.strerror or error}"
        raise DamagedStateError(message) from error
    except SafetensorError as error:
        message = f"{path} is no state, or it is cut off or damaged: {error}"
        raise DamagedStateError(message) from error
    text = metadata.get("facts", "")
    if _checksum(tensors, tensors.__getitem__, text) != metadata.get("sha256"):
        raise DamagedStateError(f"the state {path} is damaged: its checksum does not agree")
    facts: dict[str, Any] = json.loads(text)
    _check_facts(path, facts, expected)
    return SamplerState.from_tensors(tensors), facts


def _check_format(path: Path, metadata: Mapping[str, str]) -> None:
    version = metadata.get("version", "")
    if metadata.get("format") != FORMAT or not version.isdecimal():
        said = f"{path} is no state of a video, but another safetensors file, or it is damaged"
        raise DamagedStateError(said)
    if version != str(VERSION):
        raise StateError(f"the state {path} has version {version}; this engine reads {VERSION}")


def _check_facts(path: Path, facts: Facts, expected: Facts) -> None:
    differing = [
        f"{name} is {json.dumps(facts.get(name))}, not {json.dumps(value)}"
        for name, value in json.loads(json.dumps(expected)).items()  # as JSON would give it back
        if facts.get(name) != value
    ]
    if differing:
        raise StateError(f"the state {path} belongs to other work: its {', its '.join(differing)}")


def _by_number(tensors: Mapping[str, Tensor], name: str) -> dict[int, Tensor]:
    """Return the tensors called `name`.NUMBER by their number."""
    parts = ((key.partition("."), x) for key, x in tensors.items())
    return {int(number): x for (first, dot, number), x in parts if dot and first == name}


def _checksum(names: Iterable[str], tensor: Callable[[str], Tensor], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(names):
        x = tensor(name)
        digest.update(f"{name} {x.dtype} {tuple(x.shape)}".encode())
        digest.update(_numbers(x))
    return digest.hexdigest()


def _numbers(x: Tensor) -> memoryview:
    """Return the bytes of a tensor, which is copied only where it is not in one piece here."""
    return x.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
