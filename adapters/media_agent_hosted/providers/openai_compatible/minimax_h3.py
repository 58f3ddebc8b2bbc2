"""MiniMax H3 is asked by a task and a shape, and each server reads them in its own fields.

SGLang refuses frames, their rate and a negative prompt: it derives them from a target. vLLM-Omni
needs a named aspect ratio beside the size, and lets whole seconds beat the frames. FastVideo takes
the usual form.
"""

import base64
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError, UnsupportedRequestError
from media_agent_hosted.providers.openai_compatible.form import build_image_url
from media_agent_hosted.providers.openai_compatible.video import Server
from media_agent_schemas.request import VideoRequest

MATCH = "*minimax*h3*"
"""The names of the model; any part before it is whoever publishes it."""

_FPS = 24
_RATIOS = {"21:9": 21 / 9, "16:9": 16 / 9, "4:3": 4 / 3, "1:1": 1.0, "3:4": 3 / 4, "9:16": 9 / 16}
_USUAL_SIDES = (1344, 768)
_NOT_READ = ("size", "num_frames", "fps", "seconds", "negative_prompt")  # or refused, by SGLang


def is_h3(model: str) -> bool:
    """Return whether a model is MiniMax H3, by its name."""
    return fnmatchcase(model.lower(), MATCH)


def h3_form(
    form: Mapping[str, str], request: VideoRequest, server: Server, image: str | None = None
) -> dict[str, str]:
    """Return the form as a server reads it for H3; `image` is the address of a first frame.

    Raises:
        UnsupportedRequestError: it is not known which server it is.
        InvalidRequestError: there is no length.
    """
    width, height = _sides(request)
    if server is Server.VLLM_OMNI:
        kept = {name: value for name, value in form.items() if name != "seconds"}
        named = {} if image is None else build_image_url(image, server)
        return kept | named | {"aspect_ratio": _nearest_ratio(width / height)}
    if server is Server.FASTVIDEO:
        return {**form, **({} if image is None else build_image_url(image, server))}
    if server is not Server.SGLANG:
        raise UnsupportedRequestError(
            "each server is asked for MiniMax H3 in another way",
            hint='set server = "sglang", "vllm-omni" or "fastvideo" in the options of this backend',
        )
    target: dict[str, JsonValue] = {
        "short_edge": min(width, height),
        "aspect_ratio": _nearest_ratio(width / height),
        "duration_seconds": _seconds(request),
    }
    asked = {name: value for name, value in form.items() if name not in _NOT_READ}
    asked |= {"task": "t2va" if image is None else "fl2va", "target": json.dumps(target)}
    if image is not None:
        frame = {"type": "image", "uri": image, "role": "keyframe", "frame_index": 0}
        asked["conditions"] = json.dumps([frame])
    return asked


def inline_image(content: bytes, mime_type: str) -> str:
    """Return an image as an address that carries it along."""
    return f"data:{mime_type};base64,{base64.b64encode(content).decode()}"


def _sides(request: VideoRequest) -> tuple[int, int]:
    size = request.size
    return _USUAL_SIDES if size is None else (size.width, size.height)


def _seconds(request: VideoRequest) -> float:
    frames, seconds = request.num_frames, request.seconds()
    if frames is not None:
        return frames / _FPS
    if seconds is None:
        raise InvalidRequestError(
            "MiniMax H3 needs a length", hint="give a duration of 4 to 15 seconds"
        )
    return seconds


def _nearest_ratio(ratio: float) -> str:
    return min(_RATIOS, key=lambda name: abs(_RATIOS[name] / ratio - 1))
