"""The command that makes a video, with the sandbox, in this process."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from media_agent.cli import main
from media_agent.errors import StorageError
from media_agent.storage.destination import reserve
from media_agent_schemas import GenerationRecord, JobStatus, Shot, VideoJob

SMALL = ["--size", "64x64", "--duration", "1"]


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Run = Callable[..., Answer]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in an empty folder, with the sandbox as the default backend."""
    monkeypatch.setenv("MEDIA_AGENT_DEFAULT_BACKEND", "sandbox")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def answer(*arguments: str) -> Answer:
        capfd.readouterr()
        code = main(arguments)
        said = capfd.readouterr()
        return Answer(code, said.out, said.err)

    return answer


def test_a_prompt_becomes_a_video_with_its_record(run: Run) -> None:
    answer = run("generate", "a cat on the moon", *SMALL, "--seed", "0", "--out", "a.mp4")

    assert answer.code == 0, answer.err
    record = GenerationRecord.model_validate_json(Path("a.json").read_bytes())
    assert record.status is JobStatus.COMPLETED
    assert record.delivered is not None
    assert (record.delivered.frames, record.delivered.width) == (24, 64)
    assert "a.mp4: 24 frames" in answer.out
    assert "a.json" in answer.out
    assert "\x1b" not in answer.out + answer.err
    assert "\r" not in answer.err


def test_json_is_the_job_and_nothing_else(run: Run) -> None:
    answer = run("generate", "a cat", *SMALL, "--seed", "0", "--out", "a.mp4", "--json")

    job = VideoJob.model_validate_json(answer.out)
    assert job.status is JobStatus.COMPLETED
    assert json.loads(answer.out)["artifacts"][0]["path"] == str(Path("a.mp4").absolute())
    assert job.record_path == str(Path("a.json").absolute())
    assert job.request.seed == 0


def test_without_a_place_the_name_comes_from_prompt_and_seed(run: Run) -> None:
    answer = run("generate", "A cat, on the Moon!", *SMALL, "--seed", "5")

    assert answer.code == 0
    assert Path("out/a-cat-on-the-moon-5.mp4").exists()


def test_a_storyboard_is_the_prompt_and_the_shots_after_it(run: Run) -> None:
    answer = run(
        *("generate", "a cat", "--shot", "mail@home@1", "--shot", "-dash@0.5"),
        *("--size", "64x64", "--duration", "2.5", "--out", "a.mp4", "--json"),
    )

    job = VideoJob.model_validate_json(answer.out)
    assert job.plan.request.shots == (
        Shot(prompt="a cat", duration=1),
        Shot(prompt="mail@home", duration=1),
        Shot(prompt="-dash", duration=0.5),
    )


def test_following_names_the_growing_video_once_and_every_chunk(run: Run) -> None:
    answer = run("generate", "a cat", *SMALL, "--fps", "12", "--out", "a.mp4", "--follow")

    (watch,) = [line for line in answer.err.splitlines() if "watch it" in line]
    assert watch.endswith("video.part.mp4")
    assert "chunk 1, 12 of 12 frames, 1.00 s" in answer.err


def test_images_and_videos_reach_the_plan(run: Run) -> None:
    places = ["--image", "a.png", "--last-image", "http://127.0.0.1/b.png", "--video", "c.mp4"]

    answer = run("plan", "a cat", *places, "--restyle", "--duration", "1", "--json")

    request = json.loads(answer.out)["request"]
    assert request["mode"] == "video_edit"
    assert [(each["role"], each.get("path"), each.get("url")) for each in request["inputs"]] == [
        ("first_frame", str(Path("a.png").absolute()), None),
        ("last_frame", None, "http://127.0.0.1/b.png"),
        ("source_video", str(Path("c.mp4").absolute()), None),
    ]


def test_an_image_that_a_model_does_not_take_is_refused_with_models_that_do(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_KEY", "only-for-tests")
    words = ("generate", "a cat", "--image", "a.png", "--out", "a.mp4", "--model")
    answer = run(*words, "fal")

    named = re.findall(r"(fal/\S+) (?:or|can)", answer.err.rpartition("--model ")[2])
    assert answer.code == 3
    assert "mode = image_to_video" in answer.err
    assert len(named) == 2
    for each in named:
        planned = run("plan", "a cat", "--image", "a.png", "--model", each)
        assert planned.code == 0


def test_an_image_that_a_backend_does_not_take_is_refused(run: Run) -> None:
    answer = run("generate", "a cat", "--image", "a.png", "--fit", "pad")

    assert answer.code == 3
    assert "sandbox/slate can do text_to_video" in answer.err
    assert "option image_fit" in answer.err


def test_the_last_shot_of_an_endless_storyboard_has_no_length(run: Run) -> None:
    answer = run("plan", "a cat@2", "--shot", "mail@home", "--endless", "--json")

    request = json.loads(answer.out)["request"]
    assert [(shot["prompt"], shot.get("duration")) for shot in request["shots"]] == [
        ("a cat", 2),
        ("mail@home", None),
    ]


def test_adjustments_are_said_and_strict_refuses_them(run: Run) -> None:
    wide = ["generate", "a cat", "--duration", "1", "--size", "4098x64", "--n", "2"]
    wide += ["--out", "a.mp4"]

    adjusted = run(*wide, "--fps", "1")
    refused = run(*wide, "--policy", "strict", "--overwrite")

    assert "adjusted: size 4098x64 -> 4096x64" in adjusted.err
    assert "adjusted: n 2 -> 1" in adjusted.err
    assert refused.code == 3
    assert "size = 4098x64" in refused.err


def test_options_reach_the_backend(run: Run) -> None:
    answer = run(
        *("generate", "a cat", *SMALL, "--out", "a.mp4"),
        *("--option", "fail_at=chunk:0", "--option", "fault=content_rejected"),
    )

    assert answer.code == 4
    assert "failed as requested" in answer.err
    assert not Path("a.mp4").exists()


def test_a_contact_sheet_is_written_beside(run: Run) -> None:
    answer = run("generate", "a cat", *SMALL, "--out", "a.mp4", "--sheet", "a.png")

    assert answer.code == 0
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in Path().iterdir()) == ["a.json", "a.mp4", "a.png"]


def test_a_sheet_that_cannot_be_written_does_not_hide_the_video(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr("media_agent.cli.run_job.write_job_sheet", fail)

    answer = run("generate", "a cat", *SMALL, "--out", "a.mp4", "--sheet", "a.png", "--json")

    assert answer.code == 0
    assert json.loads(answer.out)["status"] == "completed"
    assert "warning: no contact sheet: the disk is full" in answer.err


def test_ctrl_c_while_the_sheet_is_written_still_reports_the_video(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)

    monkeypatch.setattr("media_agent.cli.run_job.write_job_sheet", interrupt)

    answer = run("generate", "a cat", *SMALL, "--out", "a.mp4", "--sheet", "a.png")

    assert answer.code == 0
    assert "a.mp4: 24 frames" in answer.out
    assert "before anything" not in answer.err


def test_the_same_command_again_returns_its_job_although_the_sheet_exists(run: Run) -> None:
    command = ["generate", "a cat", *SMALL, "--out", "a.mp4", "--sheet", "a.png"]
    command += ["--idempotency-key", "k"]
    assert run(*command).code == 0
    made = Path("a.mp4").stat()

    assert run(*command).code == 0
    assert Path("a.mp4").stat() == made
    assert Path("a.png").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="everything can be written to by root")
def test_a_folder_that_cannot_be_written_to_is_refused_before_any_work(run: Run) -> None:
    Path("ro").mkdir(mode=0o555)

    answer = run("generate", "a cat", *SMALL, "--out", "a.mp4", "--sheet", "ro/a.png")

    assert (answer.code, Path("a.mp4").exists()) == (2, False)
    assert "cannot be written to" in answer.err


def test_what_exists_is_kept_unless_overwrite_is_said(run: Run) -> None:
    Path("a.mp4").write_bytes(b"old")

    refused = run("generate", "a cat", *SMALL, "--out", "a.mp4")
    assert refused.code == 2
    assert Path("a.mp4").read_bytes() == b"old"

    assert run("generate", "a cat", *SMALL, "--out", "a.mp4", "--overwrite").code == 0
    assert Path("a.mp4").read_bytes() != b"old"


def test_a_second_run_to_one_place_is_refused(run: Run) -> None:
    with reserve(Path("a.mp4")):
        answer = run("generate", "a cat", *SMALL, "--out", "a.mp4")

    assert answer.code == 2
    assert "another run is writing to it" in answer.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([""], "prompt is empty"),
        (["a" * 1_000_000], "prompt has 1000000 bytes"),
        (["a\0cat"], "NUL character"),
        (["a", "--duration", "0"], "duration 0 s is not above zero"),
        (["a", "--duration", "-1"], "duration -1 s is not above zero"),
        (["a", "--duration", "nan"], "--duration 'nan'"),
        (["a", "--duration", "inf"], "duration inf"),
        (["a", "--duration", "5s"], "--duration '5s' is not a number"),
        (["a", "--duration", "0.01"], "less than one frame"),
        (["a", "--seed", "-1"], "seed -1 is not within"),
        (["a", "--seed", str(2**63)], "seed 9223372036854775808 is not within"),
        (["a", "--seed", "1.5"], "--seed '1.5' is not a whole number"),
        (["a", "--size", "63x64"], "width 63 is odd"),
        (["a", "--size", "big"], "size 'big' is not WIDTHxHEIGHT"),
        (["a", "--fps", "0"], "fps 0"),
        (["a", "--backend", "sandbx"], "did you mean sandbox?"),
        (["a", "--backend", "sandbox/slat"], "did you mean slate?"),
        (["a", "--option", "latency"], "not NAME=VALUE"),
        (["a", "--option", "latency_seconds=x"], "not of type number"),
        (["a", "--option", "fault=crash", "--option", "fault=crash"], "given twice"),
        (["a", "--shot", "b"], "2 shots have no duration; at most one may omit it (give every"),
        (["a", "--shot", "b@"], "shot 'b@' ends in '', which is not a number of seconds"),
        (["a@3", "--duration", "5"], "the prompt has @3 and --duration is 5 (give one)"),
        (["--shot", "b@3", "--duration", "5"], "the shots take 3 s together, not 5 s"),
        (["a", "--shot", "b@9", "--duration", "5"], "leave nothing"),
        (["a", "--out", "."], "is a folder"),
        (["a", "--out", "no/a.mp4"], "mkdir -p"),
        (["a", "--out", "a.gif"], "does not end in .mp4"),
        (["a", "--sheet", "a.jpg"], "does not end in .png"),
        (["a", "--sheet", "no/a.png"], "no such folder: no"),
        (["a", "--sheet", f"{'x' * 252}.png"], "cannot be written: the name is too long"),
        (["a", "--sheet", f"{'x' * 256}/a.png"], "cannot be written: the name is too long"),
        (["a", "--out", f"{'x' * 256}/a.mp4"], "the name is too long"),
        (["a", "--policy", "maybe"], "--policy"),
        (["a", "--sed", "3"], "--seed"),
        (["a", "--n", "0"], "n: it should be greater than or equal to 1"),
        (["a", "--n", "two"], "--n 'two' is not a whole number"),
        (["a", "--restyle"], "name it with --video"),
        (["a", "--fit", "pad"], "--fit pad needs an image"),
        (["a", "--fit", "stretch", "--image", "a.png"], "--fit"),
        (["a", "--endless", "--duration", "3"], "give one of duration, num_frames, endless"),
        (["a", "--endless", "--shot", "b"], "2 shots have no duration"),
        (["a@1", "--endless", "--shot", "b@2", "--video", ""], "path"),
        ([], "nothing describes the video (give a PROMPT, --shot TEXT@SECONDS or --request"),
    ],
)
def test_bad_input_gets_one_clear_line_and_leaves_nothing(
    run: Run, arguments: list[str], said: str
) -> None:
    answer = run("generate", *arguments)

    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert said.lower() in answer.err.lower()
    assert answer.err.count("\n") == 1
    assert len(answer.err) < 600
    assert [path.name for path in Path().iterdir() if path.name != "out"] == []


def test_an_unknown_option_names_the_nearest(run: Run) -> None:
    answer = run("generate", "a cat", "--option", "latency_second=3")

    assert answer.code == 3
    assert "did you mean latency_seconds?" in answer.err


def test_control_codes_in_the_input_do_not_reach_the_screen(run: Run) -> None:
    answer = run("generate", "a \x1b[31mcat", "--out", "\x1b[31m/a.mp4")

    assert "\x1b" not in answer.err
    assert "\\x1b[31m" in answer.err


def test_a_malformed_setting_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_AGENT_DEFAULT_BACKEND", "")

    answer = run("generate", "a cat")

    assert answer.code == 19
    assert "MEDIA_AGENT_DEFAULT_BACKEND" in answer.err


def test_a_data_folder_that_cannot_be_made_is_said(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").write_bytes(b"")
    monkeypatch.setenv("MEDIA_AGENT_DATA_DIR", "file")

    answer = run("generate", "a cat", *SMALL, "--out", "a.mp4")

    assert answer.code == 21
    assert "a file, not a folder" in answer.err
    assert not Path("a.mp4").exists()


def test_a_fault_of_our_own_is_one_line_without_a_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object) -> list[str]:
        raise ZeroDivisionError("oops\nin two lines")

    monkeypatch.setattr("media_agent.registry.registry.Registry.names", broken)

    answer = run("backends")

    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert "ZeroDivisionError: oops in two lines" in answer.err


def test_quiet_says_the_path_and_nothing_else(run: Run) -> None:
    wide = ["--size", "64x64", "--duration", "1", "--n", "2"]  # more than it makes: adjusted

    answer = run("generate", "a cat", *wide, "-o", "a.mp4", "-q")

    assert answer == Answer(0, f"{Path('a.mp4').absolute()}\n", "")


def test_quiet_still_says_errors(run: Run) -> None:
    answer = run("generate", "a cat", *SMALL, "--option", "fail_at=chunk:0", "-q")

    assert answer.code != 0
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["generate", "a", "--sed", "3"], 2, ("invalid_request", "media-agent generate --help")),
        (["jobs", "show"], 2, ("invalid_request", "media-agent jobs show --help")),
        (["jobs", "shwo"], 2, ("invalid_request", "media-agent jobs --help")),
        (["nonsense"], 2, ("invalid_request", "media-agent --help")),
        (["generate", "a", "--duration", "-1"], 2, ("invalid_request", None)),
        (["generate", "a", "--image", "a.png"], 3, ("unsupported_request", None)),
        (["jobs", "show", "nobody"], 15, ("job_not_found", "media-agent jobs list")),
        (["backends", "nobody"], 2, ("invalid_request", "valid: ")),
        (["models", "add", "nowhere"], 21, ("storage", None)),
        (["verify-live", "nobody", "--max-cost", "1"], 2, ("invalid_request", "valid: ")),
        (
            ["verify-live", "sandbox", "--max-cost", "0", "--out", "no/a.json"],
            2,
            ("invalid_request", "create it first"),
        ),
        (["extend", f"{'x' * 256}.mp4", "a"], 2, ("invalid_request", "media-agent jobs list")),
    ],
)
def test_with_json_an_error_is_json_on_stdout_as_the_tools_give_it(
    run: Run, arguments: list[str], code: int, error: tuple[str, str | None]
) -> None:
    answer = run(*arguments, "--json")

    said = json.loads(answer.out)["error"]
    assert answer.code == code
    assert said["code"] == error[0]
    assert (error[1] or "") in said.get("hint", "")
    assert said["message"] in answer.err
    assert said["retryable"] is False


def test_a_job_is_detached_only_where_there_are_workers(run: Run) -> None:
    answer = run("generate", "a cat", *SMALL, "--detach")

    assert answer.code == 2
    assert "--detach needs workers" in answer.err
    assert 'runner = "dbos"' in answer.err


def test_a_detached_job_is_queued_and_its_id_is_printed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from media_agent.cluster.enqueuing import EnqueuingRunner
    from tests.cluster.fakes import MemoryQueue

    queue = MemoryQueue()
    monkeypatch.setenv("MEDIA_AGENT_JOBS__RUNNER", "dbos")
    monkeypatch.setattr(
        "media_agent.cluster.start.build_runner",
        lambda context, settings: EnqueuingRunner(context, queue, settings.backends),
    )

    answer = run("generate", "a cat", *SMALL, "--seed", "0", "--detach")

    assert "media-agent worker --queues sandbox" in answer.err
    assert answer.code == 0, answer.err
    (turn,) = queue.turns
    assert answer.out == f"{turn.job_id}\n"
    assert turn.queue == "sandbox"
