"""A checkout of Open-Sora that only looks like one, and the torchrun of its environment."""

import json
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.config.settings import load_settings
from media_agent.testing import events_of
from media_agent_opensora.backend import OpenSoraBackend
from media_agent_schemas import VideoRequest
from media_agent_schemas.events import TerminalEvent

HERE = Path(__file__).parent
WEIGHTS = (
    *("Open_Sora_v2.safetensors", "hunyuan_vae.safetensors"),
    *("google/t5-v1_1-xxl", "openai/clip-vit-large-patch14"),
    *("flux1-dev.safetensors", "flux1-dev-ae.safetensors"),
)


@dataclass(frozen=True)
class FakeOpenSora:
    """The stand-in, in a folder of its own."""

    checkout: Path
    torchrun: Path

    @property
    def options(self) -> dict[str, Any]:
        return {"checkout": str(self.checkout), "torchrun": str(self.torchrun)}

    def break_with(self, fault: str) -> None:
        (self.checkout / "fault").write_text(fault)

    def mend(self) -> None:
        (self.checkout / "fault").unlink()

    @property
    def asked(self) -> dict[str, Any]:
        """Return what the last run was asked for."""
        asked: dict[str, Any] = json.loads((self.checkout / "asked.json").read_text())
        return asked

    @property
    def was_run(self) -> bool:
        return (self.checkout / "asked.json").exists()

    def wait_for_workers(self, count: int = 1) -> list[int]:
        """Return the processes of a run, once it is that far."""
        deadline = time.monotonic() + 30
        while len(list(self.checkout.glob("pids/worker-*"))) < count or not self.was_run:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return [int(path.name.partition("-")[2]) for path in self.checkout.glob("pids/*")]


def find_alive(pids: list[int]) -> list[int]:
    """Return the processes that still run."""
    return [
        process.pid
        for process in psutil.process_iter(["status"])
        if process.pid in pids and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


@pytest.fixture
def fake(tmp_path: Path) -> FakeOpenSora:
    checkout = tmp_path / "Open-Sora"
    shutil.copytree(HERE / "checkout", checkout)
    for name in WEIGHTS:
        path = checkout / "ckpts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")
    torchrun = tmp_path / "environment" / "bin" / "torchrun"
    torchrun.parent.mkdir(parents=True)
    torchrun.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{HERE / "torchrun.py"}" "$@"\n')
    torchrun.chmod(0o755)
    return FakeOpenSora(checkout, torchrun)


Build = Callable[..., OpenSoraBackend]


@pytest.fixture
async def build(tmp_path: Path, fake: FakeOpenSora) -> AsyncIterator[Build]:
    """Return what makes a backend over the stand-in, closed after the test."""
    made: list[OpenSoraBackend] = []

    def build(
        *, free_mib: dict[int, int] | None = None, grace_seconds: float = 5, **options: Any
    ) -> OpenSoraBackend:
        listing = "\n".join(f"{index}, {free}" for index, free in (free_mib or {}).items())
        settings = BackendSettings(
            data_dir=tmp_path / "data",
            options={**fake.options, **options},
            environment=load_settings().build_environment,
        )
        made.append(OpenSoraBackend(settings, grace_seconds=grace_seconds, smi=("echo", listing)))
        return made[-1]

    yield build
    for backend in made:
        await backend.aclose()


def make_request(model: str = "256px", **fields: Any) -> VideoRequest:
    """Return a small request as a plan leaves it."""
    known = {"num_frames": 4 if "end" in model else 5, "fps": 24.0, "seed": 7}
    size = {"width": 880, "height": 656} if "768" in model else {"width": 288, "height": 224}
    return VideoRequest.model_validate(
        {"prompt": "a cat", "model": f"opensora/{model}", "size": size, **known, **fields}
    )


async def run(backend: OpenSoraBackend, request: VideoRequest) -> TerminalEvent:
    """Return how a request ends."""
    ref = await backend.submit(request, key="job-1")
    last = (await events_of(backend, ref))[-1]
    assert isinstance(last, TerminalEvent)
    return last
