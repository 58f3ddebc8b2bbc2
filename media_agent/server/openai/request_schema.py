"""What the routes take, for /openapi.json: their bodies have two forms, and are read by hand.

The schemas are made of the models that the bodies are checked with, so that both say the same.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from media_agent.server.openai.create_fields import INPUT_FIELDS, NewFile, NewVideo, OwnFields
from media_agent_schemas.media import InputRole

_PLACE: dict[str, Any] = {
    "description": "An http(s) URL, a data URL, or an object that names one or the id of a file.",
    "anyOf": [
        {"type": "string", "pattern": "^([Hh][Tt][Tt][Pp][Ss]?://|[Dd][Aa][Tt][Aa]:)"},
        {
            "type": "object",
            "properties": {"image_url": {"type": "string"}},
            "required": ["image_url"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"file_id": {"type": "string"}},
            "required": ["file_id"],
            "additionalProperties": False,
        },
    ],
}
_NUMBER_AS_TEXT = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}
_FILE = {"type": "string", "format": "binary", "description": "A file, or what JSON takes."}
_VIDEO_ID = {
    "type": "object",
    "properties": {"id": {"type": "string", "minLength": 1}},
    "required": ["id"],
    "additionalProperties": False,
}


def _describe_new_video(
    required: Sequence[str] = (), *, video: bool = False, inputs: bool = True
) -> dict[str, Any]:
    """Return the body of a route that makes a video, as JSON and as a form."""
    fields = schema_of(NewVideo)
    fields["properties"]["seconds"]["anyOf"].append(_NUMBER_AS_TEXT)  # as OpenAI's clients send it
    own = schema_of(OwnFields)
    own["additionalProperties"] = True
    own["description"] = (
        "What is asked of this server; any field of a VideoRequest may stand here too, and "
        f"inputs, each with a role ({', '.join(InputRole)}) and a place."
    )
    named: dict[str, Any] = {**fields["properties"], "media_agent": own}
    if inputs:
        either = {"anyOf": [_PLACE, {"type": "array", "items": _PLACE, "maxItems": 16}]}
        named |= dict.fromkeys(INPUT_FIELDS, either)
    source = {"anyOf": [_VIDEO_ID, _PLACE]} if video else None
    json = _object(named | ({"video": source} if source else {}), required)
    form_fields = named | ({"video": _FILE} if video else {})
    if inputs:
        form_fields |= {"input_reference": _FILE}
    json["description"] = "A field that only one model knows is an option of it."
    return _body({"application/json": json, "multipart/form-data": _object(form_fields, required)})


def _describe_new_file() -> dict[str, Any]:
    """Return the body of the route that keeps a file."""
    fields = schema_of(NewFile)["properties"]
    form = _object({"file": {"type": "string", "format": "binary"}, **fields}, ("file", "purpose"))
    return _body({"multipart/form-data": form})


def schema_of(shape: Any) -> dict[str, Any]:
    """Return the schema of a model in one piece, without references."""
    schema: dict[str, Any] = shape.model_json_schema(mode="validation")
    parts = schema.pop("$defs", {})
    whole: dict[str, Any] = _inline(schema, parts)
    return whole


def _inline(value: Any, parts: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_inline(each, parts) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return {**_inline(parts[name], parts), **{k: v for k, v in value.items() if k != "$ref"}}
    return {name: _inline(each, parts) for name, each in value.items()}


def _object(fields: Mapping[str, Any], required: Sequence[str]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(fields), "required": list(required)}


def _body(content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "required": True,
        "content": {kind: {"schema": schema} for kind, schema in content.items()},
    }


BODIES: dict[str, Callable[[], dict[str, Any]]] = {
    "/v1/videos": _describe_new_video,
    "/v1/videos/edits": partial(_describe_new_video, ("video",), video=True),
    "/v1/videos/extensions": partial(_describe_new_video, ("video",), video=True, inputs=False),
    "/v1/videos/{job_id}/remix": partial(_describe_new_video, ("prompt",)),
    "/v1/files": _describe_new_file,
}
"""What POST takes, by its path."""
