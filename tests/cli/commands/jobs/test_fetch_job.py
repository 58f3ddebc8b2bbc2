"""Videos that are not on this machine: said where they are, and brought here."""

import json
from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent.cluster.turns import VERSION, Stage, Turn
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.owner import Owner
from media_agent.video.probe import probe
from media_agent_schemas.jobs import VideoJob
from tests.cluster.fakes import MemoryQueue

VIDEO = ["generate", "a cat", "--model", "sandbox/slate", "--size", "64x64", "--duration", "1"]


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    monkeypatch.setenv("MEDIA_AGENT_JOBS__FILES", folder.as_uri())
    return folder


def make_elsewhere() -> VideoJob:
    """Return a job whose video is gone from here, as if another machine had made it."""
    assert main([*VIDEO, "--out", "a.mp4"]) == 0
    Path("a.mp4").unlink()
    store = Ledger(Path("data/ledger.sqlite"))
    return store.jobs.get(store.jobs.find("last"))


def test_a_shared_video_is_said_to_be_elsewhere_and_is_fetched(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = make_elsewhere()
    capsys.readouterr()

    assert main(["jobs", "show", "last"]) == 0
    assert f"(not on this machine; media-agent jobs fetch {job.id} brings it)" in (
        capsys.readouterr().out
    )
    assert main(["jobs", "fetch", "last", "--out", "b.mp4"]) == 0
    assert f"b.mp4: video of job {job.id}" in capsys.readouterr().out
    assert probe(Path("b.mp4")).frames == 24

    assert main(["jobs", "fetch", "last", "--out", "b.mp4"]) == 2
    assert "b.mp4 exists" in capsys.readouterr().err
    assert main(["jobs", "fetch", "last", "--out", "b.mp4", "--overwrite", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["artifacts"][0]["path"].endswith("b.mp4")


def test_a_video_that_is_not_shared_is_said_to_lie_on_the_machine_of_its_worker(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("dbos", reason="the extra cluster is not installed")
    job = make_elsewhere()
    worker = Owner(host="gpu-2/pid:[4026]", pid=1, started="then", token="t")
    queue = MemoryQueue([Turn(job.id, 0, Stage.ENDED, "sandbox", VERSION, str(worker))])
    monkeypatch.setattr("media_agent.cluster.whereabouts.DbosQueue", lambda url: queue)
    monkeypatch.setenv("MEDIA_AGENT_JOBS__RUNNER", "dbos")
    capsys.readouterr()

    assert main(["jobs", "show", "last"]) == 0
    assert "a.mp4 (on gpu-2, not on this machine)" in capsys.readouterr().out
    assert main(["jobs", "fetch", "last"]) == 21
    said = capsys.readouterr().err
    assert "a.mp4, is on gpu-2, not on this machine (copy it from there, or set jobs.files" in said


def test_a_video_that_is_here_is_copied(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*VIDEO, "--out", "a.mp4"]) == 0

    assert main(["jobs", "fetch", "last", "--out", "b.mp4"]) == 0

    assert Path("b.mp4").read_bytes() == Path("a.mp4").read_bytes()
    assert main(["jobs", "fetch", "last", "--out", "a.mp4", "--overwrite"]) == 2
    assert "is the video of this job already" in capsys.readouterr().err


def test_a_job_without_a_video_has_none_to_fetch(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*VIDEO, "--option", "fail_at=chunk:0", "--out", "a.mp4"]) != 0
    capsys.readouterr()

    assert main(["jobs", "fetch", "last"]) == 14
    assert "has no file of a video" in capsys.readouterr().err
