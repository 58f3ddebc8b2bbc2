"""Inputs that were brought here, looked at before a job is made of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from media_agent.errors import InvalidRequestError
from media_agent_schemas.media import InputRole

_VIDEO_ROLES = frozenset({InputRole.SOURCE_VIDEO, InputRole.MOTION})
_EITHER = frozenset({InputRole.MASK})


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file in the folder of a job, and what it is for."""

    path: Path
    field: str
    role: InputRole
    at: Any = None

    def to_field(self) -> dict[str, Any]:
        """Return it as an input of a request."""
        known = {"role": self.role, "path": str(self.path)}
        return known if self.at is None else known | {"at": self.at}


def check_inputs(files: list[InputFile]) -> None:
    """Open each file, so that what cannot be used is refused before anything is begun.

    Raises:
        InvalidRequestError: one is of another kind, damaged or too large.
    """
    for each in files:
        if each.role not in _EITHER:
            _check(each, "video" if each.role in _VIDEO_ROLES else "image")


def _check(file: InputFile, kind: Literal["image", "video"]) -> None:
    from media_agent.ingest.source import open_medium

    try:
        with open_medium(file.path, kind, file.field):
            pass
    except InvalidRequestError as error:
        if kind == "video" or not _is_video(file):
            raise
        raise InvalidRequestError(
            f"{file.field} is a video, and images are expected there",
            hint="POST /v1/videos/edits and /v1/videos/extensions take a video; or give it a role "
            "in media_agent.inputs",
        ) from error


def _is_video(file: InputFile) -> bool:
    from media_agent.ingest.source import open_medium

    try:
        with open_medium(file.path, "video", file.field):
            return True
    except InvalidRequestError:
        return False
