"""The command that prints the tools of an agent."""

from typing import Annotated, Literal

from cyclopts import Parameter

from media_agent.cli.screen import tell_json

Format = Annotated[
    Literal["openai", "openai-responses", "anthropic", "json-schema"], Parameter(name="--format")
]


def print_tools(*, dialect: Format = "json-schema") -> int:
    """Print the tools that let an agent make videos, as a list for its language model.

    Args:
        dialect: openai (Chat Completions) and openai-responses in strict mode, anthropic, or plain
            json-schema.
    """
    from media_agent.tools import tool_definitions

    tell_json(tool_definitions(dialect))
    return 0
