"""How a video of magi/tiny starts: from nothing, an image, a video, a state, after another one."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from media_agent.backend.local import GenerationContext, state_name
from media_agent.ingest.read import read_all, read_end, read_image
from media_agent_magi.engine.state_io import StateError
from media_agent_magi.tiny.description import Guidance
from media_agent_magi.tiny.engine import TinyEngine
from media_agent_magi.tiny.options import Fit, TinyOptions
from media_agent_magi.tiny.video import VideoOptions
from media_agent_magi.world.scene import CHUNK_FRAMES, FPS, SIZE
from media_agent_schemas.media import MediaInput, Size
from media_agent_schemas.request import VideoMode, VideoRequest

if TYPE_CHECKING:
    from media_agent.video.codec import Frames

_SIZE = Size(width=SIZE, height=SIZE)


def choose_start(
    engine: TinyEngine, request: VideoRequest, context: GenerationContext, options: TinyOptions
) -> tuple[VideoOptions, Path | None]:
    """Return how to start: from nothing or inputs, at a state, or after another video.

    Raises:
        StateError: the state to resume from cannot be used.
        InvalidRequestError: an input cannot be read.
    """
    scale = options.guidance_scale
    video = VideoOptions(
        num_frames=request.num_frames,
        num_inference_steps=options.num_inference_steps,
        guidance=None if scale is None else Guidance(scale, scale, scale),
        strength=options.strength,
    )
    token = context.resume
    if token is None:
        inputs = _read_inputs(engine, request, context, options)
        return replace(video, **inputs), None
    state = context.work_dir / "states" / state_name(token.next_chunk)
    first = token.next_chunk if context.branches else token.data.get("first_chunk")
    if not isinstance(first, int):
        raise StateError(f"the resume token names no first chunk: {token.data}")
    if request.num_frames is not None:
        video = replace(video, num_frames=request.num_frames - first * CHUNK_FRAMES)
    video = replace(video, first_chunk=first)
    if context.branches:
        if request.infer_mode() is VideoMode.VIDEO_EDIT:
            context.warn("a branch is not made of the source: it has none of its sound")
        return replace(video, prefix=engine.tail(state)[:1]), None
    inputs = {}
    if request.infer_mode() is VideoMode.VIDEO_EDIT:  # the chunks to come are made of it too
        inputs = _read_inputs(engine, request, context, options)
    return replace(video, **inputs), state


def _read_inputs(
    engine: TinyEngine,
    request: VideoRequest,
    context: GenerationContext,
    options: TinyOptions,
) -> dict[str, Any]:
    """Return the fields of `VideoOptions` that the inputs decide.

    Raises:
        InvalidRequestError: an input cannot be read, and why.
    """
    fit = options.image_fit
    match request.infer_mode():
        case VideoMode.IMAGE_TO_VIDEO:
            image = read_image(request.inputs[0], size=_SIZE, fit=fit, tell=context.warn)
            return {"prefix": engine.encode(image[None]), "shows_prefix": True}
        case VideoMode.VIDEO_EXTEND:
            medium = request.inputs[0]
            end = read_end(
                medium,
                frames=options.context_frames,
                size=_SIZE,
                fit=fit,
                fps=FPS,
                tell=context.warn,
            )
            return {"prefix": engine.encode(_whole_chunks(end, context))}
        case VideoMode.VIDEO_EDIT:
            return _read_source(engine, request, context, fit)
        case _:
            return {}


def _whole_chunks(end: "Frames", context: GenerationContext) -> "Frames":
    """Lead a short video in with copies of its first frame, so that it fills whole chunks."""
    missing = -len(end) % CHUNK_FRAMES
    if missing:
        context.warn(f"the video given has {len(end)} frames; its first stands for {missing} more")
    return np.concatenate([np.repeat(end[:1], missing, axis=0), end])


def _read_source(
    engine: TinyEngine, request: VideoRequest, context: GenerationContext, fit: Fit
) -> dict[str, Any]:
    """Return the latents of the whole source, read and encoded chunk by chunk, and its digest.

    The digest is of the images: latents are rounded by the machine that encodes them.
    """
    wanted = request.num_frames or 0
    if request.audio is not False:
        context.keep_sound(request.inputs[0])
    latents, frames, digest = [], 0, hashlib.sha256()
    for chunk in _read_chunks(request.inputs[0], wanted, fit, context):
        context.check()
        frames += len(chunk)
        digest.update(chunk.tobytes())
        latents.append(engine.encode(_pad(chunk)))
    if frames < wanted:
        context.warn(f"the video given has {frames} frames; what follows is made from nothing")
    return {"source": torch.cat(latents, dim=2), "source_sha256": digest.hexdigest()}


def _read_chunks(
    medium: MediaInput, wanted: int, fit: Fit, context: GenerationContext
) -> Iterator["Frames"]:
    frames: list[Frames] = []
    for frame in read_all(
        medium, limit=wanted, size=_SIZE, fit=fit, fps=FPS, tell=context.warn, keeps_sound=True
    ):
        frames.append(frame)
        if len(frames) == CHUNK_FRAMES:
            yield np.stack(frames)
            frames = []
    if frames:
        yield np.stack(frames)


def _pad(frames: "Frames") -> "Frames":
    """Hold the last frame until the frames fill whole latent frames."""
    return np.concatenate([frames, np.repeat(frames[-1:], -len(frames) % 4, axis=0)])
