"""magi/tiny: the calibration model, loaded from the weights that ship with the package."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from media_agent_magi.computing import Computing
from media_agent_magi.engine.autoencoders.conv_vae import ConvVAE, to_uint8
from media_agent_magi.engine.sampler import OnForward
from media_agent_magi.engine.state_io import load_state
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.tiny.description import WEIGHTS, Guidance, TinyDescription, WeightsError
from media_agent_magi.tiny.model import TinyModel
from media_agent_magi.tiny.video import (
    FRAMES,
    Prompts,
    TinyChunk,
    TinyVideo,
    VideoOptions,
    weights_facts,
)
from media_agent_magi.world.captions import tokenize
from media_agent_magi.world.scene import SIZE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TinyEngine:
    """Text per chunk in, frames per chunk out.

    `video` gives chunks as latents and `decode` their frames, so that one chunk can be decoded
    while the next is made; `generate` does both in turn.
    """

    def __init__(
        self,
        model: TinyModel,
        vae: ConvVAE,
        description: TinyDescription,
        *,
        threads: int = 1,
    ) -> None:
        """Take the model; `threads` of the CPU make the video, whoever calls."""
        self.computing = Computing(threads)
        self.model = model.eval()
        self.vae = vae.eval()
        self.description = description
        self._numbers = {word: number for number, word in enumerate(description.words, start=1)}

    def video(
        self,
        prompts: Prompts,
        seeds: Sequence[int],
        options: VideoOptions = VideoOptions(),  # noqa: B008 - frozen
        *,
        state: Path | None = None,
        on_forward: OnForward | None = None,
    ) -> TinyVideo:
        """Start as many videos side by side as there are seeds.

        Args:
            prompts: The prompt of each chunk, asked for when the chunk is started.
            seeds: Chunk noise depends on them and on the chunk's number alone.
            options: Length, sampling, what the video continues or is made of.
            state: Where to resume; written by `TinyVideo.saver` with the same options.
            on_forward: Called after every forward of the transformer; may raise to stop.

        Raises:
            StateError: The state cannot be used here; the message says why.
        """
        with self.computing():
            return TinyVideo(self, prompts, seeds, options, state=state, on_forward=on_forward)

    def generate(
        self,
        prompts: Prompts | Sequence[str],
        seed: int,
        *,
        num_inference_steps: int | None = None,
        guidance: Guidance | None = None,
        on_forward: OnForward | None = None,
    ) -> "Iterator[NDArray[np.uint8]]":
        """Yield chunks of 24 frames, uint8 (24, 64, 64, 3), as they become clean.

        Args:
            prompts: The prompt of each chunk; a function may continue for ever.
            seed: Chunk noise depends on it and on the chunk's number alone.
            num_inference_steps: A multiple of the window; the description's if not given.
            guidance: Text guidance; the description's if not given.
            on_forward: Called after every forward of the transformer; may raise to stop.
        """
        source, total = as_function(prompts)
        frames = None if total is None else total * FRAMES * self.description.sampler.chunk_width
        options = VideoOptions(
            num_frames=frames, num_inference_steps=num_inference_steps, guidance=guidance
        )
        for chunk in self.video(source, (seed,), options, on_forward=on_forward):
            yield self.decode(chunk)[0]

    def tail(self, state: Path) -> torch.Tensor:
        """Return the last latents (N, C, T, 8, 8) before a state, for another video to continue.

        Raises:
            StateError: The state cannot be used with these weights; the message says why.
        """
        tail = load_state(state, weights_facts(self.description))[0].tail
        assert tail is not None  # states are written behind a chunk
        return tail

    @torch.no_grad()
    def text_row(self, prompt: str) -> TextRow:
        """Encode a prompt; words the model has never read are passed over."""
        known = [self._numbers[word] for word in tokenize(prompt) if word in self._numbers]
        length = self.model.dit.config.caption_max_length
        numbers = (known + [0] * length)[:length]
        rows, mask = self.model.text(torch.tensor([numbers]))
        return TextRow(rows[0], mask[0])

    @torch.no_grad()
    def decode(self, chunk: TinyChunk) -> "NDArray[np.uint8]":
        """Return the frames of a chunk, (N, T, 64, 64, 3). Safe to call from any thread."""
        with self.computing():
            video = to_uint8(self.vae.decode(chunk.latents, chunk.before))[:, :, : chunk.frames]
            frames: NDArray[np.uint8] = video.permute(0, 2, 3, 4, 1).contiguous().numpy()
        return frames

    @torch.no_grad()
    def encode(self, frames: "NDArray[np.uint8]") -> torch.Tensor:
        """Return latents (1, C, T/4, 8, 8) of frames (T, 64, 64, 3), aligned to their end.

        The first frames are left out where T is no multiple of 4; less than 4 frames are led in by
        copies of the first, so an image becomes one latent frame.
        """
        if frames.ndim != 4 or frames.shape[1:] != (SIZE, SIZE, 3) or len(frames) == 0:
            raise ValueError(f"magi/tiny reads frames of {SIZE}x{SIZE}x3, not {frames.shape}")
        video = torch.tensor(frames)
        missing = max(0, FRAMES - len(video))
        video = torch.cat([video[:1].expand(missing, -1, -1, -1), video])
        video = video[len(video) % FRAMES :]
        with self.computing():
            return self.vae.encode(video.permute(3, 0, 1, 2)[None].float() / 127.5 - 1)


def as_function(prompts: Prompts | Sequence[str]) -> tuple[Prompts, int | None]:
    """Return prompts as a function of the chunk, and how many chunks there are, if known."""
    if callable(prompts):
        return prompts, None
    texts = tuple(prompts)
    return (lambda chunk: texts[chunk] if 0 <= chunk < len(texts) else None), len(texts)


def load_tiny(folder: Path = WEIGHTS, *, threads: int = 1) -> TinyEngine:
    """Load magi/tiny, about 0.2 s after torch is there; `threads` of the CPU make its videos.

    Raises:
        WeightsError: The weights are missing, damaged, or of another model.
    """
    description = TinyDescription.read(folder)
    path = folder / "tiny.safetensors"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != description.sha256:
        raise WeightsError(
            f"the weights {path} are damaged: SHA-256 is {digest[:12]}..., "
            f"not {description.sha256[:12]}..."
        )
    model = TinyModel(description.model, words=len(description.words))
    vae = ConvVAE(description.autoencoder)
    try:
        tensors = {name: value.float() for name, value in load(data).items()}
        for prefix, module in (("model.", model), ("autoencoder.", vae)):
            part = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            module.load_state_dict(part)
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(f"the weights {path} do not fit their description: {error}") from error
    return TinyEngine(model, vae, description, threads=threads)
