"""What a service declared with `kind = "http"` is sent and how its replies are read; pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, NamedTuple, Self, get_args
from urllib.parse import quote

from pydantic import BeforeValidator, Field, JsonValue, field_validator, model_validator

from media_agent.backend.declaration import (
    Declaration,
    fill,
    find_placeholders,
    find_sole_placeholder,
)
from media_agent_hosted.http.auth import AUTH_PATTERN
from media_agent_hosted.http.headers import header_flaw
from media_agent_hosted.parsing.lenient import WRAPPERS, is_envelope, unwrap, value_at
from media_agent_hosted.parsing.states import State, spell, state_of
from media_agent_schemas.base import Seconds
from media_agent_schemas.capabilities import CancelRule

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
_METHODS = "|".join(get_args(Method))

CallText = Annotated[str, Field(pattern=rf"^(?:{_METHODS}) /\S*$", examples=["POST /videos"])]
PathText = Annotated[str, Field(pattern=r"^/\S*$", examples=["/videos/{id}/content"])]
Place = Annotated[str, Field(pattern=r"^[^.]+(\.[^.]+)*$", examples=["data.video.url"])]
StateText = Annotated[str, BeforeValidator(lambda value: _as_text(value))]
"""A state as JSON spells it: true, false and numbers may be written as such."""


class HttpCall(NamedTuple):
    """A method and a path below the base URL."""

    method: Method
    path: str


class HttpOptions(Declaration):
    """The options of a service: three calls, and where things stand in its JSON answers."""

    submit: CallText = Field(description="The call that starts the work.")
    body: dict[str, JsonValue] = Field(description="Its JSON body, with placeholders.")
    id: Place = Field(default="id", description="Where its answer names the work.")
    poll: CallText = Field(description="The call that asks how far it is, with {id}.")
    state: Place = Field(default="status", description="Where its answer says the state.")
    done: tuple[StateText, ...] = Field(min_length=1, description="States of a finished video.")
    failed: tuple[StateText, ...] = Field(
        min_length=1, description="States of work that has failed."
    )
    progress: Place | None = Field(
        default=None, description="Where it says how far, to 1 or to 100."
    )
    error: Place | None = Field(default=None, description="Where it says why it failed.")
    result: Place | None = Field(
        default=None, description="Where it says the address of the video."
    )
    content: PathText | None = Field(
        default=None, description="Or: the path of the video, with {id}."
    )
    cancel: CallText | None = Field(default=None, description="The call that stops it, with {id}.")
    cancel_rule: CancelRule = Field(
        default=CancelRule.STOPS, description="What that call does to the work, and to its bill."
    )
    auth: str = Field(
        default="Authorization: Bearer {key}",
        pattern=AUTH_PATTERN,
        examples=["X-Api-Key: {key}"],
        description="The header with the key.",
    )
    headers: dict[str, str] = Field(default={}, description="Further headers, without secrets.")
    idempotency_header: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9-]+$",
        examples=["Idempotency-Key"],
        description="Where the service takes a key of ours.",
    )
    poll_seconds: Seconds = Field(default=2.0, description="First pause between two polls.")
    deadline_seconds: Seconds = Field(default=7200.0, description="How long a video may take.")
    timeout_seconds: Seconds = Field(default=60.0, description="How long an answer may take.")
    allow_plain_http: bool = Field(default=False, description="Send the key over http too.")

    def list_templates(self) -> Iterator[str]:
        """Yield the texts of the submission."""
        yield self.submit
        yield from _texts(self.body)

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            flaw = header_flaw(name, value)
            if flaw is not None:
                raise ValueError(f"the header {name!r} {flaw}")
        return headers

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.result is None) == (self.content is None):
            raise ValueError("say either result or content: where the video is")
        for name in ("poll", "cancel", "content"):
            text = getattr(self, name)
            used = set() if text is None else set(find_placeholders(text))
            if text is not None and "id" not in used:
                raise ValueError(f"{name} needs {{id}}: which work is meant")
            for unknown in sorted(used - {"id", "model"}):
                raise ValueError(f"{name} has {{{unknown}}}; there is {{id}} and {{model}}")
        return self


def state_in(said: JsonValue, options: HttpOptions) -> State | None:
    """Return what a state means: as declared, else as the trade uses the word; None: unknown."""
    word = spell(said)
    for declared, state in ((options.done, State.DONE), (options.failed, State.FAILED)):
        if word and word in map(spell, declared):
            return state
    return state_of(word)


def state_at(body: JsonValue, options: HttpOptions) -> JsonValue:
    """Return the word for its state in an answer: not one that is said of the answer alone."""
    word, inside = found_at(body, options.state), value_at(unwrap(body), options.state)
    is_beside = word is not None and is_envelope(word) and state_in(inside, options) is not None
    return inside if is_beside else word


def found_at(body: JsonValue, place: str | None) -> JsonValue:
    """Return what stands at a place of an answer, also of one that is wrapped in `data`."""
    inside = [body.get(name) for name in WRAPPERS] if isinstance(body, dict) else []
    found = (value_at(each, place) for each in (body, unwrap(body), *inside))
    return next((each for each in found if each is not None), None)


def call(text: str, values: Mapping[str, JsonValue]) -> HttpCall:
    """Read a call such as "GET /videos/{id}"; what is put in stays within its part of the path."""
    method, _, path = text.partition(" ")
    return HttpCall(
        next(each for each in get_args(Method) if each == method), address(path, values)
    )


def address(path: str, values: Mapping[str, JsonValue]) -> str:
    """Return a path with its placeholders filled in, quoted.

    A placeholder that is the end of the path may be several parts, as in "/v1/operations/7" from
    "/v1/{id}": a name such as "operations/7" keeps its slashes there, unless they climb.
    """
    last = path.rpartition("/")[2]
    quoted = {
        name: quote(str(value), safe="/" if last == f"{{{name}}}" and _is_path(value) else "")
        for name, value in values.items()
    }
    return fill(path, quoted) or path


def build_body(template: JsonValue, values: Mapping[str, JsonValue]) -> JsonValue:
    """Fill in a JSON value; a text that is one placeholder becomes its value, number or text.

    What has a placeholder without a value is left out of its object or list.
    """
    match template:
        case dict():
            built = {name: build_body(value, values) for name, value in template.items()}
            return {
                name: value
                for name, value in built.items()
                if not _is_absent(template[name], value)
            }
        case list():
            pairs = [(item, build_body(item, values)) for item in template]
            return [value for item, value in pairs if not _is_absent(item, value)]
        case str():
            sole = find_sole_placeholder(template)
            return fill(template, values) if sole is None else values[sole]
        case _:
            return template


def _as_text(value: object) -> object:
    return spell(value) if isinstance(value, bool | int | float) else value


def _is_path(value: JsonValue) -> bool:
    """Whether a name is made of parts that stay below where they stand."""
    return all(part.strip(".") for part in str(value).split("/"))


def _is_absent(template: JsonValue, value: JsonValue) -> bool:
    """Return whether a value is null because its placeholder has none."""
    return value is None and template is not None


def _texts(value: JsonValue) -> Iterable[str]:
    match value:
        case str():
            yield value
        case dict():
            for inner in value.values():
                yield from _texts(inner)
        case list():
            for inner in value:
                yield from _texts(inner)
        case _:
            pass
