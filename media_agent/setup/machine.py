"""What this machine has for making videos: keys, GPUs, models, servers. Nothing is loaded."""

import contextlib
import http.client
import json
import platform
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from media_agent.config.settings import Settings
from media_agent.environment import expand_home, value_of
from media_agent.errors import ConfigurationError
from media_agent.registry.registry import Registry
from media_agent.routing.listing import list_all

COMFYUI = ("127.0.0.1", 8188)
_SMI = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
_SMI_SECONDS = 10.0
_ANSWER_SECONDS = 0.5
_LARGEST_ANSWER = 1 << 20
_VIDEO_PIPELINES = ("Wan", "Mochi", "LTX", "CogVideoX", "HunyuanVideo", "Video")


@dataclass(frozen=True, slots=True)
class Machine:
    """What was found; of keys only where they are."""

    keys: dict[str, str]
    """Where the key of a backend is from, in words, by backend."""
    gpus: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    """Models of this machine that are ready, as "backend/model"."""
    folders: tuple[Path, ...] = ()
    """Downloaded weights of video models that are not registered yet."""
    comfyui: str | None = None
    """The address of a running ComfyUI."""
    problems: tuple[str, ...] = ()
    """Plugins that are broken, each with why."""


def look(
    settings: Settings,
    registry: Registry,
    *,
    smi: Sequence[str] = _SMI,
    devices: Path = Path("/dev"),
    comfyui: tuple[str, int] = COMFYUI,
) -> Machine:
    """Look around, for a second or two; whatever cannot be asked is not there."""
    listing = list_all(registry, settings)
    ready = (
        each
        for each in listing.models
        if each.capabilities.local and each.capabilities.missing is None
    )
    return Machine(
        keys=dict(_find_keys(settings, registry)),
        gpus=find_gpus(smi=smi, devices=devices),
        models=tuple(each.name for each in ready),
        folders=tuple(_find_folders(_find_hub())),
        comfyui=_find_comfyui(*comfyui),
        problems=listing.faults,
    )


def _find_keys(settings: Settings, registry: Registry) -> Iterator[tuple[str, str]]:
    """Yield the backends that have a key, wherever it is from; one that is unreadable is none."""
    for name, spec in registry.specs.items():
        with contextlib.suppress(ConfigurationError):
            found = settings.find_key(name, spec)
            if found.key is not None and found.source is not None:
                yield name, found.source


def find_gpus(*, smi: Sequence[str] = _SMI, devices: Path = Path("/dev")) -> tuple[str, ...]:
    """Return the GPUs by their names, without loading anything that computes on them."""
    return tuple(_find_nvidia(smi)) or tuple(_find_others(devices))


def _find_nvidia(smi: Sequence[str]) -> Iterator[str]:
    """Yield the NVIDIA GPUs as their own tool lists them."""
    try:
        said = subprocess.run(
            smi, capture_output=True, text=True, timeout=_SMI_SECONDS, check=True, errors="replace"
        )
    except (OSError, subprocess.SubprocessError):
        return
    yield from (line.strip() for line in said.stdout.splitlines() if line.strip())


def _find_others(devices: Path) -> Iterator[str]:
    """Yield what device nodes and the kind of machine say, without driver tools."""
    nodes = sorted(devices.glob("nvidia[0-9]*"))
    yield from (f"NVIDIA, as {node} (its driver tools do not answer)" for node in nodes)
    if (devices / "kfd").exists():
        yield f"AMD, as {devices / 'kfd'}"
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        yield "Apple"


def _find_hub() -> Path:
    """Return where the Hugging Face tools keep what they download."""
    own, home = value_of("HF_HUB_CACHE"), value_of("HF_HOME")
    if own is not None:
        return expand_home(own)
    return expand_home(home or "~/.cache/huggingface") / "hub"


def _find_folders(hub: Path) -> Iterator[Path]:
    """Yield the newest snapshot of every video model in a folder of downloads."""
    for index in sorted(hub.glob("models--*/snapshots/*/model_index.json")):
        try:
            pipeline = str(json.loads(index.read_bytes()).get("_class_name"))
        except (OSError, ValueError, AttributeError):
            continue
        if pipeline.startswith(_VIDEO_PIPELINES) or "Video" in pipeline:
            yield index.parent


def _find_comfyui(host: str, port: int) -> str | None:
    """Return the address of a ComfyUI that answers here."""
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/system_stats")
        answer = json.loads(connection.getresponse().read(_LARGEST_ANSWER))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    is_comfyui = isinstance(answer, dict) and "comfyui_version" in str(answer.get("system"))
    return f"http://{host}:{port}" if is_comfyui else None
