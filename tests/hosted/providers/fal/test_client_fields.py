"""What is sent to fal fits the types of its official JavaScript client, field by field.

The types are in client_fields.json, made by tools/fal_fields.py.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.negotiation.negotiate import negotiate
from media_agent_hosted.base.calls import Submission
from media_agent_hosted.providers.fal.backend import MODELS, FalBackend
from media_agent_hosted.providers.fal.body import build_body
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.request import VideoMode, VideoRequest

CLIENT = json.loads(Path(__file__).with_name("client_fields.json").read_text("utf-8"))["models"]
BACKEND = FalBackend(BackendSettings(data_dir=Path()))
NOT_IN_THE_CLIENT = (
    "bytedance/seedance-2.",
    "fal-ai/hunyuan-video",
    "fal-ai/luma-dream-machine/ray-2/modify",
    "fal-ai/veo3.1/fast/reference-to-video",
    "fal-ai/wan/v2.2-a14b/image-to-video",
    "google/gemini-omni-flash",
    "minimax/h3/",
)
"""Ids from another source, as their entries say."""
_OF_ANOTHER = "the client has the type of another id here, which has the same name in the OpenAPI"
DIFFERENCES: dict[tuple[str, str], str] = {
    ("fal-ai/veo3.1", ".resolution '4k'"): f"{_OF_ANOTHER}: Veo 3, without 4k",
    ("fal-ai/ltx-2/image-to-video/fast", ".duration"): f"{_OF_ANOTHER}, up to 10 s; fast has 20 s",
    ("fal-ai/ltx-2/text-to-video/fast", ".duration"): f"{_OF_ANOTHER}, up to 10 s; fast has 20 s",
    ("fal-ai/wan-25-preview/text-to-video", ".resolution '480p'"): f"{_OF_ANOTHER}: Wan 2.7",
}
"""What is sent other than the client says, and why."""


def requests_of(model: str) -> Iterator[VideoRequest]:
    """Yield planned requests for a model: each kind of work, size and length, all that it takes."""
    capabilities = BACKEND.capabilities(model)
    known = MODELS.by_id[model]
    for mode in known.modes:
        of_mode, facts = known.for_mode(mode), capabilities.for_mode(mode)
        at = {InputRole.KEYFRAME: 2.0}
        inputs = [
            MediaInput(role=role, url="https://a.example/x", at=at.get(role))
            for role in of_mode.inputs
        ]
        if mode is VideoMode.IMAGE_TO_VIDEO:
            inputs = [each for each in inputs if each.role is not InputRole.LAST_FRAME]
        shape = {"aspect_ratio": "9:16"} if model.endswith("/reframe") else {}
        said = {"prompt": "a fox", "negative_prompt": "blur", "seed": 7, "audio": True, **shape}
        asked = {"mode": mode, "inputs": inputs, "model": f"fal/{model}", **said}
        ends = (facts.min_duration, facts.max_duration)
        room = 3.0 if InputRole.KEYFRAME in of_mode.inputs else 0.0  # for the images
        for duration in (each for each in facts.durations or ends if (each or 0.0) >= room):
            yield plan({**asked, "duration": duration, "audio": False}, capabilities)
        for size in () if shape else facts.sizes:
            yield plan({**asked, "size": size}, capabilities)
        for option in capabilities.options:
            if option.reserved is None and option.name != "deadline_seconds":
                for value in values_of(option):
                    yield plan({**asked, "options": {"fal": {option.name: value}}}, capabilities)


def plan(asked: dict[str, Any], capabilities: Capabilities) -> VideoRequest:
    """Return a request as it is sent."""
    given = {name: value for name, value in asked.items() if value not in (None, 0.0)}
    request = VideoRequest.model_validate(given)
    return negotiate(request, capabilities, draw_seed=lambda: 7).request


def values_of(option: OptionSpec) -> tuple[Any, ...]:
    """Return values that an option may have."""
    if option.choices is not None:
        return option.choices
    if option.type == "boolean":
        return (True, False)
    ends = option.minimum, option.maximum
    if option.type == "integer":
        return tuple(int(end) for end in ends if end is not None)
    return ends if option.type == "number" else ("x",)


def body_of(request: VideoRequest) -> dict[str, Any]:
    model = str(request.model).removeprefix("fal/")
    known = MODELS.by_id[model].for_mode(request.infer_mode())
    inputs = tuple(str(each.url) for each in request.inputs)
    options = request.options.get("fal", {})
    body = build_body(Submission(request, model, known, inputs, options, "job-1"))
    assert isinstance(body, dict)
    return body


def faults_in(value: Any, schema: dict[str, Any], place: str = "") -> Iterator[str]:
    """Yield where a value does not fit, and why not."""
    if "enum" in schema and str(value) not in schema["enum"]:  # numbers are written as texts
        yield f"{place} {value!r} is none of {schema['enum']}"
    kinds = {"string": str, "boolean": bool, "array": list, "object": dict, "number": int | float}
    kind = schema.get("type")
    if kind is not None and not isinstance(value, kinds[kind]):
        yield f"{place} {value!r} is no {kind}"
    elif kind == "array":
        for each in value:
            yield from faults_in(each, schema["items"], f"{place}[]")
    elif kind == "object" and "properties" in schema:
        for name in schema["required"]:
            if name not in value:
                yield f"{place}.{name} is missing"
        for name, each in value.items():
            if name not in schema["properties"]:
                yield f"{place}.{name} is unknown"
            else:
                yield from faults_in(each, schema["properties"][name], f"{place}.{name}")


@pytest.mark.parametrize("model", CLIENT)
def test_what_is_sent_fits_the_types_of_the_client(model: str) -> None:
    faults = {
        fault
        for request in requests_of(model)
        for fault in faults_in(body_of(request), CLIENT[model])
        if not any(
            model.startswith(listed) and fault.startswith(place) for listed, place in DIFFERENCES
        )
    }

    assert faults == set()


def test_only_ids_from_other_sources_are_not_compared() -> None:
    missing = [model for model in MODELS.by_id if model not in CLIENT]

    assert all(model.startswith(NOT_IN_THE_CLIENT) for model in missing)
    assert len(missing) < len(MODELS.by_id) / 5


@pytest.mark.parametrize("model", sorted({model for model, _ in DIFFERENCES}))
def test_each_difference_is_one_where_the_client_has_the_type_of_another_id(model: str) -> None:
    assert CLIENT[model].get("type_of_another") is True


def test_a_difference_is_found() -> None:
    schema = CLIENT["fal-ai/veo3.1/first-last-frame-to-video"]
    wrong = {"prompt": 1, "duration": "5s", "first_frame_url": "u", "last_url": "u"}

    faults = sorted(faults_in(wrong, schema))

    assert [fault.split()[0] for fault in faults] == [
        ".duration",
        ".last_frame_url",
        ".last_url",
        ".prompt",
    ]
