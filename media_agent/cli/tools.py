"""The command that prints the tools of an agent."""

import json as json_module
from typing import Annotated, Literal

from cyclopts import Parameter

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

    print(json_module.dumps(tool_definitions(dialect), indent=2))
    return 0
