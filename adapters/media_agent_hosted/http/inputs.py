"""Images and videos that a provider is given: looked at, made to fit, and written as it wants."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from media_agent.backend.polled import record_input
from media_agent.errors import InvalidRequestError
from media_agent.ingest.file_parts import media_type_of
from media_agent.ingest.fit import fit_image
from media_agent.ingest.read import check_video, measure_video, open_ordinary, read_video_seconds
from media_agent_hosted.http.limits import Limits
from media_agent_schemas.media import InputRole, MediaInput

LARGEST_INLINE = 20 * 2**20  # bytes; base64 makes a third more of them
_LARGEST_IMAGE = 100 * 2**20  # bytes of an image that may be made smaller
_NAMES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "video/webm": "webm"}
_NO_LIMITS = Limits()


class InputForm(StrEnum):
    """How a provider takes an input that is a file or bytes."""

    DATA_URI = "data URI"
    BASE64 = "base64"  # without the media type before it
    HTTPS = "https"  # not at all: it takes addresses only


@dataclass(frozen=True, slots=True)
class InputFile:
    """An image or video from this machine, as a provider gets it."""

    role: InputRole
    content: bytes
    mime_type: str
    done: str | None = None
    """What was done to it, so that it fits; None: nothing."""

    @property
    def name(self) -> str:
        """A name for the file that says nothing of this machine."""
        return f"{self.role.value}.{_NAMES.get(self.mime_type, 'mp4')}"

    def encode(self, form: InputForm) -> str:
        """Return it as it stands within a request."""
        encoded = base64.b64encode(self.content).decode("ascii")
        return encoded if form is InputForm.BASE64 else f"data:{self.mime_type};base64,{encoded}"


@dataclass(frozen=True, slots=True)
class InputPart:
    """An input as it is about to be written into a request."""

    role: InputRole
    value: str
    """Its address: its own, that of its upload, or its bytes in the form that is taken."""
    mime_type: str | None = None
    """The media type of what goes along inside the request; None: it is an address."""
    is_own_id: bool = False
    """Whether it is neither, but what the provider calls a video that it made."""


def check_address(medium: MediaInput, *, allow_plain_http: bool = False) -> str | None:
    """Return the address of an input; None: it is a file or bytes.

    Raises:
        InvalidRequestError: it is not https.
    """
    if medium.url is not None and not (allow_plain_http or medium.url.startswith("https://")):
        raise InvalidRequestError(
            f"{medium.role.value} {medium.url.partition('?')[0]} is not an https address",
            hint="give it as https, or as a file",
        )
    return medium.url


def own_id_of(medium: MediaInput, who: str) -> str:
    """Return what whoever made a video calls it.

    Raises:
        InvalidRequestError: it was made elsewhere.
    """
    if medium.own_id is None:
        raise InvalidRequestError(
            f"{who} continues only videos that it made, by their ids there",
            hint="name its job, or give the id as own_id of the input",
        )
    return medium.own_id


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
    url = check_address(medium, allow_plain_http=allow_plain_http)
    if url is not None:
        return url
    refuse_files(medium, form)
    return read_file(medium, largest=largest, converts=False).encode(form)


def refuse_files(medium: MediaInput, form: InputForm) -> None:
    """Refuse an input that is a file, where only addresses are taken.

    Raises:
        InvalidRequestError: the provider takes addresses only.
    """
    if form is InputForm.HTTPS:
        raise InvalidRequestError(
            f"{medium.role.value} is a file, and the provider takes addresses only",
            hint="give it as an https address",
        )


def refuse_video(file: InputFile) -> None:
    """Refuse a video that is a file, where only images may be one.

    Raises:
        InvalidRequestError: it is a video.
    """
    if file.mime_type.startswith("video/"):
        raise InvalidRequestError(
            f"{file.role.value} is a file, and the provider takes videos by their address only",
            hint="give it as an https address",
        )


def read_medium(medium: MediaInput, *, largest: int = LARGEST_INLINE) -> tuple[bytes, str]:
    """Return the bytes of an input that is a file or bytes, and their media type.

    Raises:
        InvalidRequestError: it cannot be read, is too large, or is not what its role needs.
    """
    file = read_file(medium, largest=largest, converts=False)
    return file.content, file.mime_type


def read_file(
    medium: MediaInput,
    limits: Limits = _NO_LIMITS,
    *,
    largest: int = LARGEST_INLINE,
    converts: bool = True,
) -> InputFile:
    """Return an input that is a file or bytes; with `converts` an image is made to fit.

    Raises:
        InvalidRequestError: it cannot be read, is too large, or is not what its role needs.
    """
    name = medium.role.value if medium.path is None else f"{medium.role.value} {medium.path}"
    most = largest if limits.most_bytes is None else min(largest, limits.most_bytes)
    content = _bytes_of(medium, name, max(most, _LARGEST_IMAGE) if converts else most)
    if medium.path is not None:
        record_input(medium.path, content)
    mime_type = media_type_of(content[:12]) or ""
    is_image = mime_type.startswith("image/")
    if len(content) > (_LARGEST_IMAGE if converts and is_image else most):
        size = (
            len(content) if medium.path is None else Path(medium.path).expanduser().stat().st_size
        )
        raise InvalidRequestError(
            f"{name} is too large: {_in_words(size)}, where {_in_words(most)} is the limit",
            hint="make it smaller, or give it as an https address",
        )
    if _is_of_video(medium.role) or (_takes_video(limits) and not is_image):
        _check_video(content, mime_type, name, limits)
        return InputFile(medium.role, content, mime_type)
    if not is_image:
        raise InvalidRequestError(
            f"{name} is no PNG, JPEG or WebP image", hint="convert it to one of these"
        )
    fitted = fit_image(  # what only begins like one would be refused there, for money
        content,
        name,
        types=limits.types,
        most_bytes=most,
        most_side=limits.most_side,
        find_flaw=lambda width, height: next(limits.flaws_of_shape(width, height), None),
    )
    done = None if fitted.done is None else f"{medium.role.value}: {fitted.done}"
    return InputFile(medium.role, fitted.content, fitted.mime_type, done)


def _check_video(content: bytes, mime_type: str, name: str, limits: Limits) -> None:
    if not mime_type.startswith("video/"):
        raise InvalidRequestError(f"{name} is no MP4 or WebM video", hint="convert it to MP4")
    check_video(content, name)  # what only begins like one would be refused there, for money
    for flaw in _flaws_of_video(content, limits):
        raise InvalidRequestError(f"{name} cannot be used: {flaw}", hint="cut or convert it")


def _flaws_of_video(content: bytes, limits: Limits) -> Iterator[str]:
    if limits.most_seconds is not None or limits.least_seconds is not None:
        yield from limits.flaws_of_length(read_video_seconds(content))
    sides = (limits.least_side, limits.most_side, limits.flattest, limits.tallest)
    if any(each is not None for each in sides):
        size, _ = measure_video(content)
        yield from limits.flaws_of_shape(size.width, size.height)
        if limits.most_side is not None and max(size.width, size.height) > limits.most_side:
            yield f"it is {size}; the longer side may have {limits.most_side} pixels at most"


def _in_words(size: int) -> str:
    """Return a number of bytes, in MiB or MB where it is a whole number of them."""
    for unit, name in ((2**20, "MiB"), (10**6, "MB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size} bytes"


def _is_of_video(role: InputRole) -> bool:
    return role in (InputRole.SOURCE_VIDEO, InputRole.MOTION)


def _takes_video(limits: Limits) -> bool:
    return any(each.startswith("video/") for each in limits.types)


def _bytes_of(medium: MediaInput, name: str, largest: int) -> bytes:
    if medium.data is not None:
        return medium.data
    with open_ordinary(Path(str(medium.path)).expanduser(), name) as file:
        return file.read(largest + 1)
