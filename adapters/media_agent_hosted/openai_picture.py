"""The picture that a video starts from, read and looked at before it is sent."""

from pathlib import Path

from media_agent.errors import InvalidRequestError
from media_agent_hosted.http import FilePart
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.request import VideoRequest

_LARGEST = 30 * 2**20  # bytes; what vLLM-Omni takes
_KINDS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp"}


def first_frame(request: VideoRequest) -> MediaInput | None:
    """Return the picture to start from, None if there is none.

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


def read_picture(medium: MediaInput) -> FilePart:
    """Return name, bytes and type of a picture given as a file or as bytes.

    Raises:
        InvalidRequestError: it cannot be read, is too large, or is no picture.
    """
    name = "first_frame" if medium.path is None else f"first_frame {medium.path}"
    content = medium.data if medium.path is None else _read(Path(medium.path), name)
    if content is None or len(content) > _LARGEST:
        raise InvalidRequestError(
            f"{name} is larger than {_LARGEST >> 20} MiB", hint="make the picture smaller"
        )
    kind = next((kind for start, kind in _KINDS.items() if content.startswith(start)), None)
    if kind is None or (kind == "webp" and content[8:12] != b"WEBP"):
        raise InvalidRequestError(
            f"{name} is no PNG, JPEG or WebP picture", hint="convert it to one of these"
        )
    return f"first_frame.{kind}", content, f"image/{kind}"


def _read(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidRequestError(f"{name} cannot be read: {reason}") from error
