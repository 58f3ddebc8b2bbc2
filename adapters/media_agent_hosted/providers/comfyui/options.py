"""The settings of one workflow on a ComfyUI server, checked against the workflow itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from media_agent.backend.declaration import SizeText
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import ConfigurationError, Fault
from media_agent_hosted.http.auth import AUTH_PATTERN
from media_agent_hosted.providers.comfyui.workflow import Place, Workflow
from media_agent_schemas.base import Seconds

Written = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    Field(min_length=1, examples=["KSampler.seed"]),
]
"""Inputs of nodes as NODE.INPUT: one, or a list of all that get the same value."""


class Slots(BaseModel):
    """Which input of which node gets which field of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Written
    negative_prompt: Written | None = None
    seed: Written | None = None
    width: Written | None = None
    height: Written | None = None
    num_frames: Written | None = None
    duration: Written | None = None
    fps: Written | None = None
    first_frame: Written | None = None
    last_frame: Written | None = None
    source_video: Written | None = None


class ComfyOptions(BaseModel):
    """The options under [backends.NAME.options]."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    workflow: str = Field(min_length=1, description="The file, in API format.")
    slots: Slots
    parameters: dict[str, Written] = Field(
        default={}, description="Further inputs that a request may set as options."
    )
    output: str | None = Field(default=None, description="The node that saves the video.")
    size: SizeText | None = Field(default=None, description="Its size, where no slots set it.")
    fps: float | None = Field(default=None, gt=0, le=1000, description="Its rate, without a slot.")
    duration: Seconds | None = Field(default=None, description="Its length, without a slot.")
    max_duration: Seconds | None = Field(default=None, description="Its longest video.")
    size_multiple: int | None = Field(default=None, ge=2)
    frame_multiple: int | None = Field(default=None, ge=1)
    frame_offset: int | None = Field(default=None, ge=0)
    continues_source: bool = Field(
        default=False, description="It makes what follows source_video, not another version of it."
    )
    description: str = ""
    licence: str | None = None
    auth: str = Field(
        default="Authorization: Bearer {key}",
        pattern=AUTH_PATTERN,
        examples=["X-Api-Key: {key}"],
    )
    allow_plain_http: bool = False
    timeout_seconds: Seconds = 60.0
    poll_seconds: Seconds = 1.0
    deadline_seconds: Seconds = 7200.0


@dataclass(frozen=True, slots=True)
class Setup:
    """A workflow, and the places in it that get what a request says."""

    name: str
    """What the workflow is called: the model in the settings, else the name of its file."""
    options: ComfyOptions
    workflow: Workflow
    slots: Mapping[str, tuple[Place, ...]]
    parameters: Mapping[str, tuple[Place, ...]]
    output: str | None
    """The id of the node that saves the video; None: whichever does."""

    def first(self, slot: str) -> Place | None:
        """Return the first place of a slot; None: the workflow has no such slot."""
        places = self.slots.get(slot)
        return places[0] if places else None


def read_setup(settings: BackendSettings) -> Setup:
    """Return the workflow of a section, with its slots found in it.

    Raises:
        ConfigurationError: an option is wrong, or names what the workflow does not have; all are
            listed.
    """
    options = settings.read_options(ComfyOptions)
    path = (settings.folder or Path()) / Path(options.workflow).expanduser()
    try:
        workflow = Workflow.read(path)
    except ValueError as error:
        raise _faulty(settings, [(("workflow",), str(error))]) from None
    problems: list[tuple[tuple[str, ...], str]] = []
    written = {
        name: value for name, value in options.slots.model_dump().items() if value is not None
    }
    slots = _find_all(workflow, "slots", written, problems)
    parameters = _find_all(workflow, "parameters", options.parameters, problems)
    problems += [((name,), why) for name, why in _list_missing(options)]
    output = None
    if options.output is not None:
        try:
            output = workflow.find_node(options.output)
        except ValueError as error:
            problems.append((("output",), str(error)))
    if problems:
        raise _faulty(settings, problems)
    return Setup(settings.model or path.stem, options, workflow, slots, parameters, output)


def _find_all(
    workflow: Workflow,
    where: str,
    written: Mapping[str, tuple[str, ...]],
    problems: list[tuple[tuple[str, ...], str]],
) -> dict[str, tuple[Place, ...]]:
    found = {}
    for name, places in written.items():
        try:
            found[name] = tuple(workflow.find_place(each) for each in places)
        except ValueError as error:
            problems.append(((where, name), str(error)))
    return found


def _list_missing(options: ComfyOptions) -> Iterator[tuple[str, str]]:
    """Yield what no slot sets and no option says: it would be dropped silently."""
    slots = options.slots
    if (slots.width is None or slots.height is None) and options.size is None:
        yield "size", 'without slots for width and height say what it makes, such as "832x480"'
    if slots.fps is None and options.fps is None:
        yield "fps", "without a slot for fps say the rate of its videos, such as 16"
    if slots.num_frames is None and slots.duration is None and options.duration is None:
        yield "duration", "without a slot for num_frames or duration say its seconds, such as 5"


def _faulty(
    settings: BackendSettings, problems: list[tuple[tuple[str, ...], str]]
) -> ConfigurationError:
    place = ("backends", settings.name, "options")
    faults = [Fault((*place, *where), why) for where, why in problems]
    said = "; ".join(f"{'.'.join(fault.place)}: {fault.problem}" for fault in faults)
    return ConfigurationError(said, faults=faults)
