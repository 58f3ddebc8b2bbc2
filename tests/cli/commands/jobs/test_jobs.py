"""The commands about jobs, on a folder where processes died."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import JsonValue

from media_agent.cli import main
from media_agent.cli.job_actions import resume_jobs
from media_agent.client import VideoClient
from media_agent.ledger.ledger import Ledger
from media_agent.testing.simulator.faults import Fault
from media_agent.video.probe import probe
from media_agent_hosted.providers.fal.simulator import FalSimulator
from media_agent_schemas import GenerationRecord, JobStatus, VideoRequest
from tests.jobs.housekeeping.data_folder import DataFolder

COMMAND = [sys.executable, "-m", "media_agent.cli"]
VIDEO = ["generate", "a cat", "--backend", "sandbox", "--size", "64x64", "--duration", "6"]


def the_job() -> str:
    (job,) = Ledger(Path("data/ledger.sqlite")).jobs.list()
    return job.id


@pytest.fixture
def killed() -> str:
    """Return the job of a process that was killed after its second chunk."""
    slow = ["--option", "latency_seconds=4", "--out", "a.mp4"]
    process = subprocess.Popen([*COMMAND, *VIDEO, *slow], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "chunk 2," not in (line := process.stderr.readline()):
        assert line, "it ended early"
    process.kill()
    process.communicate(timeout=60)
    return the_job()


def test_a_killed_video_is_listed_as_such_and_continues_where_it_was(
    killed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "list"]) == 0
    assert "its process is gone; use jobs resume" in capsys.readouterr().out

    assert main(["jobs", "resume"]) == 0

    record = GenerationRecord.model_validate_json(Path("a.json").read_bytes())
    said = capsys.readouterr()
    assert f"a.mp4: job {killed}" in said.out
    assert probe(Path("a.mp4")).frames == record.frames_planned == 144
    assert (record.lineage.resumed_from_chunk or 0) >= 2
    events = list(Ledger(Path("data/ledger.sqlite")).events.read(killed))
    assert [event.sequence for event in events] == list(range(len(events)))
    assert sum(event.event.type == "chunk.ready" for event in events) == 6
    assert main(["jobs", "resume"]) == 0
    assert "no jobs to resume" in capsys.readouterr().err


def test_a_killed_video_can_be_cancelled_and_is_only_resumed_by_name(
    killed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "cancel", killed]) == 0
    assert f"{killed}: cancelled" in capsys.readouterr().out
    assert main(["jobs", "resume"]) == 0
    assert not Path("a.mp4").exists()

    assert main(["jobs", "resume", killed, "--json"]) == 0

    (resumed,) = json.loads(capsys.readouterr().out)["data"]
    assert (resumed["id"], resumed["status"]) == (killed, "completed")
    assert probe(Path("a.mp4")).frames == 144
    assert main(["jobs", "resume", killed]) == 0
    assert f"{killed} has already ended" in capsys.readouterr().err


def test_a_job_that_cannot_be_resumed_keeps_no_other_from_it(
    killed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = DataFolder(Path("data"))
    data.keep("29990101-000000-gone", JobStatus.QUEUED)  # of a backend that there is no more
    data.keep("19990101-000000-gone", JobStatus.QUEUED)
    data.ledger.close()

    assert main(["jobs", "resume", "--json"]) == 2

    said = capsys.readouterr()
    first, last, resumed = json.loads(said.out)["data"]
    assert (resumed["id"], resumed["status"]) == (killed, "completed")
    assert [each["job"] for each in (first, last)] == [
        "19990101-000000-gone",
        "29990101-000000-gone",
    ]
    assert "unknown backend" in first["error"]["message"]
    assert "error: 29990101-000000-gone: unknown backend" in said.err
    assert "error: 19990101-000000-gone: unknown backend" in said.err
    assert probe(Path("a.mp4")).frames == 144


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_backend_that_cannot_be_asked_keeps_no_other_from_being_asked(
    flags: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FalSimulator([Fault("submit", "close_after_accept")]) as simulator:
        monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__BASE_URL", simulator.url)
        monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__KEY", "secret-key")
        monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__OPTIONS", '{"lookup_seconds": 0}')
        assert main(["generate", "a cat", "--backend", "fal", "--out", "a.mp4"]) == 12
        lost = the_job()
        data = DataFolder(Path("data"))
        data.keep("29990101-000000-gone", JobStatus.OUTCOME_UNKNOWN)
        data.keep("19990101-000000-gone", JobStatus.OUTCOME_UNKNOWN)
        data.ledger.close()
        capsys.readouterr()

        assert main(["jobs", "reconcile", *flags]) == 2

    said = capsys.readouterr()
    assert "error: 19990101-000000-gone: unknown backend" in said.err
    assert "error: 29990101-000000-gone: unknown backend" in said.err
    if flags:
        rows = {row["job"]: row for row in json.loads(said.out)["data"]}
        assert rows[lost]["status"] == "outcome_unknown"
        assert rows["29990101-000000-gone"]["error"]["code"] == "invalid_request"
        assert len(rows) == 3
    else:
        assert f"{lost}: " in said.out


async def resume_until_the_second_begins(*, json: bool) -> int:
    """Resume a quick and a slow job, and press Ctrl-C when the quick one has ended."""
    async with VideoClient() as client:
        for seconds in (0, 60):
            options: dict[str, JsonValue] = {"latency_seconds": seconds}
            slow = VideoRequest(
                prompt="a", duration=2, model="sandbox", options={"sandbox": options}
            )
            await client.start(slow, out=f"{seconds}.mp4")
        await client.aclose()  # they have no process any more
    async with VideoClient() as client:
        running, completed = JobStatus.IN_PROGRESS, JobStatus.COMPLETED
        resuming = asyncio.create_task(resume_jobs(None, take_over=False, yes=False, json=json))
        async with asyncio.timeout(60):
            while [each.status for each in await client.list()] != [running, completed]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)
        return await resuming


@pytest.mark.parametrize("as_json", [True, False])
def test_what_had_ended_before_an_interruption_is_reported(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asyncio.run(resume_until_the_second_begins(json=as_json)) == 130

    said = capsys.readouterr()
    if as_json:
        answer = json.loads(said.out)
        assert [job["status"] for job in answer["data"]] == ["completed"]
        assert answer["error"]["code"] == "job_cancelled"
    else:
        assert "0.mp4: job" in said.out
    assert "stopped" in said.err


def test_a_lost_reply_is_reported_reconciled_and_never_sent_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = '{"lookup_seconds": 0, "poll_seconds": 0.01}'
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__OPTIONS", options)
    lost = Fault("submit", "close_after_accept")
    with FalSimulator([lost], running_polls=1000) as simulator:  # it is listed once it has ended
        monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__BASE_URL", simulator.url)
        monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__KEY", "secret-key")

        assert main(["generate", "a cat", "--backend", "fal", "--out", "a.mp4"]) == 12
        job = the_job()
        assert main(["jobs", "reconcile"]) == 0
        said = capsys.readouterr()
        assert main(["jobs", "reconcile", "--json"]) == 0
        data = json.loads(capsys.readouterr().out)["data"]
        assert main(["jobs", "resume", job]) == 12
        again = capsys.readouterr()
        assert main(["jobs", "show", job]) == 0
        shown = capsys.readouterr().out
        simulator.running_polls = 0
        assert main(["jobs", "reconcile"]) == 0
        found = capsys.readouterr().out
        assert main(["jobs", "resume", job]) == 0

        assert simulator.accepted == len(simulator.calls("submit")) == 1
    assert Path("a.mp4").exists()
    assert "accepted it as fal-00000000: media-agent jobs resume" in found
    assert "it is unknown whether fal accepted" in said.err
    assert f"looking for {job} on fal" in said.err
    assert f"looking for {job} on fal" in again.err
    assert "has no such work in its list, which proves nothing" in said.out
    assert [row["job"] for row in data] == [job]
    assert f"media-agent jobs reconcile {job} asks again" in again.err
    assert "to fal: unknown" in shown
    assert "next      it shows no such work in its list" in shown
    assert "secret-key" not in said.out + said.err + again.err + shown


def test_a_hosted_video_says_each_warning_once_and_counts_no_chunks_that_nobody_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__OPTIONS", '{"poll_seconds": 0.01}')
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__KEY", "any-key")
    video = ["generate", "a fox", "--backend", "fal/fal-ai/wan/v2.7/text-to-video", "--duration"]
    with FalSimulator() as simulator:
        monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__BASE_URL", simulator.url)
        assert main([*video, "5", "--out", "a.mp4"]) == 0
        assert main(["jobs", "show", "last"]) == 0
        shown = capsys.readouterr().out
        assert main([*video, "20", "--out", "b.mp4"]) == 0
        said = capsys.readouterr().err

        assert simulator.accepted == 3

    assert "length    5.00 s" in shown
    assert "ready " not in shown
    assert "in 2 segments" in said
    assert said.count("requested 1280x720, received 64x36") == 1


def test_a_job_shows_which_key_was_used_and_which_one_was_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__OPTIONS", '{"poll_seconds": 0.01}')
    keys = '{"team": {"key": "one-key"}, "spare": {"key": "other-key"}}'
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__KEYS", keys)
    with FalSimulator([Fault("submit", "status", status=401)]) as simulator:
        monkeypatch.setenv("MEDIA_AGENT_BACKENDS__FAL__BASE_URL", simulator.url)
        assert main(["generate", "a fox", "--backend", "fal", "--out", "a.mp4"]) == 0
    capsys.readouterr()
    assert main(["jobs", "show", "last"]) == 0

    shown = capsys.readouterr().out
    assert " with the key spare\n" in shown
    assert "refused   the key team: 127.0.0.1" in shown


def test_a_video_that_is_longer_than_planned_is_not_a_share_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*VIDEO, "--out", "long.mp4"]) == 0
    copy = "import shutil, sys; shutil.copy(*sys.argv[1:3])"
    words = json.dumps([sys.executable, "-c", copy, str(Path("long.mp4").absolute()), "{output}"])
    settings = tmp_path / "copy.toml"
    settings.write_text(
        '[backends.mine]\nkind = "command"\n[backends.mine.options]\n'
        'sizes = ["64x64"]\nfps = [24]\ndurations = [2]\n'
        f'command = {words[:-1]}, "{{prompt}}"]\n'
    )
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(settings))
    capsys.readouterr()

    assert main(["generate", "a cat", "--backend", "mine", "--out", "copy.mp4"]) == 0

    answer = capsys.readouterr()
    assert "copy.mp4: 144 frames, 6.00 s" in answer.out
    assert "requested 2 s, received 6 s" in answer.err


def test_nothing_unknown_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "reconcile"]) == 0

    assert "no jobs with an unknown outcome" in capsys.readouterr().out


def test_the_same_idempotency_key_makes_one_video(capsys: pytest.CaptureFixture[str]) -> None:
    command = [*VIDEO, "--idempotency-key", "k", "--option", "latency_seconds=0"]
    assert main([*command, "--out", "a.mp4"]) == 0
    assert main([*command, "--out", "a.mp4"]) == 0

    assert "a.mp4: " in capsys.readouterr().out.splitlines()[-2]
    assert main([*command, "--out", "b.mp4"]) == 17
    assert not Path("b.mp4").exists()
    assert main([*VIDEO, "--idempotency-key", "k", "--seed", "5"]) == 17
    assert "belongs to job" in capsys.readouterr().err


def test_an_empty_idempotency_key_is_refused_and_not_taken_for_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*VIDEO, "--idempotency-key", "", "--out", "a.mp4"]) == 2

    assert "idempotency_key is empty" in capsys.readouterr().err


def test_a_damaged_ledger_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("data").mkdir()
    Path("data/ledger.sqlite").write_bytes(b"not a ledger" * 1000)

    assert main(["jobs", "list"]) == 21

    said = capsys.readouterr().err
    assert "is no database, or is damaged (move it away" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("command", ["show", "resume", "reconcile", "cancel"])
def test_a_job_that_does_not_exist_is_said(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", command, "nothing"]) == 15

    assert "unknown job 'nothing'" in capsys.readouterr().err
