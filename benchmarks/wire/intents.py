"""What an SDK is asked to do, and the request that asks media-agent for the same.

It runs in the environment of the SDKs, so it imports nothing of ours. A module in `sdks/` imports
its SDK where it is used only, so that its requests can be read without it.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

KEY = "hf_wire-key-0123456789"  # in the form that huggingface_hub knows as a token of its own
PROMPT = "a fox runs through snow"
KINDS = (
    *("text", "seed", "negative prompt", "audio"),
    *("first frame by address", "first frame as a file", "first and last frame"),
    *("references", "edit", "extend", "large file"),
    *("poll", "result", "cancel"),
)
"""Every intent, as far as the SDK and the provider have it."""


@dataclass(frozen=True, slots=True)
class Given:
    """The files that stand in requests, each named by its role."""

    folder: Path

    def path(self, name: str) -> Path:
        """Return where a file is."""
        return self.folder / name

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        return self.path(name).read_bytes()

    def base64(self, name: str) -> str:
        """Return a file as base64."""
        return base64.b64encode(self.read(name)).decode("ascii")

    def data_uri(self, name: str) -> str:
        """Return a file as a data URI."""
        kind = "video/mp4" if name.endswith(".mp4") else "image/png"
        return f"data:{kind};base64,{self.base64(name)}"


Do = Callable[[Any, Given], object]


@dataclass(frozen=True, slots=True)
class Intent:
    """One thing that is asked for, twice: of the SDK, and of media-agent."""

    kind: str
    request: dict[str, Any]
    """The request for media-agent: its fields, with the id of the model, and files by name."""
    do: Do


@dataclass(slots=True)
class Sdk:
    """An SDK, the provider whose API it speaks, and what it is asked to do."""

    provider: str
    package: str
    connect: Callable[[str], Any]
    """Returns its client for a base URL, without a path."""
    options: dict[str, Any] = field(default_factory=dict)
    """The options of the backend in the settings."""
    simulator: dict[str, Any] = field(default_factory=dict)
    """How its simulator is set up."""
    waits: bool = False
    """Whether it returns once a video is there, and in no other way."""
    intents: list[Intent] = field(default_factory=list)

    def intent(self, kind: str, **request: Any) -> Callable[[Do], Do]:
        """Add an intent."""
        assert kind in KINDS, kind

        def add(do: Do) -> Do:
            self.intents.append(Intent(kind, {"prompt": PROMPT, **request}, do))
            return do

        return add


def names() -> list[str]:
    """Return the names of the modules in `sdks/`."""
    return sorted(path.stem for path in (Path(__file__).parent / "sdks").glob("*.py"))


def load(name: str) -> Sdk:
    """Return the SDK that a module describes."""
    sdk: Sdk = import_module(f"benchmarks.wire.sdks.{name}").SDK
    return sdk


def image(role: str, *, file: str | None = None) -> dict[str, Any]:
    """Return an input of a request: an image."""
    return {"role": role, **({"url": image_url(role)} if file is None else {"path": file})}


def video(role: str = "source_video", *, file: str | None = None) -> dict[str, Any]:
    """Return an input of a request: a video."""
    return {"role": role, **({"url": video_url(role)} if file is None else {"path": file})}


def image_url(role: str) -> str:
    """Return the address of an image."""
    return f"https://example.com/{role}.png"


def video_url(role: str = "source_video") -> str:
    """Return the address of a video."""
    return f"https://example.com/{role}.mp4"
