"""Open-Sora from the command line: what is listed, planned, made, killed and resumed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from media_agent.cli import main
from media_agent.testing.simulator.videos import Video, make_video
from media_agent.video.codec import read_frames
from media_agent.video.probe import probe
from tests.opensora.conftest import FakeOpenSora, find_alive

TOML = """
[backends.opensora.options]
checkout = "Open-Sora"
torchrun = "environment/bin/torchrun"

[routes.free]
licences = ["Apache-2.0"]
allow = ["opensora"]
"""


@pytest.fixture
def say(
    fake: FakeOpenSora, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> Callable[..., str]:
    """Return what runs a command, and returns what it said."""
    (tmp_path / "media-agent.toml").write_text(TOML)
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(tmp_path / "media-agent.toml"))
    monkeypatch.chdir(tmp_path)

    def say(*words: str, exits: int = 0) -> str:
        assert main(list(words)) == exits, capfd.readouterr()
        said = capfd.readouterr()
        return f"{said.out}{said.err}"

    return say


def list_reasons(said: str) -> dict[str, str]:
    """Return why each model is not used, None if it is."""
    text = said[: said.rindex("}") + 1]
    return {each["model"]: str(each.get("reason")) for each in json.loads(text)["data"]}


def test_every_model_is_listed_with_what_it_lacks(
    say: Callable[..., str], fake: FakeOpenSora
) -> None:
    (fake.checkout / "ckpts" / "flux1-dev.safetensors").unlink()

    said = say("backends", "opensora")

    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in said.splitlines()}
    assert rows["opensora/256px"] == "text image ends 5.38 s free simulator yes"
    assert rows["opensora/768px-extend-easy"] == "extend 2.67 s free simulator yes"
    assert rows["opensora/t2i2v-768px"].endswith("simulator needs ckpts/flux1-dev.safetensors")


def test_one_model_says_its_memory_its_licence_and_what_is_not_supported(
    say: Callable[..., str],
) -> None:
    said = say("backends", "opensora/t2i2v-256px")

    assert "licence: FLUX.1-dev non-commercial" in said
    assert "Open-Sora 1.x and Open-Sora Plan are not supported, because" in said
    assert "52.5 GB of memory on one GPU" in say("backends", "opensora/256px")


def test_without_a_checkout_there_is_a_note_and_no_problem(
    say: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "media-agent.toml").write_text("")

    said = say("backends")

    assert "\nopensora has no checkout of Open-Sora 2.0 yet (name its folder: checkout" in said
    assert "Open-Sora Plan are not supported, because" in said
    assert "problem:" not in said
    assert "has no checkout" in say("backends", "opensora", exits=9)


def test_a_licence_that_is_asked_for_excludes_flux(say: Callable[..., str]) -> None:
    reasons = list_reasons(say("plan", "a cat", "--route", "free", "--json"))

    assert "its licence is FLUX.1-dev non-commercial" in reasons["opensora/t2i2v-256px"]
    assert reasons["opensora/256px"] == "None"


def test_a_video_is_made_and_the_memory_said_before(
    say: Callable[..., str], tmp_path: Path
) -> None:
    said = say("generate", "a cat", "--backend", "opensora", "--duration", "1", "--out", "a.mp4")

    assert "needs 52.5 GB of memory on one GPU (its authors' figure: H100, 50 steps)" in said
    assert said.index("needs 52.5 GB") < said.index("chunk 1")
    assert probe(tmp_path / "a.mp4").frames == 25
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["verification"]["level"] == "simulator"


def test_a_long_video_is_extended_from_the_end_of_each_segment(
    say: Callable[..., str], fake: FakeOpenSora, tmp_path: Path
) -> None:
    words = ("--backend", "opensora", "--duration", "6", "--size", "256x256", "--out", "a.mp4")

    say("generate", "a cat", *words)

    frames = read_frames(tmp_path / "a.mp4")
    assert fake.asked["values"]["cond_type"] == "v2v_head"
    assert len(frames) == 145
    assert frames[..., 0].mean(axis=(1, 2)).max() < 60  # red is what was made again


def test_only_who_names_it_gets_what_comes_before_a_video(
    say: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(make_video(Video(frames=40)))

    reasons = list_reasons(say("plan", "a cat", "--video", "a.mp4", "--json"))

    assert reasons["opensora/256px-extend"] == "None"
    assert "makes what comes before a video and is used only" in reasons["opensora/256px-prepend"]


def test_a_process_that_is_killed_leaves_nothing_running_and_its_job_is_resumed(
    say: Callable[..., str], fake: FakeOpenSora, tmp_path: Path
) -> None:
    fake.break_with("hang")
    words = ["generate", "a cat", "--backend", "opensora", "--duration", "1", "--out", "a.mp4"]
    process = subprocess.Popen(
        [sys.executable, "-m", "media_agent.cli", *words], stderr=subprocess.DEVNULL
    )
    pids = fake.wait_for_workers()
    was_alive = find_alive(pids)

    process.kill()
    process.wait()
    fake.mend()
    [job] = json.loads(say("jobs", "list", "--json"))["data"]
    say("jobs", "resume", job["id"])  # waits for the end of the run before

    assert len(was_alive) == 2
    assert find_alive(pids) == []
    assert probe(tmp_path / "a.mp4").frames == 25


def test_ctrl_c_leaves_nothing_running(
    say: Callable[..., str], fake: FakeOpenSora, tmp_path: Path
) -> None:
    fake.break_with("hang")
    words = ["generate", "a cat", "--backend", "opensora", "--out", "a.mp4"]
    process = subprocess.Popen(
        [sys.executable, "-m", "media_agent.cli", *words], stderr=subprocess.DEVNULL
    )
    pids = fake.wait_for_workers()

    os.kill(process.pid, signal.SIGINT)
    process.wait(60)

    assert find_alive(pids) == []
    assert not (tmp_path / "a.mp4").exists()
