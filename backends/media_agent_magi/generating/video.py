"""A video in the making: its chunks as latents, steering, and its state."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any
from weakref import finalize

from torch import Tensor, cat, cuda

from media_agent_magi.computing import Computing
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.noise import seeded_noise
from media_agent_magi.engine.sampler import ChunkSampler, OnForward
from media_agent_magi.engine.state_io import load_state, seal_state, write_state
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.generating.decoding import VideoDecoder
from media_agent_magi.generating.family import Guidance
from media_agent_magi.generating.models import Models
from media_agent_magi.generating.script import Prompts, Script

STAGING = "staging-"
"""What folders of a video begin with whose content has no name yet."""

HOW_IT_RUNS = ("tokens_together", "keep_keys")
"""Settings of the sampler that do not tie a state to its video."""

MADE_AGAIN = (
    "the state holds the latents of the last chunks but not their keys, which are made again: from "
    "here on its frames may differ a little from those of a video made without a break"
)


@dataclass(frozen=True, slots=True, eq=False)
class VideoChunk:
    """A finished chunk: latents (N, C, T, h, w), ready for `Engine.decode`.

    decoder: decodes the chunks of its video, one after the other. frames: how many frames of it
    belong to the video. is_whole: no frame of it is cut off. at: how many latent frames come before
    it. before: the latest of these, as many as the decoder needs. ready: when they are there, on a
    GPU.
    """

    index: int
    latents: Tensor
    decoder: VideoDecoder
    frames: int
    is_whole: bool
    at: int
    before: Tensor | None
    ready: cuda.Event | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOptions:
    """What a video is besides its prompts and seeds.

    Attributes:
        num_frames: Frames to make, exactly; None continues until the prompts end.
        size: Rows and columns of pixels; the models' if not given.
        num_inference_steps: A multiple of the window; the models' if not given.
        guidance: Text guidance; the models' if not given.
        ramp: Make the first chunk alone; the models' choice if not given.
        prefix: Latents (1 or N, C, T, h, w) that the video continues.
        shows_prefix: The video starts with the prefix; for an image. Less than a chunk then.
        first_chunk: Number of the first chunk, where the video continues another.
        source: Latents (1 or N, C, T, h, w) of a video to be restyled.
        source_sha256: Identifies the source; a state is resumed with the same one only.
        strength: How much of it changes, in (0, 1]: for all chunks, or by chunk.
        choices: What the family alone knows.
        branches: The state to start from is of another video: the prompts and seeds from there on
            are other ones.
    """

    num_frames: int | None = None
    size: tuple[int, int] | None = None
    num_inference_steps: int | None = None
    guidance: Guidance | None = None
    ramp: bool | None = None
    prefix: Tensor | None = None
    shows_prefix: bool = False
    first_chunk: int = 0
    source: Tensor | None = None
    source_sha256: str | None = None
    strength: float | Callable[[int], float] = 0.6
    choices: Mapping[str, Any] = field(default_factory=dict)
    branches: bool = False


class Video:
    """Iterate for its chunks; between two of them, or in `on_forward`, it can be steered."""

    def __init__(
        self,
        models: Models,
        computing: Computing,
        prompts: Prompts,
        seeds: Sequence[int],
        options: VideoOptions,
        *,
        state: Path | None = None,
        on_forward: OnForward | None = None,
    ) -> None:
        self._options, self._computing = options, computing
        self._geometry = geometry = models.geometry
        config = sampler_config(models.sampler, options)
        self._keeps_keys = config.keep_keys
        guidance = models.guidance(None) if options.guidance is None else options.guidance
        self._facts = video_facts(models, config, guidance, seeds, options)
        self.differences: tuple[str, ...] = ()
        """How the machine it was started on differs from this one, in words."""
        kept, last = None, None if options.shows_prefix else options.prefix
        given = 0 if options.prefix is None else options.prefix.shape[2]
        whole, texts = given // config.chunk_width, {}
        if state is not None:
            same = shared_facts(self._facts, models) if options.branches else self._facts
            kept, facts = load_state(state, same)
            if options.branches:
                kept = kept.first_sample(len(seeds))
            self.differences = computing.differences(facts.get("computation"))
            if not (kept.keys or config.keep_keys):
                self.differences += (MADE_AGAIN,)
            whole, last = kept.prefix_chunks, kept.tail
            texts = {int(chunk): text for chunk, text in facts["prompts"].items()}
        self._offset = offset = options.first_chunk - whole
        skipped = 0 if options.shows_prefix else given - whole * config.chunk_width
        if kept is not None:
            skipped = kept.skipped
        self._lead = whole + skipped  # latent frames before its own; only none or some counts
        latents = end = None
        if options.num_frames is not None:
            latents = geometry.latents(options.num_frames, before=self._lead)
            end = options.first_chunk - (-(latents + skipped) // config.chunk_width)

        if kept is not None and options.branches:  # it ends elsewhere
            total = None if end is None else end - offset
            kept = replace(kept, frames=latents, total=total)

        def read(prompt: str, chunk: int) -> TextRow:
            return models.text_row(prompt, None if end is None else max(1, end - chunk - offset))

        pair = None if computing.is_gpu else computing.pair
        self._script = script = Script(read, config.window_size)
        script.prompts = texts
        shape = geometry.shape(*(models.size if options.size is None else options.size))
        self._sampler = ChunkSampler(
            models.transformer,
            config,
            noise=[seeded_noise(seed, shape, offset) for seed in seeds],
            text=lambda chunk: script.row(chunk, prompts(chunk + offset)),
            prefix=options.prefix,
            frames=latents,
            guidance=lambda chunk: script.guide(guidance, chunk),
            source=partial(source_of_chunk, options, config.chunk_width),
            on_forward=on_forward,
            hand_out_prefix=options.shows_prefix,
            exact_prefix=True,
            predictor=models.predictor(config, pair, options.choices),
            stepper=models.stepper(config),
            tail_frames=models.decoder_frames,
            state=kept,
        )
        done = given if kept is None else self._sampler.finished_frames
        before = None
        if last is not None:
            before = last.expand(len(seeds), -1, -1, -1, -1)[:, :, -models.decoder_frames :]
            before = before.to(models.transformer.device)  # those of a state are not there yet
        start = done if before is None else done - before.shape[2]
        self._decoder = VideoDecoder(models, models.open_decoder(before, start=start), done)
        self._at, self._before, self._remembered = done, before, models.decoder_frames

    @property
    def resumes_exactly(self) -> bool:
        """Whether it goes on from its states to the bit; else but for rounding.

        Kernels of a GPU do not promise that, and it was never tried there.
        """
        return self._keeps_keys and not self._computing.is_gpu

    @property
    def next_chunk(self) -> int:
        """The number of the first chunk that has not been started."""
        return self._sampler.next_chunk + self._offset

    def __iter__(self) -> Iterator[VideoChunk]:
        """Yield the chunks, as latents, as they become clean."""
        chunks = iter(self._sampler)
        while True:
            # between two chunks the thread is its caller's
            with self._computing(), self._computing.in_turn():
                chunk = next(chunks, None)
            if chunk is None:
                return
            width, lead = chunk.latents.shape[2], self._lead + chunk.start
            start = self._geometry.frames(chunk.start, before=self._lead)
            holds = frames = self._geometry.frames(width, before=lead)
            if self._options.num_frames is not None:
                frames = min(frames, self._options.num_frames - start)
            is_whole = frames == holds and width == self._geometry.chunk_width
            index = chunk.index + self._offset
            ready, at, before = self._computing.mark(), self._at, self._before
            self._at, self._before = at + width, self._remember(chunk.latents)
            yield VideoChunk(
                index, chunk.latents, self._decoder, frames, is_whole, at, before, ready
            )

    def _remember(self, latents: Tensor) -> Tensor | None:
        """Return the latest latents that a decoder has to have seen, these among them."""
        if self._remembered == 0:
            return None
        seen = latents if self._before is None else cat([self._before, latents], dim=2)
        return seen[:, :, -self._remembered :]

    def change_now(self, prompt: str | Prompts, *, below: float = 0.3) -> int:
        """Give a prompt to the chunks in work that are noisier than t = `below`.

        Chunks for which `prompt` answers None keep their own.

        Returns the number of the first chunk that has it, `next_chunk` if too late for all.
        """

        def text(chunk: int) -> TextRow | None:
            text = prompt if isinstance(prompt, str) else prompt(chunk + self._offset)
            return self._script.row(chunk, text)

        return self._sampler.replace_text(text, below=below) + self._offset

    def saver(self, folder: Path) -> Callable[[Path], None]:
        """Return what writes the state of this moment to a path, once, also later and elsewhere.

        It is written to `folder`, on the disk of that path, at once, so that keys of gigabytes are
        never in the main memory as a whole; what is left for later is its checksum, and its name.
        What is never saved is removed, at the latest when the work is taken up again.
        """
        prompts = {str(chunk): text for chunk, text in self._script.prompts.items()}
        computation = self._computing.facts().model_dump()
        facts = self._facts | {"prompts": prompts, "computation": computation}
        staging = Path(mkdtemp(prefix=STAGING, dir=folder))
        written = staging / "state"

        def save(path: Path) -> None:
            seal_state(written)
            written.replace(path)
            forget()

        forget = finalize(save, rmtree, staging, ignore_errors=True)
        write_state(written, self._sampler.state(), facts)
        return save


def source_of_chunk(options: VideoOptions, width: int, chunk: int) -> tuple[Tensor, float] | None:
    """Return the latents that a chunk is restyled from, and how much; None after their end."""
    latents, strength = options.source, options.strength
    if latents is None:
        return None
    part = latents[:, :, chunk * width : (chunk + 1) * width]
    if part.shape[2] == 0:
        return None
    missing = width - part.shape[2]
    part = cat([part, part[:, :, -1:].expand(-1, -1, missing, -1, -1)], dim=2)
    return part, strength(chunk) if callable(strength) else strength


def sampler_config(config: SamplerConfig, options: VideoOptions) -> SamplerConfig:
    """Return the usual sampling with what the options change."""
    if options.num_inference_steps is not None:
        config = replace(config, num_steps=options.num_inference_steps)
    return config if options.ramp is None else replace(config, ramp=options.ramp)


def video_facts(
    models: Models,
    config: SamplerConfig,
    guidance: Guidance,
    seeds: Sequence[int],
    options: VideoOptions,
) -> dict[str, Any]:
    """Return what ties a state to its video; a function for the strength has no name to keep."""
    is_restyled = options.source is not None and not callable(options.strength)
    numbers = {name: value for name, value in asdict(config).items() if name not in HOW_IT_RUNS}
    facts = {
        **models.facts,
        **numbers,
        "guidance": guidance.facts(),
        "seeds": list(seeds),
        "num_frames": options.num_frames,
        "first_chunk": options.first_chunk,
        "source": options.source_sha256,
        "strength": options.strength if is_restyled else None,
    }
    if options.choices:
        facts["choices"] = dict(options.choices)
    return facts if options.size is None else facts | {"size": list(options.size)}


def shared_facts(facts: Mapping[str, Any], models: Models) -> dict[str, Any]:
    """Return what a state has in common with a video that branches off from it."""
    names = {*models.facts, "size", "choices"}
    return {name: value for name, value in facts.items() if name in names}
