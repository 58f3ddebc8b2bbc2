"""What is found on a machine, and the settings file that follows from it."""

import json
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from media_agent.config.settings import load_settings
from media_agent.config.stored_keys import StoredKey, StoredKeys
from media_agent.registry.registry import Registry
from media_agent.setup.check import check
from media_agent.setup.machine import Machine, look
from media_agent.setup.starter_config import choose_default_model, render_starter_config

NOBODY = ("127.0.0.1", 1)
SECRET = "sk-very-secret-4711"


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("FAL_KEY", raising=False)


def found(tmp_path: Path, **changes: Any) -> Machine:
    """Look around on a machine that has nothing but what a test gives it."""
    nothing: dict[str, Any] = {"smi": ["no-such-tool"], "devices": tmp_path, "comfyui": NOBODY}
    return look(load_settings(), Registry(), **{**nothing, **changes})


def test_on_a_bare_machine_nothing_is_found_but_the_sandbox(tmp_path: Path) -> None:
    machine = found(tmp_path)

    assert (machine.keys, machine.folders, machine.comfyui) == ({}, (), None)
    assert "sandbox/slate" in machine.models


def test_of_a_key_the_name_is_found_and_not_the_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_KEY", SECRET)

    machine = found(tmp_path)

    assert machine.keys == {"fal": "FAL_KEY from the environment"}
    assert SECRET not in repr(machine) + render_starter_config(machine)


def test_stored_keys_count_as_those_of_the_environment(tmp_path: Path) -> None:
    StoredKeys().set("fal", StoredKey(key=SECRET))

    machine = found(tmp_path)

    assert machine.keys == {"fal": "the key stored for fal"}
    written = tomllib.loads(render_starter_config(machine))
    assert written["backends"]["final"]["kind"] == "fal"
    assert written["routes"]["final"]["allow"] == ["fal"]
    assert written["budget"]["max_cost_usd_per_day"] == 5
    assert SECRET not in repr(machine) + render_starter_config(machine)


def test_a_key_of_a_file_that_is_gone_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__KEY_FILE", str(tmp_path / "gone"))

    assert found(tmp_path).keys == {}


def test_gpus_are_listed_by_their_own_tool(tmp_path: Path) -> None:
    tool = [sys.executable, "-c", "print('NVIDIA H200, 143771 MiB\\n')"]

    assert found(tmp_path, smi=tool).gpus == ("NVIDIA H200, 143771 MiB",)


def test_without_the_tool_device_nodes_tell(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidiactl", "kfd"):
        (tmp_path / name).touch()
    failing = [sys.executable, "-c", "raise SystemExit(9)"]

    nvidia, amd = found(tmp_path, smi=failing).gpus

    assert "nvidia0" in nvidia
    assert "kfd" in amd


def test_downloaded_weights_of_video_models_are_found(tmp_path: Path) -> None:
    for name, pipeline in (("wan", "WanPipeline"), ("flux", "FluxPipeline")):
        folder = tmp_path / "hub" / f"models--a--{name}" / "snapshots" / "abc"
        folder.mkdir(parents=True)
        (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    broken = tmp_path / "hub" / "models--a--broken" / "snapshots" / "abc"
    broken.mkdir(parents=True)
    (broken / "model_index.json").write_text("[")

    [folder] = found(tmp_path).folders

    assert "models--a--wan" in str(folder)


class Answers(BaseHTTPRequestHandler):
    body = json.dumps({"system": {"comfyui_version": "1.0"}})

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # name of the base
        """Say nothing."""


class OtherAnswers(Answers):
    body = "<html>"


@pytest.fixture(params=[Answers, OtherAnswers])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[tuple[str, int], bool]]:
    """Return an address, and whether it is a ComfyUI that answers there."""
    server = HTTPServer(("127.0.0.1", 0), request.param)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield ("127.0.0.1", server.server_port), request.param is Answers
    server.shutdown()
    server.server_close()


def test_a_running_comfyui_is_found(tmp_path: Path, server: tuple[tuple[str, int], bool]) -> None:
    address, is_comfyui = server

    assert (found(tmp_path, comfyui=address).comfyui is not None) == is_comfyui


@pytest.mark.parametrize(
    "machine",
    [
        Machine({}),
        Machine(
            {"fal": "FAL_KEY from the environment"}, ("NVIDIA",), ("magi/tiny", "sandbox/slate")
        ),
        Machine({}, (), ("sandbox/slate",), (Path('/a "b"'),), "http://127.0.0.1:8188"),
    ],
)
def test_the_file_is_sound_on_every_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: Machine
) -> None:
    monkeypatch.setenv("FAL_KEY", SECRET)
    file = tmp_path / "media-agent.toml"
    file.write_text(render_starter_config(machine))

    report = check(file)

    assert [finding.text for finding in report.findings] == []
    assert tomllib.loads(file.read_text())["backends"]["final"]["kind"] in ("fal", "sandbox")


@pytest.mark.parametrize(
    ("gpus", "models", "default"),
    [
        ((), (), "sandbox"),
        ((), ("sandbox/slate",), "sandbox"),
        ((), ("diffusers/wan", "magi/tiny"), "magi/tiny"),
        (("NVIDIA",), ("diffusers/wan", "magi/tiny"), "diffusers/wan"),
        (("NVIDIA",), ("magi/tiny", "sandbox/slate"), "magi/tiny"),
    ],
)
def test_by_default_videos_are_made_here_and_for_nothing(
    gpus: tuple[str, ...], models: tuple[str, ...], default: str
) -> None:
    assert (
        choose_default_model(Machine({"fal": "FAL_KEY from the environment"}, gpus, models))
        == default
    )
