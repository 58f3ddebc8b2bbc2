"""A checkout of Open-Sora that only looks like one, and the torchrun of its environment."""

import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

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
        path.touch()
    torchrun = tmp_path / "environment" / "bin" / "torchrun"
    torchrun.parent.mkdir(parents=True)
    torchrun.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "torchrun.py"}" "$@"\n')
    torchrun.chmod(0o755)
    return FakeOpenSora(checkout, torchrun)
