"""How a video starts: from nothing, an image, a video, a state, after another one."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from media_agent.backend.local import GenerationContext, state_name
from media_agent.ingest.read import read_all, read_end, read_image
from media_agent.storage.files import numbered
from media_agent_magi.engine.state_io import DamagedStateError, StateError
from media_agent_magi.generating.engine import Engine
from media_agent_magi.generating.options import EngineOptions
from media_agent_magi.generating.video import Video, VideoOptions
from media_agent_schemas.media import MediaInput, Size
from media_agent_schemas.request import VideoMode, VideoRequest

if TYPE_CHECKING:
    from media_agent.video.codec import Frames


def choose_start(
    engine: Engine, request: VideoRequest, context: GenerationContext, options: EngineOptions
) -> tuple[VideoOptions, Path | None]:
    """Return how to start: from nothing or inputs, at a state, or after another video.

    Raises:
        StateError: the state to resume from cannot be used.
        InvalidRequestError: an input cannot be read.
    """
    scale, models, size = options.guidance_scale, engine.models, size_of(engine, request)
    video = VideoOptions(
        num_frames=request.num_frames,
        size=None if size == models.size else size,
        num_inference_steps=options.num_inference_steps,
        guidance=None if scale is None else models.guidance(scale),
        strength=options.strength,
        choices=options.choices(),
    )
    inputs = Inputs(engine, request, context, options)
    token = context.resume
    if token is None:
        return replace(video, **inputs.read()), None
    state = context.work_dir / "states" / state_name(token.next_chunk)
    from_keys = context.branches and models.branches_from_keys
    is_cut = context.branches and not from_keys
    first = token.next_chunk if is_cut else token.data.get("first_chunk")
    if not isinstance(first, int):
        raise StateError(f"the resume token names no first chunk: {token.data}")
    if request.num_frames is not None:
        left = request.num_frames - models.geometry.start(first)
        video = replace(video, num_frames=left)
    video = replace(video, first_chunk=first, branches=from_keys)
    is_restyled = request.infer_mode() is VideoMode.VIDEO_EDIT
    if context.branches:
        if is_restyled:
            context.warn("a branch is not made of the source: it has none of its sound")
        if from_keys:
            return video, state
        return replace(video, prefix=engine.tail(state)[:1]), None
    given = inputs.read() if is_restyled else {}  # the chunks to come are made of it too
    return replace(video, **given), state


def start_whole(
    make: Callable[[Path | None], Video],
    state: Path | None,
    context: GenerationContext,
    first_chunk: int,
) -> tuple[Video, int]:
    """Start a video at a state; where that is damaged, at the newest earlier one that is whole.

    Args:
        make: Starts it at a state.
        state: Where to resume; None: it starts from nothing.
        context: Where its states are, and whoever hears that one was passed over.
        first_chunk: The first that is its own; states before it are of another video.

    Returns:
        The video, and the first chunk that it makes: those before the token's are made again.

    Raises:
        StateError: No state can be used; the message says what is left.
    """
    due = 0 if context.resume is None else context.resume.next_chunk
    try:
        return make(state), due
    except DamagedStateError as error:
        damage = error
    if context.branches:
        raise damage
    kept = numbered(context.work_dir / "states", ".safetensors")
    for chunk in sorted((each for each in kept if first_chunk < each < due), reverse=True):
        try:
            video = make(kept[chunk])
        except DamagedStateError:
            continue
        context.warn(
            f"{damage}: the one after chunk {chunk} is used, and chunks {chunk + 1} to {due} are "
            "computed again; their frames stay as they were"
        )
        return video, chunk
    raise DamagedStateError(
        f"{damage}; no earlier state is whole. What is left are the frames of the first {due} "
        "chunks, from which nothing can be resumed"
    )


def size_of(engine: Engine, request: VideoRequest) -> tuple[int, int]:
    """Return the rows and columns of pixels of a request."""
    return engine.models.size if request.size is None else (request.size.height, request.size.width)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Reads the images and videos of a request into latents."""

    engine: Engine
    request: VideoRequest
    context: GenerationContext
    options: EngineOptions

    @property
    def _size(self) -> Size:
        rows, columns = size_of(self.engine, self.request)
        return Size(width=columns, height=rows)

    @property
    def _chunk(self) -> int:
        return self.engine.models.geometry.chunk_frames

    @property
    def _context(self) -> int:
        """How many frames of the end of a video are looked at: those of whole chunks."""
        geometry, wanted = self.engine.models.geometry, self.options.context_frames or self._chunk
        return geometry.frames(wanted // geometry.frames_each)

    def read(self) -> dict[str, Any]:
        """Return the fields of `VideoOptions` that the inputs decide.

        Raises:
            InvalidRequestError: an input cannot be read, and why.
        """
        fit, tell = self.options.image_fit, self.context.warn
        match self.request.infer_mode():
            case VideoMode.IMAGE_TO_VIDEO:
                image = read_image(self.request.inputs[0], size=self._size, fit=fit, tell=tell)
                return {"prefix": self._encode(image[None]), "shows_prefix": True}
            case VideoMode.VIDEO_EXTEND:
                end = read_end(
                    self.request.inputs[0],
                    frames=self._context,
                    size=self._size,
                    fit=fit,
                    fps=self.engine.models.geometry.fps,
                    tell=tell,
                )
                return {"prefix": self._encode(self._whole_chunks(end))}
            case VideoMode.VIDEO_EDIT:
                return self._read_source()
            case _:
                return {}

    def _encode(self, frames: "Frames") -> torch.Tensor:
        return self.engine.encode(frames, size_of(self.engine, self.request))

    def _whole_chunks(self, end: "Frames") -> "Frames":
        """Lead a short video in with copies of its first frame, so that it fills whole chunks."""
        missing = self.engine.models.geometry.missing(len(end))
        if missing:
            self.context.warn(
                f"the video given has {len(end)} frames; its first stands for {missing} more"
            )
        return np.concatenate([np.repeat(end[:1], missing, axis=0), end])

    def _read_source(self) -> dict[str, Any]:
        """Return the latents of the whole source, read and encoded chunk by chunk, and its digest.

        The digest is of the images: latents are rounded by the machine that encodes them.
        """
        wanted = self.request.num_frames or 0
        if self.request.audio is not False:
            self.context.keep_sound(self.request.inputs[0])
        latents, frames, digest = [], 0, hashlib.sha256()
        for chunk in self._read_chunks(wanted):
            self.context.check()
            frames += len(chunk)
            digest.update(chunk.tobytes())
            latents.append(self._encode(self._pad(chunk)).cpu())  # a long video is no small thing
        if frames < wanted:
            self.context.warn(
                f"the video given has {frames} frames; what follows is made from nothing"
            )
        return {"source": torch.cat(latents, dim=2), "source_sha256": digest.hexdigest()}

    def _read_chunks(self, wanted: int) -> Iterator["Frames"]:
        frames: list[Frames] = []
        medium: MediaInput = self.request.inputs[0]
        for frame in read_all(
            medium,
            limit=wanted,
            size=self._size,
            fit=self.options.image_fit,
            fps=self.engine.models.geometry.fps,
            tell=self.context.warn,
            keeps_sound=True,
        ):
            frames.append(frame)
            if len(frames) == self._chunk:
                yield np.stack(frames)
                frames = []
        if frames:
            yield np.stack(frames)

    def _pad(self, frames: "Frames") -> "Frames":
        """Hold the last frame until the frames fill whole latent frames."""
        missing = -len(frames) % self.engine.models.geometry.frames_each
        return np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
