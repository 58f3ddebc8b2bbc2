"""The settings of one endpoint of a Gradio app, and the arguments that a request becomes; pure."""

from collections.abc import Collection, Iterator, Mapping
from typing import Self

from pydantic import Field, JsonValue, model_validator

from media_agent.backend.declaration import (
    Declaration,
    fill,
    find_placeholders,
    find_sole_placeholder,
)
from media_agent.suggest import did_you_mean
from media_agent_hosted.http.auth import AUTH_PATTERN
from media_agent_schemas.base import Seconds


class GradioOptions(Declaration):
    """The options under [backends.NAME.options]."""

    endpoint: str = Field(pattern=r"^/\S+$", examples=["/generate"], description="Its API name.")
    parameters: dict[str, JsonValue] = Field(
        min_length=1, description="What its parameters get: placeholders, or fixed values."
    )
    result: int | None = Field(
        default=None, ge=0, description="Which of its outputs is the video, counted from 0."
    )
    auth: str = Field(
        default="X-HF-Authorization: Bearer {key}",
        pattern=AUTH_PATTERN,
        examples=["Authorization: Bearer {key}"],
        description="The header with the key.",
    )
    allow_plain_http: bool = Field(default=False, description="Send the key over http too.")
    timeout_seconds: Seconds = Field(default=60.0, description="How long an answer may take.")
    poll_seconds: Seconds = Field(default=1.0, description="First pause between two looks.")
    deadline_seconds: Seconds = Field(default=7200.0, description="How long a video may take.")

    def list_templates(self) -> Iterator[str]:
        """Yield the values of the parameters that are texts."""
        yield from (value for value in self.parameters.values() if isinstance(value, str))

    @model_validator(mode="after")
    def _check_images(self) -> Self:
        for name, value in self.parameters.items():
            found = find_placeholders(value) if isinstance(value, str) else []
            if "first_frame" in found and value != "{first_frame}":
                raise ValueError(f"parameters.{name}: {{first_frame}} is a file and stands alone")
        return self


def build_arguments(
    parameters: Mapping[str, JsonValue], values: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """Return the arguments of a call; a parameter whose placeholder has no value is left out.

    What is a placeholder alone keeps the type of its value.
    """
    arguments: dict[str, JsonValue] = {}
    for name, template in parameters.items():
        value = template
        if isinstance(template, str):
            sole = find_sole_placeholder(template)
            value = fill(template, values) if sole is None else values[sole]
            if value is None:
                continue
        arguments[name] = value
    return arguments


def list_problems(
    api: JsonValue, endpoint: str, given: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a call, by what the app says of its endpoints: option and reason."""
    endpoints = api.get("named_endpoints") if isinstance(api, dict) else None
    known = endpoints if isinstance(endpoints, dict) else {}
    if endpoint not in known:
        yield "endpoint", f"the app has no endpoint {endpoint}; {did_you_mean(endpoint, known)}"
        return
    about = known[endpoint]
    found = about.get("parameters") if isinstance(about, dict) else None
    parameters = {
        str(each.get("parameter_name")): each.get("parameter_has_default") is True
        for each in (found if isinstance(found, list) else ())
        if isinstance(each, dict)
    }
    for name in sorted(set(given) - set(parameters)):
        said = f"{endpoint} has no parameter {name!r}; {did_you_mean(name, parameters)}"
        yield "parameters", said
    for name, has_default in parameters.items():
        if not has_default and name not in given:
            yield "parameters", f"{endpoint} needs the parameter {name!r}, which gets nothing"
