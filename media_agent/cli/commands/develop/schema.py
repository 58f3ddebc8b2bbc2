"""The commands that print what other programs read: the wire types, the tools of an agent."""

from typing import Annotated, Literal

from cyclopts import Parameter

from media_agent.cli.screen import write_json

Format = Annotated[
    Literal["openai", "openai-responses", "anthropic", "json-schema"], Parameter(name="--format")
]


def print_schema(name: str, /) -> int:
    """Print the JSON Schema of a type, such as VideoRequest.

    Args:
        name: Name of the type or of its file.
    """
    from media_agent.errors import InvalidRequestError
    from media_agent.suggest import did_you_mean
    from media_agent_schemas.export import NAMES, build_json_schema, file_name_of

    by_any_name = {known.lower(): known for known in NAMES}
    by_any_name |= {file_name_of(known).removesuffix(".json"): known for known in NAMES}
    known = by_any_name.get(name.lower().removesuffix(".json"))
    if known is None:
        raise InvalidRequestError(f"unknown schema {name!r}", hint=did_you_mean(name, NAMES))
    write_json(build_json_schema(known))
    return 0


def print_tools(*, dialect: Format = "json-schema") -> int:
    """Print the tool definitions that let an AI agent generate videos, as JSON: {"data": [...]}.

    Args:
        dialect: For the API of this vendor (openai: Chat Completions), strict where it has that.
    """
    from media_agent.config.settings import load_settings
    from media_agent.tools import tool_definitions

    write_json({"data": tool_definitions(dialect, routes=load_settings().routes)})
    return 0
