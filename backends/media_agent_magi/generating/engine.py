"""Text per chunk in, frames per chunk out, with the models of any family."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from media_agent.errors import GenerationFailedError
from media_agent_magi.computing import Computing, workers_here
from media_agent_magi.engine.autoencoders.conv_vae import to_uint8
from media_agent_magi.engine.sampler import OnForward
from media_agent_magi.engine.state_io import load_state
from media_agent_magi.generating.family import Guidance
from media_agent_magi.generating.models import Models
from media_agent_magi.generating.script import Prompts, as_function
from media_agent_magi.generating.video import Video, VideoChunk, VideoOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Engine:
    """Makes videos, which decode apart from their making.

    `video` gives chunks as latents and `decode` their frames, so that one chunk can be decoded
    while the next is made; `generate` does both in turn.
    """

    def __init__(self, models: Models, *, threads: int = 1, decodes_beside: bool = True) -> None:
        """Take the models; `threads` of the CPU make the video, whoever calls.

        Without `decodes_beside` a chunk is never decoded while another one is made: what both need
        of the memory is not needed at once.
        """
        self.models = models
        device = models.transformer.device
        self.computing = Computing(
            threads,
            workers=workers_here(threads) if device.type == "cpu" else 1,
            device=str(device),
            dtype=str(models.transformer.dtype).removeprefix("torch."),
            decodes_beside=decodes_beside,
        )

    def video(
        self,
        prompts: Prompts,
        seeds: Sequence[int],
        options: VideoOptions = VideoOptions(),  # noqa: B008 - frozen
        *,
        state: Path | None = None,
        on_forward: OnForward | None = None,
    ) -> Video:
        """Start as many videos side by side as there are seeds.

        Args:
            prompts: The prompt of each chunk, asked for when the chunk is started.
            seeds: Chunk noise depends on them and on the chunk's number alone.
            options: Length, sampling, what the video continues or is made of.
            state: Where to resume; written by `Video.saver` with the same options.
            on_forward: Called after every forward of the transformer; may raise to stop.

        Raises:
            StateError: The state cannot be used here; the message says why.
        """
        with self.computing():
            return Video(
                self.models,
                self.computing,
                prompts,
                seeds,
                options,
                state=state,
                on_forward=on_forward,
            )

    def generate(
        self,
        prompts: Prompts | Sequence[str],
        seed: int,
        *,
        num_inference_steps: int | None = None,
        guidance: Guidance | None = None,
        on_forward: OnForward | None = None,
    ) -> "Iterator[NDArray[np.uint8]]":
        """Yield chunks of frames, uint8 (T, H, W, 3), as they become clean.

        Args:
            prompts: The prompt of each chunk; a function may continue for ever.
            seed: Chunk noise depends on it and on the chunk's number alone.
            num_inference_steps: A multiple of the window; the models' if not given.
            guidance: Text guidance; the models' if not given.
            on_forward: Called after every forward of the transformer; may raise to stop.
        """
        source, total = as_function(prompts)
        options = VideoOptions(
            num_frames=None if total is None else self.models.geometry.start(total),
            num_inference_steps=num_inference_steps,
            guidance=guidance,
        )
        for chunk in self.video(source, (seed,), options, on_forward=on_forward):
            yield self.decode(chunk)[0]

    def close(self) -> None:
        """End all threads; no video is made any more."""
        self.computing.close()
        self.models.close()

    def tail(self, state: Path) -> torch.Tensor:
        """Return the last latents (N, C, T, h, w) before a state, for another video to continue.

        Raises:
            StateError: The state cannot be used with these weights; the message says why.
        """
        tail = load_state(state, self.models.facts)[0].tail
        assert tail is not None  # states are written behind a chunk
        return tail

    @torch.inference_mode()
    def decode(self, chunk: VideoChunk) -> "NDArray[np.uint8]":
        """Return the frames of a chunk, (N, T, H, W, 3); those of a video in turn.

        Safe to call from any thread.

        Raises:
            GenerationFailedError: The model made what are no numbers.
        """
        with self.computing(), self.computing.beside(chunk.ready):
            video = chunk.decoder.decode(chunk.latents, chunk.at, chunk.before)[
                :, :, : chunk.frames
            ]
            if not bool(video.isfinite().all()):
                raise GenerationFailedError(
                    f"{self.models.label} made what are no numbers (NaN) in chunk {chunk.index}",
                    hint="its weights may be damaged, or made for other settings: "
                    "media-agent models check",
                )
            pixels = to_uint8(video).permute(0, 2, 3, 4, 1).contiguous().cpu()
        frames: NDArray[np.uint8] = pixels.numpy()
        return frames

    @torch.inference_mode()
    def encode(
        self, frames: "NDArray[np.uint8]", size: tuple[int, int] | None = None
    ) -> torch.Tensor:
        """Return latents (1, C, T/4, h, w) of frames (T, H, W, 3), aligned to their end.

        The first frames are left out where T does not fill whole latent frames; less than one
        latent frame is led in by copies of the first, so an image becomes one latent frame.

        Args:
            frames: What to encode.
            size: The rows and columns that they must have; the models' if not given.

        Raises:
            ValueError: The frames have another shape.
        """
        rows, columns = self.models.size if size is None else size
        if frames.ndim != 4 or frames.shape[1:] != (rows, columns, 3) or len(frames) == 0:
            raise ValueError(
                f"{self.models.label} reads frames of {rows}x{columns}x3, not {frames.shape}"
            )
        geometry, video = self.models.geometry, torch.tensor(frames)
        each, first = geometry.frames_each, geometry.frames_first
        missing = max(0, first - len(video))
        video = torch.cat([video[:1].expand(missing, -1, -1, -1), video])
        video = video[(len(video) - first) % each :]
        with self.computing():
            return self.models.encode(video.permute(3, 0, 1, 2)[None].float() / 127.5 - 1)
