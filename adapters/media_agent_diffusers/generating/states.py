"""What a window leaves on disk for the next one, so that another process can make it."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.errors import NotResumableError
from media_agent_diffusers.generating.windows import Made
from media_agent_schemas.events import Computation
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    from media_agent.video.codec import Frames

_FRAMES = "frames"


def digest_work(request: VideoRequest, weights: str, loras: Iterable[str]) -> str:
    """Return a digest of all that decides the frames, but for the inputs and the machine."""
    asked = request.model_dump(mode="json", exclude={"inputs", "labels", "consent"})
    text = json.dumps([asked, weights, *loras], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_state(path: Path, made: Made, *, digest: str, computation: Computation) -> None:
    """Write how far a video is, with its last frames as they came out of the model."""
    from safetensors.numpy import save_file

    frames: dict[str, Frames] = {} if made.end is None else {_FRAMES: made.end}
    said = {
        "windows": str(made.windows),  # the next window's seed is so many further
        "made": str(made.frames),
        "work": digest,
        "computation": computation.model_dump_json(),
    }
    save_file(frames, path, metadata=said)


def read_state(path: Path, *, digest: str) -> tuple[Made, Computation]:
    """Return how far a video was, and on what its frames were computed.

    Raises:
        NotResumableError: the state is gone or damaged, or it is of other work.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            said = file.metadata() or {}
            end = file.get_tensor(_FRAMES) if _FRAMES in file.keys() else None  # noqa: SIM118
        made = Made(int(said["windows"]), int(said["made"]), end)
        computation = Computation.model_validate_json(said["computation"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise NotResumableError(
            f"the state {path} cannot be used: {error}", hint="generate the video again"
        ) from error
    if said.get("work") != digest:
        raise NotResumableError(
            f"the state {path} is of other weights or options",
            hint="resume it with those that it was started with, or generate the video again",
        )
    return made, computation
