"""The tools in agent frameworks: `make frameworks` runs these with all of them installed."""

import base64
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import ConfigurationError
from media_agent.ledger.ledger import Ledger
from media_agent.tools import (
    ToolBox,
    as_langchain_tools,
    as_openai_agents_tools,
    as_pydantic_ai_tools,
)
from tests.tools.agents.test_executors import ShownBox, tiny_png

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "agents"
WAIT: dict[str, Any] = {"job_id": "1", "seconds": 5}

pytestmark = pytest.mark.anyio


@pytest.fixture
def box(tmp_path: Path) -> ShownBox:
    image = tmp_path / "sheet.png"
    image.write_bytes(tiny_png())
    return ShownBox(image)


def example(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return an example; what it needs may not be installed."""
    pytest.importorskip(package)
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setenv("MEDIA_AGENT_DEFAULT_BACKEND", "sandbox")
    return importlib.import_module(name)


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("openai_chat", "openai"),
        ("openai_responses", "openai"),
        ("anthropic_messages", "anthropic"),
        ("with_pydantic_ai", "pydantic_ai"),
        ("with_openai_agents", "agents"),
        ("with_langchain", "langchain_core"),
    ],
)
async def test_an_agent_makes_a_video_and_looks_at_it(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = await example(name, package, monkeypatch).main()

    (job,) = Ledger(load_settings().ledger_path).jobs.list()
    assert job.status == "completed"
    assert said == f"Here is your video: job {job.id}, as its contact sheet shows."


@pytest.mark.parametrize(
    ("make", "module", "package"),
    [
        (as_pydantic_ai_tools, "pydantic_ai", "pydantic-ai-slim"),
        (as_openai_agents_tools, "agents", "openai-agents"),
        (as_langchain_tools, "langchain_core.tools", "langchain-core"),
    ],
)
def test_a_framework_that_is_not_there_is_named(
    make: Any, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ConfigurationError, match=f"{package} cannot be imported") as caught:
        make(ToolBox(VideoClient()))

    assert caught.value.hint == f"pip install {package}"


async def test_pydantic_ai_gets_text_and_images(box: ShownBox) -> None:
    pytest.importorskip("pydantic_ai")
    tools: dict[str, Any] = {tool.name: tool for tool in as_pydantic_ai_tools(box)}  # type: ignore[attr-defined]  # of pydantic-ai

    waited = await tools["wait_video"].function(**WAIT)
    shown = await tools["get_video"].function(job_id="1", contact_sheet=True)

    assert json.loads(waited)["given"] == WAIT
    assert json.loads(shown.return_value)["name"] == "get_video"
    assert shown.content[0].data.startswith(b"\x89PNG")
    assert len(tools) == len(box.definitions())


async def test_openai_agents_get_text_and_images(box: ShownBox) -> None:
    pytest.importorskip("agents")
    tools: dict[str, Any] = {tool.name: tool for tool in as_openai_agents_tools(box)}  # type: ignore[attr-defined]  # of openai-agents

    (waited,) = await tools["wait_video"].on_invoke_tool(None, json.dumps(WAIT))
    text, image = await tools["get_video"].on_invoke_tool(None, '{"job_id": "1"}')

    assert json.loads(waited.text)["given"] == WAIT
    assert json.loads(text.text)["name"] == "get_video"
    assert image.image_url.startswith("data:image/png;base64,")
    assert all(tool.strict_json_schema for tool in tools.values())


async def test_langchain_gets_text_and_images(box: ShownBox) -> None:
    pytest.importorskip("langchain_core")
    tools: dict[str, Any] = {tool.name: tool for tool in as_langchain_tools(box)}  # type: ignore[attr-defined]  # of LangChain

    waited = await tools["wait_video"].ainvoke(WAIT)
    text, image = await tools["get_video"].ainvoke({"job_id": "1", "contact_sheet": True})

    assert json.loads(waited)["given"] == WAIT
    assert json.loads(text["text"])["name"] == "get_video"
    assert base64.b64decode(image["base64"]).startswith(b"\x89PNG")
