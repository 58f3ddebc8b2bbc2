"""The tools as objects of agent frameworks; a framework is imported when its function is called."""

import base64
import importlib
from collections.abc import Mapping
from types import ModuleType

from pydantic import JsonValue

from media_agent.errors import ConfigurationError
from media_agent.tools.agents.executors import answer_call
from media_agent.tools.toolbox import ToolBox

Definition = Mapping[str, JsonValue]


def as_pydantic_ai_tools(toolbox: ToolBox) -> list[object]:
    """Return the tools for `Agent(tools=...)` of pydantic-ai.

    Raises:
        ConfigurationError: pydantic-ai is not installed.
    """
    pydantic_ai = _load("pydantic_ai", "pydantic-ai-slim")

    def build(tool: Definition) -> object:
        async def run(**arguments: JsonValue) -> object:
            text, *images = await answer_call(toolbox, str(tool["name"]), arguments, "json-schema")
            shown = [
                pydantic_ai.BinaryContent(
                    base64.b64decode(str(each["data"])), media_type="image/png"
                )
                for each in images
            ]
            return pydantic_ai.ToolReturn(text["text"], content=shown) if shown else text["text"]

        named = {"name": tool["name"], "description": tool["description"]}
        found: object = pydantic_ai.Tool.from_schema(run, **named, json_schema=tool["schema"])
        return found

    return [build(tool) for tool in toolbox.definitions("json-schema")]


def as_openai_agents_tools(toolbox: ToolBox) -> list[object]:
    """Return the tools for `Agent(tools=...)` of openai-agents, in strict mode.

    Raises:
        ConfigurationError: openai-agents is not installed.
    """
    agents = _load("agents", "openai-agents")

    def build(tool: Definition) -> object:
        async def run(context: object, arguments: str) -> object:
            name = str(tool["name"])
            text, *images = await answer_call(toolbox, name, arguments, "openai-responses")
            shown = [agents.ToolOutputImage(image_url=each["image_url"]) for each in images]
            return [agents.ToolOutputText(text=text["text"]), *shown]

        found: object = agents.FunctionTool(
            name=tool["name"],
            description=tool["description"],
            params_json_schema=tool["parameters"],
            on_invoke_tool=run,
        )
        return found

    return [build(tool) for tool in toolbox.definitions("openai-responses")]


def as_langchain_tools(toolbox: ToolBox) -> list[object]:
    """Return the tools for `bind_tools` and the agents of LangChain; they run in `ainvoke` only.

    Raises:
        ConfigurationError: langchain-core is not installed.
    """
    tools = _load("langchain_core.tools", "langchain-core")

    def build(tool: Definition) -> object:
        async def run(**arguments: JsonValue) -> object:
            text, *images = await answer_call(toolbox, str(tool["name"]), arguments, "json-schema")
            shown = [
                {"type": "image", "base64": each["data"], "mime_type": each["mimeType"]}
                for each in images
            ]
            return [text, *shown] if shown else text["text"]

        found: object = tools.StructuredTool(
            name=tool["name"],
            description=tool["description"],
            args_schema=tool["schema"],
            coroutine=run,
        )
        return found

    return [build(tool) for tool in toolbox.definitions("json-schema")]


def _load(module: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"{package} cannot be imported: {error}", hint=f"pip install {package}"
        ) from error
