"""Images and videos that go along inside the request, looked at before."""

import base64
from enum import StrEnum
from pathlib import Path

from media_agent.backend.polled import record_input
from media_agent.errors import InvalidRequestError
from media_agent.ingest.file_parts import media_type_of
from media_agent.ingest.read import check_image, check_video, open_ordinary
from media_agent_schemas.media import InputRole, MediaInput

LARGEST_INLINE = 20 * 2**20  # bytes; base64 makes a third more of them


class InputForm(StrEnum):
    """How a provider takes an input that is a file or bytes."""

    DATA_URI = "data URI"
    BASE64 = "base64"  # without the media type before it
    HTTPS = "https"  # not at all: it takes addresses only


def address_of(
    medium: MediaInput,
    *,
    form: InputForm = InputForm.DATA_URI,
    largest: int = LARGEST_INLINE,
    allow_plain_http: bool = False,
) -> str:
    """Return an address for an input: its own, or its bytes in the form that is taken.

    Raises:
        InvalidRequestError: it cannot be read, is too large, or is not what its role needs.
    """
    if medium.url is not None and not (allow_plain_http or medium.url.startswith("https://")):
        raise InvalidRequestError(
            f"{medium.role.value} {medium.url.partition('?')[0]} is not an https address",
            hint="give it as https, or as a file",
        )
    if medium.url is not None:
        return medium.url
    if form is InputForm.HTTPS:
        raise InvalidRequestError(
            f"{medium.role.value} is a file, and the provider takes addresses only",
            hint="give it as an https address",
        )
    content, mime_type = read_medium(medium, largest=largest)
    encoded = base64.b64encode(content).decode("ascii")
    return encoded if form is InputForm.BASE64 else f"data:{mime_type};base64,{encoded}"


def read_medium(medium: MediaInput, *, largest: int = LARGEST_INLINE) -> tuple[bytes, str]:
    """Return the bytes of an input that is a file or bytes, and their media type.

    Raises:
        InvalidRequestError: it cannot be read, is too large, or is not what its role needs.
    """
    name = medium.role.value if medium.path is None else f"{medium.role.value} {medium.path}"
    content = _bytes_of(medium, name, largest)
    if medium.path is not None:
        record_input(medium.path, content)
    if len(content) > largest:
        raise InvalidRequestError(
            f"{name} is larger than {largest >> 20} MiB, too large to go along",
            hint="make it smaller, or give it as an https address",
        )
    mime_type = media_type_of(content[:12]) or ""
    if medium.role in (InputRole.SOURCE_VIDEO, InputRole.MOTION):
        if not mime_type.startswith("video/"):
            raise InvalidRequestError(f"{name} is no MP4 or WebM video", hint="convert it to MP4")
        check_video(content, name)
    else:
        if not mime_type.startswith("image/"):
            raise InvalidRequestError(
                f"{name} is no PNG, JPEG or WebP image", hint="convert it to one of these"
            )
        check_image(content, name)  # what only begins like one would be refused there, for money
    return content, mime_type


def _bytes_of(medium: MediaInput, name: str, largest: int) -> bytes:
    if medium.data is not None:
        return medium.data
    with open_ordinary(Path(str(medium.path)).expanduser(), name) as file:
        return file.read(largest + 1)
