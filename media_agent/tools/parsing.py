"""From the call that a language model wrote to the arguments of a tool."""

from collections.abc import Mapping

from pydantic import JsonValue, ValidationError

from media_agent.errors import InvalidRequestError
from media_agent.suggest import did_you_mean
from media_agent.tools.arguments import ToolArguments
from media_agent.tools.decoding import as_object
from media_agent.tools.job_arguments import TOOLS
from media_agent.validation import in_words


def parse_call(name: str, arguments: Mapping[str, JsonValue] | str) -> ToolArguments:
    """Return the arguments as the model of their tool.

    Raises:
        InvalidRequestError: there is no such tool, or it does not accept the arguments.
    """
    shapes = {tool.tool: tool for tool in TOOLS}
    if name not in shapes:
        raise InvalidRequestError(f"unknown tool {name!r:.60}", hint=did_you_mean(name, shapes))
    try:
        return shapes[name].model_validate(as_object(arguments, shape=shapes[name]))
    except ValidationError as error:
        raise InvalidRequestError(in_words(error, shapes[name])) from None
