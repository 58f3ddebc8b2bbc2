"""Answers as parts of a message, with the image that some of them name."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

from pydantic import JsonValue

from media_agent.tools.dialects import Dialect
from media_agent.video.images import shrink_png

_LONGEST_SIDES = (1568, 1120, 800, 560)  # pixels; vendors shrink what is larger, or refuse it
_LARGEST_IMAGE = 700_000  # bytes; some clients refuse answers of more than a megabyte of base64
_PNG = "image/png"

Part = dict[str, JsonValue]


def build_content(
    answer: Mapping[str, JsonValue], dialect: Dialect, image: Path | None = None
) -> list[Part]:
    """Return the JSON of an answer as text, then an image.

    Raises:
        StorageError: the image cannot be read.
    """
    parts = [_text_part(json.dumps(answer), dialect)]
    if image is not None:
        parts.append(_image_part(fit_png(image), dialect))
    return parts


def fit_png(path: Path) -> bytes:
    """Return an image as a PNG that a message can carry.

    Raises:
        StorageError: it cannot be read.
    """
    for side in _LONGEST_SIDES:
        png = shrink_png(path, side)
        if len(png) <= _LARGEST_IMAGE:
            break
    return png


def _text_part(text: str, dialect: Dialect) -> Part:
    return {"type": "input_text" if dialect == "openai-responses" else "text", "text": text}


def _image_part(png: bytes, dialect: Dialect) -> Part:
    data = base64.b64encode(png).decode("ascii")
    url = f"data:{_PNG};base64,{data}"
    match dialect:
        case "openai":
            return {"type": "image_url", "image_url": {"url": url}}
        case "openai-responses":
            return {"type": "input_image", "image_url": url}
        case "anthropic":
            source: Part = {"type": "base64", "media_type": _PNG, "data": data}
            return {"type": "image", "source": source}
        case "json-schema":  # as in the Model Context Protocol
            return {"type": "image", "data": data, "mimeType": _PNG}
        case unknown:
            assert_never(unknown)
