"""A program of the user's as a backend: its words, its end, and that nothing of it is left."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

import tests.video.mp4.test_faststart
from media_agent.backend.protocol import BackendSettings
from media_agent.builtin.command import CommandBackend, make
from media_agent.cli import main
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import ConfigurationError, InvalidRequestError, UnsupportedRequestError
from media_agent.ledger.ledger import Ledger
from media_agent.negotiation.negotiate import negotiate
from media_agent.programs.turns import take_turn
from media_agent.storage.files import sha256_of
from media_agent.testing import events_of
from media_agent.testing.simulator.videos import write_video
from media_agent.video.mp4.faststart import has_index_in_front
from media_agent_schemas import VideoRequest
from media_agent_schemas.events import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobProgressed,
    TerminalEvent,
)
from media_agent_schemas.records import GenerationRecord
from media_agent_schemas.request import VideoMode

pytestmark = pytest.mark.anyio

VIDEO = """
import json, sys
import numpy as np
from media_agent.testing.simulator.videos import write_video
output, width, height, frames, fps = sys.argv[1:6]
pixels = np.zeros((int(frames), int(height), int(width), 3), np.uint8)
write_video(__import__("pathlib").Path(output), pixels, fps=float(fps))
"""
VIDEO_WORDS = ("{output}", "{width}", "{height}", "{num_frames}", "{fps}", "{prompt}")
COPY = "import shutil, sys; shutil.copy(sys.argv[3], sys.argv[2])"
FIXED: dict[str, Any] = {"sizes": ["64x64"], "fps": [8], "durations": [0.5]}

Build = Callable[..., CommandBackend]


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Build]:
    """Return what makes a backend of a Python program and of its words."""
    made: list[CommandBackend] = []

    def build(
        code: str,
        *words: str,
        model: str | None = None,
        secrets: tuple[SecretStr, ...] = (),
        largest_video: int = 2**30,
        **options: Any,
    ) -> CommandBackend:
        program = tmp_path / "program.py"
        program.write_text(code)
        settings = BackendSettings(
            data_dir=tmp_path / "data",
            options={"command": [sys.executable, str(program), *words], **options},
            name="mine",
            model=model,
            secrets=secrets,
            environment=load_settings().build_environment,
        )
        made.append(CommandBackend(settings, grace_seconds=0.3, largest_video=largest_video))
        return made[-1]

    yield build
    for backend in made:
        await backend.aclose()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    write_video(path, np.zeros((3, 64, 32, 3), np.uint8), fps=8)
    return path


def content(path: str | Path) -> bytes:
    """Return what a file holds, nothing if it is not there."""
    return Path(path).read_bytes() if Path(path).exists() else b""


def make_request(**fields: Any) -> VideoRequest:
    """Return a request as a plan leaves it."""
    known = {"prompt": "a cat", "num_frames": 4, "fps": 8.0, "size": {"width": 64, "height": 64}}
    return VideoRequest.model_validate({"model": "mine/program", **known, **fields})


async def run(backend: CommandBackend, request: VideoRequest) -> TerminalEvent:
    ref = await backend.submit(request, key="job-1")
    return await end(backend, ref)


async def end(backend: CommandBackend, ref: Any) -> TerminalEvent:
    seen = await events_of(backend, ref)
    assert isinstance(seen[-1], TerminalEvent)
    return seen[-1]


SAY_WORDS = "import json, sys\nprint(json.dumps(sys.argv[1:]))\nsys.exit(3)"


async def words_of(backend: CommandBackend, request: VideoRequest, tmp_path: Path) -> list[str]:
    """Return the words that the program really got."""
    await run(backend, request)
    said = content(tmp_path / "data" / "work" / "job-1" / "program.log")
    words: list[str] = json.loads(said)
    return words


async def test_the_video_of_a_program_is_taken_as_it_is(build: Build) -> None:
    ended = await run(build(VIDEO, *VIDEO_WORDS), make_request())

    assert isinstance(ended, JobCompleted)
    video = ended.artifacts[0].metadata
    assert video is not None
    assert (video.width, video.height, video.frames, video.fps) == (64, 64, 4, 8.0)
    assert ended.warnings == ()


async def test_a_program_reports_its_progress_while_it_runs(build: Build, tmp_path: Path) -> None:
    code = """
import pathlib, sys, time
print("progress 40%", flush=True)
while not pathlib.Path(sys.argv[-1]).exists():
    time.sleep(0.01)
sys.exit(3)
"""
    backend = build(code, *VIDEO_WORDS, str(tmp_path / "seen"))
    ref = await backend.submit(make_request(), key="job-1")
    seen = []

    async with aclosing(backend.observe(ref)) as events:
        async for event in events:
            seen.append(event)
            if isinstance(event, JobProgressed) and event.fraction is not None:
                (tmp_path / "seen").touch()  # else the program would run for an hour

    assert [event.fraction for event in seen if isinstance(event, JobProgressed)] == [0.4]


@pytest.mark.parametrize(
    ("size", "seconds", "warnings"),
    [
        ("32x64", 0.375, ()),
        (
            "64x64",
            0.5,
            (
                "requested 64x64, received 32x64",
                "requested 0.5 s, received 0.375 s (3 frames)",
            ),
        ),
    ],
)
def test_a_video_comes_of_the_settings_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    video: Path,
    size: str,
    seconds: float,
    warnings: tuple[str, ...],
) -> None:
    (tmp_path / "copy.py").write_text(COPY)
    (tmp_path / "media-agent.toml").write_text(f"""
        [backends.mine]
        kind = "command"
        [backends.mine.options]
        command = ["{sys.executable}", "copy.py", "{{prompt}}", "{{output}}", "{video}"]
        sizes = ["{size}"]
        fps = [8]
        durations = [{seconds}]
    """)
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    monkeypatch.delenv("MEDIA_AGENT_CONFIG", raising=False)

    code = main(["generate", "a cat", "--backend", "mine", "--out", "cat.mp4"])

    record = GenerationRecord.model_validate_json((tmp_path / "deep" / "cat.json").read_bytes())
    assert code == 0
    assert (record.backend, record.model, record.kind) == ("mine", "program", "command")
    assert record.frames_delivered == 3
    assert record.warnings == warnings


class Crash(BaseException):
    """The end of a process."""


@pytest.mark.parametrize(
    ("price", "runs", "status"),
    [({"usd_per_video": 2.0}, 1, "outcome_unknown"), ({"usd_per_video": 0.0}, 2, "completed")],
)
async def test_a_program_that_costs_money_is_not_run_again_after_a_crash(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    video: Path,
    price: dict[str, float],
    runs: int,
    status: str,
) -> None:
    count = tmp_path / "count"
    code = f"{COPY}; open({str(count)!r}, 'a').write('x')"
    command = [sys.executable, "-c", code, "{prompt}", "{output}", str(video)]
    options = {"command": command, "sizes": ["32x64"], "fps": [8], "durations": [0.375], **price}
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(tmp_path / "none.toml"))
    backends = {"mine": {"kind": "command", "options": options}}
    settings = load_settings(data_dir=tmp_path / "data", backends=backends)
    request = VideoRequest(prompt="a cat", model="mine")

    def process(checkpoint: Callable[[str], None] = lambda step: None) -> VideoClient:
        store = Ledger(tmp_path / "ledger.sqlite", is_owner_alive=lambda owner, silent: False)
        return VideoClient(settings=settings, store=store, checkpoint=checkpoint)

    def crash(step: str) -> None:
        if step == "observe":
            raise Crash

    async with process(crash) as client:
        with pytest.raises(Crash):
            await client.generate(request, out=tmp_path / "a.mp4", job_id="one")
    async with process() as client:
        job = await client.resume("one")

    assert (len(count.read_text()), job.status) == (runs, status)
    if job.error is not None:
        assert str(tmp_path / "data" / "work" / "one") in str(job.error.hint)


@pytest.mark.parametrize(
    "prompt",
    ["--output=/tmp/stolen", "-rf", "@/etc/passwd", "$(touch pwned); `id` | cat > x", "{output}"],
)
async def test_a_prompt_is_one_word_of_text_and_never_an_option(
    build: Build, tmp_path: Path, prompt: str
) -> None:
    backend = build(SAY_WORDS, "{prompt}", "--text={prompt}", "{output}", **FIXED)

    alone, embedded, _ = await words_of(backend, make_request(prompt=prompt), tmp_path)

    assert alone == (f" {prompt}" if prompt[0] in "-@" else prompt)
    assert embedded == f"--text={prompt}"


async def test_the_prompt_that_was_sent_is_told(build: Build, video: Path) -> None:
    backend = build(COPY, "{prompt}", "{output}", str(video), **FIXED)

    ended = await run(backend, make_request(prompt="-a cat"))

    assert isinstance(ended, JobCompleted)
    assert ended.prompts_sent == (" -a cat",)


async def test_a_word_whose_placeholder_has_no_value_is_left_out(
    build: Build, tmp_path: Path
) -> None:
    words = ("{prompt}", "{output}", "--seed={seed}", "--not={negative_prompt}")
    backend = build(SAY_WORDS, *words, **FIXED)

    got = await words_of(backend, make_request(seed=0), tmp_path)

    assert [got[0], *got[2:]] == ["a cat", "--seed=0"]


async def test_a_long_prompt_can_go_by_file(build: Build, tmp_path: Path) -> None:
    prompt = "a cat, " * 14_000
    backend = build(SAY_WORDS, "--prompt-file={prompt_file}", "{output}", **FIXED)

    [file, _] = await words_of(backend, make_request(prompt=prompt), tmp_path)

    assert content(file.partition("=")[2]) == prompt.encode()


async def test_an_image_goes_by_file_whether_it_came_as_one_or_as_bytes(
    build: Build, tmp_path: Path
) -> None:
    backend = build(SAY_WORDS, "{prompt}", "--image={first_frame}", "{output}", **FIXED)
    image = {"role": "first_frame", "data": "aGVsbG8="}

    got = await words_of(backend, make_request(inputs=[image]), tmp_path)

    assert content(got[1].partition("=")[2]) == b"hello"
    assert VideoMode.IMAGE_TO_VIDEO in backend.capabilities().modes


async def test_several_first_frames_are_refused(build: Build) -> None:
    backend = build(SAY_WORDS, "{prompt}", "--image={first_frame}", "{output}", **FIXED)
    image = {"role": "first_frame", "data": "aGVsbG8="}

    ended = await run(backend, make_request(inputs=[image, image]))

    assert isinstance(ended, JobFailed)
    assert "one first_frame; given: 2" in ended.error.message


async def test_a_program_that_fails_is_quoted(build: Build) -> None:
    code = "import sys\nprint('working')\nsys.exit('no GPU is left')"

    ended = await run(build(code, "{prompt}", "{output}", **FIXED), make_request())

    assert isinstance(ended, JobFailed)
    assert ended.error.code == "generation_failed"
    assert "exited with 1" in ended.error.message
    assert "no GPU is left" in ended.error.message
    assert "program.log" in (ended.error.hint or "")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("pass", "left no file"),
        ("import sys; open(sys.argv[2], 'w').write('<html>')", "left no video"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9"),
    ],
)
async def test_a_program_without_a_video_is_a_failure(build: Build, code: str, said: str) -> None:
    ended = await run(build(code, "{prompt}", "{output}", **FIXED), make_request())

    assert isinstance(ended, JobFailed)
    assert said in ended.error.message


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    options = {"command": ["no-such-program", "{prompt}", "{output}"], **FIXED}
    backend = CommandBackend(BackendSettings(data_dir=tmp_path, options=options, name="mine"))

    ended = await run(backend, make_request())
    await backend.aclose()

    assert backend.capabilities().missing == "a program: no-such-program was not found"
    assert isinstance(ended, JobFailed)
    assert ended.error.code == "backend_unavailable"
    assert "no-such-program" in ended.error.message


FAMILY = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(60)
"""


async def test_a_cancel_stops_the_program_and_its_children(build: Build, tmp_path: Path) -> None:
    note = tmp_path / "child"
    backend = build(FAMILY, str(note), "{prompt}", "{output}", **FIXED)
    ref = await backend.submit(make_request(), key="job-1")
    child = await _appeared(note)

    await backend.cancel(ref)
    ended = await end(backend, ref)

    assert isinstance(ended, JobCancelled)
    assert await _is_gone(child)


async def test_a_program_that_takes_too_long_is_stopped(build: Build, tmp_path: Path) -> None:
    backend = build(FAMILY, str(tmp_path / "child"), "{prompt}", "{output}", timeout=0.5, **FIXED)

    ended = await run(backend, make_request())

    assert isinstance(ended, JobFailed)
    assert "after 0.5 s" in ended.error.message
    assert "timeout" in (ended.error.hint or "")


async def _appeared(note: Path) -> int:
    deadline = time.monotonic() + 60
    while not content(note):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    return int(content(note))


async def _is_gone(process: int, *, seconds: float = 30) -> bool:
    """Return whether a process ends soon; a zombie whom nobody collects has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(process, 0)
            if b") Z " in content(f"/proc/{process}/stat"):
                return True
        except ProcessLookupError:
            return True
        await asyncio.sleep(0.02)
    return False


async def test_what_a_program_leaves_running_ends_with_it(
    build: Build, video: Path, tmp_path: Path
) -> None:
    note = tmp_path / "child"
    code = f"""
import pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
pathlib.Path({str(note)!r}).write_text(str(child.pid))
{COPY}
"""
    ended = await run(build(code, "{prompt}", "{output}", str(video), **FIXED), make_request())

    assert isinstance(ended, JobCompleted)
    assert await _is_gone(await _appeared(note))


SAY_ENVIRONMENT = "import json, os, sys\nprint(json.dumps(dict(os.environ)))\nsys.exit(3)"


@pytest.fixture
def secrets_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Put keys of several backends into the environment, one of them under a harmless name."""
    for name in ("OF_FAL", "OTHER_API_KEY", "GITHUB_TOKEN", "CUDA_MIRROR", "MY_SETTING"):
        monkeypatch.setenv(name, f"value-of-{name}")
    monkeypatch.setenv("DATABASE_URL", "postgres://me:secret@host/db")
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__SANDBOX__KEY", "value-of-sandbox")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    file = tmp_path / "media-agent.toml"
    file.write_text("""
        [backends.fal]
        key_env = "OF_FAL"
        [backends.openai-compatible]
        key_env = "CUDA_MIRROR"
    """)
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(file))
    return file


async def environment_in(backend: CommandBackend, tmp_path: Path) -> dict[str, str]:
    await run(backend, make_request())
    said = content(tmp_path / "data" / "work" / "job-1" / "program.log")
    environment: dict[str, str] = json.loads(said)
    return environment


@pytest.mark.usefixtures("secrets_around")
async def test_a_program_gets_no_key_and_nothing_that_it_was_not_given(
    build: Build, tmp_path: Path
) -> None:
    backend = build(SAY_ENVIRONMENT, "{prompt}", "{output}", **FIXED)

    environment = await environment_in(backend, tmp_path)

    assert "value-of" not in json.dumps(environment)
    assert "DATABASE_URL" not in environment
    assert environment["LC_ALL"] == "C.UTF-8"
    assert environment["PATH"] == os.environ["PATH"]


@pytest.mark.usefixtures("secrets_around")
async def test_a_program_gets_the_variables_that_its_section_names(
    build: Build, tmp_path: Path
) -> None:
    names = ["GITHUB_TOKEN", "MY_SETTING", "NOT_THERE"]
    backend = build(SAY_ENVIRONMENT, "{prompt}", "{output}", env=names, **FIXED)

    environment = await environment_in(backend, tmp_path)

    assert environment["GITHUB_TOKEN"] == "value-of-GITHUB_TOKEN"
    assert environment["MY_SETTING"] == "value-of-MY_SETTING"
    assert "NOT_THERE" not in environment
    assert "OTHER_API_KEY" not in environment


async def test_the_last_words_of_a_program_are_told_without_a_key(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, other = "SECRETKEY-0123456789abcdef/+x", "a-token-that-was-given"
    monkeypatch.setenv("MY_TOKEN", other)
    code = f"""
import base64, os, sys
key = {key!r}
print(key, key.replace("/", "\\\\/"), base64.b64encode(key.encode()).decode())
print("it was refused", os.environ["MY_TOKEN"])
sys.exit(1)
"""
    backend = build(
        code, "{prompt}", "{output}", env=["MY_TOKEN"], secrets=(SecretStr(key),), **FIXED
    )

    ended = await run(backend, make_request())

    assert isinstance(ended, JobFailed)
    assert "it was refused [key]" in ended.error.message
    assert "0123456789" not in ended.error.message
    assert other not in ended.error.message


async def test_a_file_too_large_for_a_video_is_not_read(build: Build) -> None:
    code = "import sys\nopen(sys.argv[2], 'wb').truncate(2**21)"
    ended = await run(
        build(code, "{prompt}", "{output}", largest_video=2**20, **FIXED), make_request()
    )

    assert isinstance(ended, JobFailed)
    assert "wrote more than 1048576 bytes" in ended.error.message


async def test_a_program_is_stopped_while_its_file_grows_too_large(build: Build) -> None:
    code = "import sys, time\nopen(sys.argv[2], 'wb').truncate(2**21)\ntime.sleep(60)"
    ended = await run(
        build(code, "{prompt}", "{output}", largest_video=2**20, **FIXED), make_request()
    )

    assert isinstance(ended, JobFailed)
    assert "wrote more than 1048576 bytes" in ended.error.message


async def test_what_a_program_takes_follows_from_its_placeholders(build: Build) -> None:
    free = build(VIDEO, *VIDEO_WORDS, "{seed}").capabilities()
    fixed = build(VIDEO, "{prompt}", "{output}", **FIXED, model="own").capabilities("own")

    assert (free.seed, free.negative_prompt, free.sizes) == (True, False, ())
    assert (free.resubmits, free.local, free.missing, free.kind) == (True, True, None, "command")
    assert [str(size) for size in fixed.sizes] == ["64x64"]
    assert (fixed.seed, fixed.fps_values, fixed.durations) == (False, (8.0,), (0.5,))
    assert (fixed.backend, fixed.model) == ("mine", "own")


async def test_a_program_is_free_unless_a_price_is_said(build: Build) -> None:
    words = ("{prompt}", "{output}")
    free = build(VIDEO, *words, **FIXED)
    priced = build(VIDEO, *words, **FIXED, usd_per_second=0.5, usd_per_video=1)

    assert free.estimate(make_request()).cost_usd == 0
    assert priced.estimate(make_request()).cost_usd == 1.25


async def test_a_variable_of_a_shell_is_left_to_it(build: Build, tmp_path: Path) -> None:
    words = ("{prompt}", "{output}", "${HOME} ${seed} [0-9]{3}")

    said = await words_of(build(SAY_WORDS, *words, **FIXED), make_request(), tmp_path)

    assert said[-1] == "${HOME} ${seed} [0-9]{3}"


@pytest.mark.parametrize(
    ("words", "options", "said"),
    [
        (("{output}",), FIXED, "the prompt is not used"),
        (("{prompt}",), FIXED, "{output} is used nowhere"),
        (("{promt}", "{output}"), FIXED, "did you mean prompt?"),
        (("{prompt}", "{output}"), {**FIXED, "sizes": []}, "give its one size"),
        (("{prompt}", "{output}"), {**FIXED, "fps": [8, 9]}, "give its one frame rate"),
        (("{prompt}", "{output}"), {**FIXED, "durations": []}, "give its one length"),
        (("{prompt}", "{output}"), {**FIXED, "tiemout": 3}, "did you mean timeout?"),
        (("{prompt}", "{output}"), {**FIXED, "sizes": ["64by64"]}, "not WIDTHxHEIGHT"),
        (("{prompt}", "{output}"), {**FIXED, "needs_first_frame": True}, "used nowhere"),
    ],
)
def test_a_faulty_declaration_says_the_way_out(
    tmp_path: Path, words: tuple[str, ...], options: dict[str, Any], said: str
) -> None:
    options = {"command": ["program", *words], **options}
    settings = BackendSettings(data_dir=tmp_path, options=options, name="mine")

    with pytest.raises(ConfigurationError) as caught:
        make(settings)

    assert said in str(caught.value)
    assert caught.value.faults[0].place[:3] == ("backends", "mine", "options")


def test_the_program_itself_is_no_placeholder(tmp_path: Path) -> None:
    options = {"command": ["{prompt}", "{output}"], **FIXED}

    with pytest.raises(ConfigurationError, match="first item is the program itself"):
        make(BackendSettings(data_dir=tmp_path, options=options, name="mine"))


def test_a_program_takes_no_address(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not support base_url"):
        make(BackendSettings(data_dir=tmp_path, name="mine", base_url="http://127.0.0.1"))


async def test_an_image_by_address_is_refused(build: Build) -> None:
    backend = build(SAY_WORDS, "{prompt}", "--image={first_frame}", "{output}", **FIXED)
    image = {"role": "first_frame", "url": "https://example.com/cat.png"}

    ended = await run(backend, make_request(inputs=[image]))

    assert isinstance(ended, JobFailed)
    assert ended.error.code == InvalidRequestError.code


@pytest.mark.parametrize(
    ("how", "warned"),
    [({"sound": "aac"}, None), ({"pixels": "yuv444p"}, "yuv444p"), ({"turned": 90}, "turned")],
    ids=str,
)
def test_a_video_of_a_program_starts_at_once_and_its_oddities_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], warned: str | None
) -> None:
    made = tests.video.mp4.test_faststart.video(tmp_path / "made.mp4", **how)
    (tmp_path / "copy.py").write_text(COPY)
    (tmp_path / "media-agent.toml").write_text(f"""
        [backends.mine]
        kind = "command"
        [backends.mine.options]
        command = ["{sys.executable}", "copy.py", "{{prompt}}", "{{output}}", "{made}"]
        sizes = ["128x96"]
        fps = [24]
        durations = [1]
    """)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEDIA_AGENT_CONFIG", raising=False)

    code = main(["generate", "a cat", "--backend", "mine", "--out", "cat.mp4"])

    record = GenerationRecord.model_validate_json((tmp_path / "cat.json").read_bytes())
    assert code == 0
    assert has_index_in_front(tmp_path / "cat.mp4")
    assert record.artifacts[0].sha256 == sha256_of(tmp_path / "cat.mp4")
    assert record.delivered is not None
    assert record.delivered.has_audio == ("sound" in how)
    assert [warning for warning in record.warnings if warned and warned in warning] == list(
        record.warnings
    )
    assert bool(record.warnings) == (warned is not None)


ASKER = """
import asyncio, sys
from pathlib import Path
from media_agent.backend.protocol import BackendSettings
from media_agent.builtin.command import CommandBackend
from media_agent.testing import events_of
from media_agent_schemas import VideoRequest
program, folder = Path(sys.argv[1]), Path(sys.argv[2])
options = {
    "command": [sys.executable, str(program), str(folder / "child"), "{prompt}", "{output}"],
    "sizes": ["64x64"], "fps": [8], "durations": [0.5], "usd_per_video": float(sys.argv[3]),
}
settings = BackendSettings(data_dir=folder / "data", options=options, name="mine")
request = VideoRequest(prompt="a cat", model="mine/program", num_frames=4, fps=8,
                       size={"width": 64, "height": 64})
async def run():
    backend = CommandBackend(settings, grace_seconds=0.3)
    await events_of(backend, await backend.submit(request, key="job-1"))
asyncio.run(run())
"""


@pytest.mark.parametrize(("price", "outlives"), [(0.0, False), (2.0, True)])
async def test_a_free_program_ends_with_a_process_that_is_killed(
    tmp_path: Path, price: float, outlives: bool
) -> None:
    program = tmp_path / "program.py"
    program.write_text(FAMILY)
    words = [sys.executable, "-c", ASKER, str(program), str(tmp_path), str(price)]
    asker = await asyncio.create_subprocess_exec(*words)
    child = await _appeared(tmp_path / "child")

    asker.kill()
    await asker.wait()

    try:
        assert await _is_gone(child, seconds=3 if outlives else 30) is not outlives
    finally:
        if outlives:
            os.killpg(os.getpgid(child), signal.SIGKILL)


async def test_a_free_program_waits_for_the_end_of_a_run_that_was_lost(
    build: Build, video: Path, tmp_path: Path
) -> None:
    lock = tmp_path / "data" / "work" / "job-1" / "program.lock"
    backend = build(COPY, "{prompt}", "{output}", str(video), **FIXED)
    with take_turn(lock, lambda: None):
        ref = await backend.submit(make_request(), key="job-1")
        await asyncio.sleep(0.5)
        assert not list(lock.parent.glob("*.mp4"))

    assert isinstance(await end(backend, ref), JobCompleted)


@pytest.mark.parametrize(("fps", "usual"), [(None, 25), (4, 20), (30, 25)])
async def test_a_program_limited_in_frames_makes_them_at_any_rate(
    build: Build, fps: float | None, usual: int
) -> None:
    words = ("{prompt}", "{output}", "{num_frames}", "{fps}", "{first_frame}")
    capabilities = build(SAY_WORDS, *words, sizes=["64x64"], max_frames=25).capabilities()

    def plan(**fields: Any) -> VideoRequest:
        request = VideoRequest.model_validate({"prompt": "a fox", "fps": fps, **fields})
        return negotiate(request, capabilities, draw_seed=lambda: 0).request

    assert (plan().num_frames, plan(num_frames=25).num_frames) == (usual, 25)
    with pytest.raises(UnsupportedRequestError, match="makes 1 to 25 frames at once"):
        plan(num_frames=30)
    with pytest.raises(UnsupportedRequestError, match="starts from one first_frame; given: none"):
        plan(mode="image_to_video")
