"""What is known of a server with OpenAI's video API before it is asked: settings and models."""

import json
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from media_agent.backend.declaration import SizeText
from media_agent.backend.polled import DEADLINE
from media_agent.backend.protocol import BackendSettings
from media_agent_hosted.base.hooks import wire_equal
from media_agent_hosted.models.priced_fields import PRICED_FIELDS
from media_agent_hosted.providers.openai_compatible.video import Server
from media_agent_schemas.capabilities import FALLBACK_FPS, CancelRule, Capabilities
from media_agent_schemas.facts import (
    ModeFacts,
    OptionSpec,
    SizeRange,
    Verification,
    VerificationLevel,
)
from media_agent_schemas.media import InputRole, Size
from media_agent_schemas.request import VideoMode

NAME = "openai-compatible"
DEFAULT_MODEL = "default"
"""Stands for whatever the server serves; no model is named to it then."""
NO_ADDRESS = f'a base_url: set base_url = "http://localhost:30000/v1" under [backends.{NAME}]'

_HERE = Path(__file__).parent
_FROM_IMAGE = ModeFacts(needs=(InputRole.FIRST_FRAME,))
_FACTS = {
    *("default_size", "default_fps", "default_duration", "max_duration"),
    *("frame_multiple", "frame_offset"),
}  # settings that say what the model can do
_SILENT = (Server.SGLANG, Server.FASTVIDEO)  # except for a family that always makes audio
_CANCEL_RULES = {Server.AUTO: CancelRule.UNKNOWN, Server.VLLM_OMNI: CancelRule.STOPS}
_LONGEST_PLAIN, _USUAL_PLAIN = 12.0, 4.0  # seconds, by OpenAI's own documents
_USUAL_SECONDS = 5.0  # of a video by a model of which nothing is known


class ServerSettings(BaseModel):
    """The options of one server in the settings; what its model can do overrides what we know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    server: Server = Server.AUTO
    default_size: SizeText | None = None
    default_fps: float | None = Field(default=None, gt=0)
    default_duration: float | None = Field(default=None, gt=0)
    max_duration: float | None = Field(default=None, gt=0)
    frame_multiple: int | None = Field(default=None, ge=1)
    frame_offset: int | None = Field(default=None, ge=0)
    allow_plain_http: bool = False
    usd_per_second: float | None = Field(default=None, ge=0)
    usd_per_video: float | None = Field(default=None, ge=0)
    timeout_seconds: float = Field(default=60.0, gt=0)  # for one answer
    poll_seconds: float | None = Field(default=None, gt=0)
    deadline_seconds: float | None = Field(default=None, gt=0)


class Family(BaseModel):
    """What is known of a family of open models, recognized by the name of the model.

    `frames` is its usual length, `longest` the one it was made for; the settings may say another.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: str
    fps: float
    frames: int
    longest: int
    multiple: int
    offset: int
    size: SizeText
    side: int
    negative_prompt: bool = True
    audio: Literal["always"] | None = None  # None: as the server says


class PassedOption(BaseModel):
    """An option that is handed on as it is; which servers know it, and their limits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    type: str
    description: str
    choices: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | dict[Server, float] | None = None
    servers: tuple[Server, ...] = (Server.SGLANG, Server.VLLM_OMNI)

    def spec(self, server: Server, default: JsonValue) -> OptionSpec:
        """Return it as this server takes it; a limit of one server only binds that one."""
        maximum = self.maximum.get(server) if isinstance(self.maximum, dict) else self.maximum
        facts = self.model_dump(exclude={"servers", "maximum"})
        reserved = _reserved() if self.name == "extra_params" else None
        return OptionSpec.model_validate(
            {**facts, "maximum": maximum, "default": default, "reserved": reserved}
        )


@cache
def families() -> tuple[Family, ...]:
    """Return the known families of models; the first that matches holds."""
    entries = json.loads((_HERE / "models.json").read_text("utf-8"))
    return tuple(Family.model_validate(entry) for entry in entries)


@cache
def passed_options() -> tuple[PassedOption, ...]:
    """Return all options that one of the servers knows."""
    entries = json.loads((_HERE / "options.json").read_text("utf-8"))
    return tuple(PassedOption.model_validate(entry) for entry in entries)


def _reserved() -> dict[str, str]:
    """Return the fields that the form has already: what is asked, and the other options."""
    words = ("prompt", "negative_prompt", "seed")
    options = {option.name: f"option {option.name}" for option in passed_options()}
    return {**PRICED_FIELDS, **{word: word for word in words}, **options}


def read_settings(settings: BackendSettings) -> tuple[ServerSettings, dict[str, JsonValue]]:
    """Return the settings of the server, and the options that go along with every request.

    Raises:
        ConfigurationError: an option is unknown or has an impossible value.
    """
    names = {option.name for option in passed_options()}
    own = {name: value for name, value in settings.options.items() if name not in names}
    defaults = {name: value for name, value in settings.options.items() if name in names}
    return replace(settings, options=own).read_options(ServerSettings), defaults


def api_address(base_url: str) -> str:
    """Return the address of the API; a bare host gets the usual path."""
    text = base_url.strip().rstrip("/")
    return f"{text}/v1" if "/" not in text.partition("://")[2] else text


def describe_model(
    model: str, settings: ServerSettings, passed: Mapping[str, JsonValue]
) -> Capabilities:
    """Say what a model can do: as configured, else as its family is known, else unknown."""
    family = next((one for one in families() if fnmatchcase(model.lower(), one.match)), None)
    facts: dict[str, object] = {} if family is None else _facts(family)
    facts |= settings.model_dump(include=_FACTS, exclude_none=True)
    description = "a model on your own server: SGLang-Diffusion, vLLM-Omni or FastVideo"
    if settings.server is Server.OPENAI:
        return _plain(model, settings)
    if settings.max_duration is not None:
        facts.pop("max_frames", None)
    elif "max_frames" not in facts:  # unknown, which is not "any length"
        facts["max_duration"] = facts.setdefault("default_duration", _USUAL_SECONDS)
        description += f"; {facts['max_duration']:g} s at once unless max_duration says more"
    server = settings.server
    return Capabilities.model_validate(
        {
            "backend": NAME,
            "model": model,
            "description": description,
            "modes": (VideoMode.TEXT_TO_VIDEO, VideoMode.IMAGE_TO_VIDEO),
            "input_roles": (InputRole.FIRST_FRAME,),
            "by_mode": {VideoMode.IMAGE_TO_VIDEO: _FROM_IMAGE},
            "max_inputs": {InputRole.FIRST_FRAME: 1},
            "negative_prompt": True,
            "seed": True,
            "audio": False if server in _SILENT else "unknown",
            "cancel_rule": _CANCEL_RULES.get(server, CancelRule.NONE),
            "lookup": "candidates",
            "options": _options(server, passed),
            "verification": Verification(
                level=VerificationLevel.SIMULATOR, note="against a simulator of both servers"
            ),
            **facts,
        }
    )


def _facts(family: Family) -> dict[str, object]:
    side = family.side
    audio = {} if family.audio is None else {"audio": family.audio}
    return {
        **audio,
        "negative_prompt": family.negative_prompt,
        "default_fps": family.fps,
        "default_duration": family.frames / family.fps,
        "max_frames": family.longest,
        "frame_multiple": family.multiple,
        "frame_offset": family.offset,
        "default_size": family.size,
        "size_range": SizeRange(
            minimum=Size(width=side, height=side),
            maximum=Size(width=4096, height=4096),
            multiple=side,
        ),
    }


def _plain(model: str, settings: ServerSettings) -> Capabilities:
    """Say what a server of plain OpenAI shape can do: it reads a prompt, a size and seconds."""
    longest = settings.max_duration or _LONGEST_PLAIN
    return Capabilities(
        backend=NAME,
        model=model,
        description="a model on a server of OpenAI's shape, of which no more is known",
        modes=(VideoMode.TEXT_TO_VIDEO, VideoMode.IMAGE_TO_VIDEO),
        input_roles=(InputRole.FIRST_FRAME,),
        by_mode={VideoMode.IMAGE_TO_VIDEO: _FROM_IMAGE},
        max_inputs={InputRole.FIRST_FRAME: 1},
        default_size=settings.default_size,
        fps_values=(settings.default_fps or FALLBACK_FPS,),
        durations=tuple(float(seconds) for seconds in range(1, int(longest) + 1)),
        max_duration=longest,
        default_duration=min(settings.default_duration or _USUAL_PLAIN, longest),
        audio="unknown",
        cancel_rule=CancelRule.NONE,
        lookup="candidates",
        options=(DEADLINE,),
        verification=wire_equal("openai 3.57.0"),
    )


def _options(server: Server, defaults: Mapping[str, JsonValue]) -> tuple[OptionSpec, ...]:
    passed = [
        option.spec(server, defaults.get(option.name))
        for option in passed_options()
        if server is Server.AUTO or server in option.servers
    ]
    return (*passed, DEADLINE)
