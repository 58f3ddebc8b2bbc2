"""The examples of agents and authors do what they say, as they stand in the files."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.tools import ToolBox
from media_agent_schemas import GenerationRecord

ROOT = Path(__file__).resolve().parents[2]


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def python_blocks(page: str) -> list[str]:
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('default_backend = "sandbox"\n', encoding="utf-8")
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(settings))
    monkeypatch.chdir(tmp_path)


@pytest.mark.anyio
async def test_the_scripted_agent_plans_creates_waits_and_shows_the_contact_sheet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    example = load_example("agent_tool_loop")
    arguments = {"prompt": "a fox in the snow", "duration": 1, "size": "64x36", "model": "sandbox"}

    async with VideoClient(settings=load_settings()) as client:
        model = example.ScriptedModel(arguments)
        messages = await example.converse(ToolBox(client), model, "a fox in the snow")
    example.show(messages)

    calls = [
        call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()
    ]
    assert calls[:3] == ["plan_video", "create_video", "wait_video"]
    last = messages[-1]["content"]
    assert "/sheet-" in last
    assert Path(re.findall(r"At a glance: (\S+)", last)[0]).exists()  # noqa: ASYNC240
    assert "assistant  create_video(" in capsys.readouterr().out


@pytest.mark.anyio
async def test_the_scripted_agent_says_when_nobody_can_do_it() -> None:
    example = load_example("agent_tool_loop")
    arguments = {"prompt": "a fox", "first_frame": "fox.png", "model": "sandbox"}

    async with VideoClient(settings=load_settings()) as client:
        messages = await example.converse(
            ToolBox(client), example.ScriptedModel(arguments), "a fox"
        )

    assert messages[-1]["content"].startswith("Nobody can do it")


def test_the_agent_loop_runs_as_a_program() -> None:
    command = [sys.executable, str(ROOT / "examples" / "agent_tool_loop.py"), "a fox"]
    command += ["--model", "sandbox", "--duration", "0.5"]

    result = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))

    assert result.returncode == 0, result.stderr
    assert "Here is your video" in result.stdout


@pytest.mark.anyio
async def test_the_python_of_the_how_to_gives_tools_to_a_model() -> None:
    block, *_ = python_blocks("use-as-an-agent-tool.md")
    names: dict[str, Any] = {}

    exec(compile(block, "use-as-an-agent-tool.md", "exec"), names)
    answers = await names["answer"]([("plan_video", '{"prompt": "a fox"}'), ("wait_video", "{}")])

    assert "chosen" in answers[0]
    assert answers[1]["error"]["code"] == "invalid_request"


def test_the_error_that_the_how_to_shows_is_the_one_that_comes() -> None:
    page = (ROOT / "docs" / "how-to" / "use-as-an-agent-tool.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)

    async def ask() -> Any:
        async with VideoClient(settings=load_settings()) as client:
            return await ToolBox(client).call("wait_video", {"job_id": "a", "seconds": 61})

    import asyncio

    assert asyncio.run(ask()) == json.loads(shown)


def test_one_request_goes_five_ways_by_one_word_and_is_never_paid_twice(
    tmp_path: Path,
    raw_weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("diffusers")
    from media_agent_magi.backend import MagiBackend
    from media_agent_magi.tiny.family import TinyFamily

    def make(settings: BackendSettings) -> VideoBackend:
        return MagiBackend(settings, [TinyFamily(raw_weights)])

    monkeypatch.setattr("media_agent_magi.plugin.make", make)
    monkeypatch.delenv("MEDIA_AGENT_DATA_DIR")
    example = load_example("three_ways")

    example.main(["--folder", str(tmp_path / "ways"), "--duration", "0.5"])

    said = capsys.readouterr().out
    assert "5 videos, 5 records, 1 shape of record" in said
    for model in ("magi/tiny", "sandbox/slate", "fal/wan/", "wan/wan", "mochi/mochi"):
        assert model in said
    assert "status: completed; asked again: completed, the same job: yes" in said
    assert said.count("submissions that the service accepted: 1") == 1


def test_a_video_is_steered_while_it_is_made_finished_and_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    example = load_example("steered_video")

    example.main(["--folder", str(tmp_path / "out"), "--seconds", "1", "--steps", "8"])

    said = capsys.readouterr().out
    record = GenerationRecord.model_validate_json((tmp_path / "out/steered.json").read_bytes())
    prompts = [example.FIRST, example.SECOND, example.THIRD, example.STEERED]
    assert [shot.prompt_sent for shot in record.shots] == prompts
    chunks = record.frames_delivered // 24
    assert said.count("  seen   ") == chunks
    assert said.count(f"asked  {example.STEERED}") == chunks - record.shots[-1].start >= 1
    assert f" of {chunks} chunks show what was asked" in said
    assert (tmp_path / "out" / "steered.png").exists()
