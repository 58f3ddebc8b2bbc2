"""What servers with OpenAI's video API are sent when a video is asked for; all of it pure.

A form in multipart/form-data with every value as text is the one shape that SGLang-Diffusion,
FastVideo and vLLM-Omni take: the first two read any other body as JSON, which vLLM-Omni refuses.
"""

import json
from collections.abc import Mapping

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError, UnsupportedRequestError
from media_agent_hosted.http.client import FilePart
from media_agent_hosted.providers.openai_compatible.video import Server
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.request import VideoRequest

_WITHOUT_SOUND = (Server.SGLANG, Server.FASTVIDEO)  # these read no field for it
_WHOLE_RATES = {Server.SGLANG: "SGLang", Server.FASTVIDEO: "FastVideo"}
_HARDLY = 1e-3  # seconds that are no difference
JSON_OPTIONS = ("extra_params", "lora")
"""Options whose text is a JSON object."""


def build_form(
    request: VideoRequest,
    options: Mapping[str, JsonValue],
    *,
    model: str | None,
    server: Server = Server.AUTO,
) -> dict[str, str]:
    """Return the fields of the form that creates a video, without the first frame.

    Raises:
        InvalidRequestError: there is no prompt, or an option that is JSON is none.
        UnsupportedRequestError: the frame rate is none that this server takes.
    """
    form = {"prompt": _prompt(request)}
    if model is not None:
        form["model"] = model
    if request.size is not None:
        form["size"] = str(request.size)
    form |= _length(request, server)
    if request.seed is not None:
        form["seed"] = str(request.seed)
    if request.negative_prompt is not None:
        form["negative_prompt"] = request.negative_prompt
    if request.audio is not None and server not in _WITHOUT_SOUND:
        form["generate_sound"] = _text(request.audio)
    for name, value in options.items():
        form[name] = _json_text(name, value) if name in JSON_OPTIONS else _text(value)
    return form


def build_image_url(url: str, server: Server) -> dict[str, str]:
    """Return the fields that name a first frame by its address; each server reads its own.

    Raises:
        UnsupportedRequestError: this server reads images from files only.
    """
    sglang = {"reference_url": url}
    vllm_omni = {"image_reference": json.dumps({"image_url": url})}
    match server:
        case Server.SGLANG | Server.FASTVIDEO:
            return sglang
        case Server.VLLM_OMNI:
            return vllm_omni
        case Server.AUTO:
            return sglang | vllm_omni
        case Server.OPENAI:
            raise UnsupportedRequestError(
                "a server of plain OpenAI shape takes an image as a file, not by its address",
                hint="give the image as a file",
            )


def first_frame(request: VideoRequest) -> MediaInput | None:
    """Return the image to start from, None if there is none.

    Raises:
        InvalidRequestError: there are several, or other inputs.
    """
    frames = [medium for medium in request.inputs if medium.role is InputRole.FIRST_FRAME]
    if len(frames) != len(request.inputs) or len(frames) > 1:
        roles = ", ".join(medium.role for medium in request.inputs)
        raise InvalidRequestError(
            f"inputs {roles}: the server takes one first_frame and nothing else",
            hint="leave the others out",
        )
    return frames[0] if frames else None


def form_parts(form: dict[str, str], image: FilePart | None) -> dict[str, FilePart]:
    """Return the parts of the form; without a file too it stays multipart, as SGLang needs."""
    fields: dict[str, FilePart] = {
        name: (None, value.encode(), None) for name, value in form.items()
    }
    return fields if image is None else {**fields, "input_reference": image}


def _prompt(request: VideoRequest) -> str:
    shots = request.storyboard()
    if len(shots) != 1:
        raise InvalidRequestError(
            f"the request has {len(shots)} prompts; this server takes exactly one",
            hint="say what the video shows, also when it starts from an image",
        )
    return shots[0].prompt


def _length(request: VideoRequest, server: Server) -> dict[str, str]:
    """Return frames and rate where both are known, else whole seconds.

    A server of plain OpenAI shape reads the seconds only. Where it is not known which server it is,
    it gets them too: the others follow the frames.
    """
    if server is Server.OPENAI:
        return {"seconds": _whole_seconds(request)}
    form = _frames(request, server)
    known = request.seconds()
    if server is Server.AUTO and "num_frames" in form and known is not None:
        form["seconds"] = str(max(1, round(known)))
    return form


def _whole_seconds(request: VideoRequest) -> str:
    seconds = request.seconds()
    if seconds is None or abs(seconds - round(seconds)) > _HARDLY or round(seconds) < 1:
        known = "unknown" if seconds is None else f"{seconds:g} s"
        raise InvalidRequestError(
            f"a server of plain OpenAI shape takes whole seconds, and the length is {known}",
            hint="give a duration in whole seconds",
        )
    return str(round(seconds))


def _frames(request: VideoRequest, server: Server) -> dict[str, str]:
    form = {} if request.fps is None else {"fps": _rate(request.fps, server)}
    if request.num_frames is not None:
        return {"num_frames": str(request.num_frames), **form}
    seconds = request.seconds()
    if seconds is None:
        return form
    if request.fps is not None:
        return {"num_frames": str(max(1, round(seconds * request.fps))), **form}
    if not seconds.is_integer():
        raise InvalidRequestError(
            f"duration {seconds:g} s without a frame rate is no whole number of seconds",
            hint="give fps too, or whole seconds",
        )
    return {"seconds": str(int(seconds))}


def _rate(fps: float, server: Server) -> str:
    if server in _WHOLE_RATES and not fps.is_integer():
        raise UnsupportedRequestError(
            f"{_WHOLE_RATES[server]} takes whole frames per second only, not {fps:g}",
            hint="round the fps",
        )
    return _text(fps)


def _text(value: JsonValue) -> str:
    match value:
        case str():
            return value
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return json.dumps(value)


def _json_text(name: str, value: JsonValue) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        is_object = isinstance(json.loads(value), dict)
    except ValueError:
        is_object = False
    if not is_object:
        raise InvalidRequestError(
            f"option {name} is no JSON object: {value[:80]!r}",
            hint='write it as text such as {"name": 1}',
        )
    return value
