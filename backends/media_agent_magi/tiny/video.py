"""A video of magi/tiny in the making: its chunks as latents, steering, and its state."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from media_agent_magi.computing import Computing
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.guidance import GuidanceTable
from media_agent_magi.engine.noise import seeded_noise
from media_agent_magi.engine.sampler import ChunkSampler, OnForward
from media_agent_magi.engine.state_io import load_state, save_state
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.tiny.description import Guidance, TinyDescription
from media_agent_magi.tiny.model import TinyModel

FRAMES = 4
"""Frames that one latent frame holds."""
LATENT_SIZE = 8
"""Rows and columns of the latents."""

Prompts = Callable[[int], str | None]
"""Chunk number -> its prompt; None where the video ends before this chunk."""


class Models(Protocol):
    """What a video is made with: the weights, what they are, and what computes with them."""

    model: TinyModel
    description: TinyDescription
    computing: Computing

    def text_row(self, prompt: str) -> TextRow:
        """Encode a prompt."""


@dataclass(frozen=True, slots=True, eq=False)
class TinyChunk:
    """A finished chunk: latents (N, C, T, 8, 8), ready for `TinyEngine.decode`.

    before: the latent frame before them, (N, C, 1, 8, 8), None at the start of a video. frames: how
    many frames of it belong to the video.
    """

    index: int
    latents: Tensor
    before: Tensor | None
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOptions:
    """What a video is besides its prompts and seeds.

    Attributes:
        num_frames: Frames to make, exactly; None continues until the prompts end.
        num_inference_steps: A multiple of the window; the description's if not given.
        guidance: Text guidance; the description's if not given.
        ramp: Make the first chunk alone; the description's choice if not given.
        prefix: Latents (1 or N, C, T, 8, 8) that the video continues.
        shows_prefix: The video starts with the prefix; for an image. Less than a chunk then.
        first_chunk: Number of the first chunk, where the video continues another.
        source: Latents (1 or N, C, T, 8, 8) of a video to be restyled.
        source_sha256: Identifies the source; a state is resumed with the same one only.
        strength: How much of it changes, in (0, 1]: for all chunks, or by chunk.
    """

    num_frames: int | None = None
    num_inference_steps: int | None = None
    guidance: Guidance | None = None
    ramp: bool | None = None
    prefix: Tensor | None = None
    shows_prefix: bool = False
    first_chunk: int = 0
    source: Tensor | None = None
    source_sha256: str | None = None
    strength: float | Callable[[int], float] = 0.6


class TinyVideo:
    """Iterate for its chunks; between two of them, or in `on_forward`, it can be steered."""

    def __init__(
        self,
        engine: Models,
        prompts: Prompts,
        seeds: Sequence[int],
        options: VideoOptions,
        *,
        state: Path | None = None,
        on_forward: OnForward | None = None,
    ) -> None:
        description = engine.description
        self._computing = engine.computing
        config = sampler_config(description, options)
        guidance = description.guidance if options.guidance is None else options.guidance
        self._facts: dict[str, Any] = {
            **weights_facts(description),
            **asdict(config),
            "guidance": asdict(guidance),
            "seeds": list(seeds),
            "num_frames": options.num_frames,
            "first_chunk": options.first_chunk,
            **source_facts(options),
        }
        self._options = options
        self._script = script = Script(engine, config.window_size)
        self.differences: tuple[str, ...] = ()
        """How the machine it was started on differs from this one, in words."""
        kept, last = None, None if options.shows_prefix else options.prefix
        whole = 0 if options.prefix is None else options.prefix.shape[2] // config.chunk_width
        if state is not None:
            kept, facts = load_state(state, self._facts)
            self.differences = engine.computing.differences(facts.get("computation"))
            whole, last = kept.prefix_chunks, kept.tail
            script.prompts = {int(chunk): text for chunk, text in facts["prompts"].items()}
        self._before = None if last is None else last[:, :, -1:].expand(len(seeds), -1, -1, -1, -1)
        self._offset = offset = options.first_chunk - whole
        dit = engine.model.dit
        shape = (dit.config.latent_channels, config.chunk_width, LATENT_SIZE, LATENT_SIZE)
        self._sampler = ChunkSampler(
            dit,
            config,
            noise=[seeded_noise(seed, shape, offset) for seed in seeds],
            text=lambda chunk: script.row(chunk, prompts(chunk + offset)),
            prefix=options.prefix,
            frames=None if options.num_frames is None else -(-options.num_frames // FRAMES),
            guidance=lambda chunk: guidance_table(guidance, chunk, script.prompts.get),
            source=partial(source_of_chunk, options, config.chunk_width),
            on_forward=on_forward,
            hand_out_prefix=options.shows_prefix,
            exact_prefix=True,
            state=kept,
        )

    @property
    def next_chunk(self) -> int:
        """The number of the first chunk that has not been started."""
        return self._sampler.next_chunk + self._offset

    def __iter__(self) -> Iterator[TinyChunk]:
        """Yield the chunks, as latents, as they become clean."""
        chunks = iter(self._sampler)
        while True:
            with self._computing():  # between two chunks the thread is its caller's
                chunk = next(chunks, None)
            if chunk is None:
                return
            start, frames = FRAMES * chunk.start, FRAMES * chunk.latents.shape[2]
            if self._options.num_frames is not None:
                frames = min(frames, self._options.num_frames - start)
            before, self._before = self._before, chunk.latents[:, :, -1:]
            yield TinyChunk(chunk.index + self._offset, chunk.latents, before, frames)

    def change_now(self, prompt: str | Prompts, *, below: float = 0.3) -> int:
        """Give a prompt to the chunks in work that are noisier than t = `below`.

        Chunks for which `prompt` answers None keep their own.

        Returns the number of the first chunk that has it, `next_chunk` if too late for all.
        """

        def text(chunk: int) -> TextRow | None:
            text = prompt if isinstance(prompt, str) else prompt(chunk + self._offset)
            return self._script.row(chunk, text)

        return self._sampler.replace_text(text, below=below) + self._offset

    def saver(self) -> Callable[[Path], None]:
        """Return what writes the state of this moment to a path, also later and elsewhere."""
        prompts = {str(chunk): text for chunk, text in self._script.prompts.items()}
        computation = self._computing.facts().model_dump()
        facts = self._facts | {"prompts": prompts, "computation": computation}
        state = self._sampler.state()
        return lambda path: save_state(path, state, facts)


class Script:
    """The prompts of the newest chunks, by number.

    Apart from the video, so that what the video is made with does not refer back to it: the keys of
    a video go with it, not with the garbage collector.
    """

    def __init__(self, engine: Models, window: int) -> None:
        self._engine, self._window = engine, window
        self.prompts: dict[int, str] = {}

    def row(self, chunk: int, prompt: str | None) -> TextRow | None:
        """Keep the prompt of a chunk and return it as the model reads it; None stays None."""
        if prompt is None:
            return None
        self.prompts[chunk] = prompt
        forgotten = chunk - self._window - 1  # guidance compares with the chunk before
        self.prompts = {c: text for c, text in self.prompts.items() if c >= forgotten}
        return self._engine.text_row(prompt)


def source_of_chunk(options: VideoOptions, width: int, chunk: int) -> tuple[Tensor, float] | None:
    """Return the latents that a chunk is restyled from, and how much; None after their end."""
    latents, strength = options.source, options.strength
    if latents is None:
        return None
    part = latents[:, :, chunk * width : (chunk + 1) * width]
    if part.shape[2] == 0:
        return None
    missing = width - part.shape[2]
    part = torch.cat([part, part[:, :, -1:].expand(-1, -1, missing, -1, -1)], dim=2)
    return part, strength(chunk) if callable(strength) else strength


def sampler_config(description: TinyDescription, options: VideoOptions) -> SamplerConfig:
    """Return the description's sampling with what the options change."""
    config = description.sampler
    if options.num_inference_steps is not None:
        config = replace(config, num_steps=options.num_inference_steps)
    return config if options.ramp is None else replace(config, ramp=options.ramp)


def weights_facts(description: TinyDescription) -> dict[str, str]:
    """Return what ties a state to these weights."""
    return {"model": description.model.model_name, "weights": description.sha256}


def source_facts(options: VideoOptions) -> dict[str, Any]:
    """Return what ties a state to the video that is restyled; a function has no name to keep."""
    is_used = options.source is not None and not callable(options.strength)
    return {
        "source": options.source_sha256,
        "strength": options.strength if is_used else None,
    }


def guidance_table(guidance: Guidance, chunk: int, prompts: Prompts) -> GuidanceTable:
    """Return the table of one chunk: text guidance alone, stronger where the prompt is new."""
    if chunk == 0:
        scale = guidance.first
    else:
        scale = guidance.steady if prompts(chunk) == prompts(chunk - 1) else guidance.switch
    return GuidanceTable((0.0,), (1.0,), (scale,))
