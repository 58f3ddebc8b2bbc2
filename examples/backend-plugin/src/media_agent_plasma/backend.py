"""Renders coloured waves: the words choose the colours, the seed chooses the waves."""

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from media_agent.backend.local import Chunk, GenerationContext, LocalBackend, Steering
from media_agent_schemas import (
    CancelRule,
    Capabilities,
    Control,
    Estimate,
    FpsRange,
    OptionSpec,
    ResumeToken,
    Size,
    SizeRange,
    Verification,
    VerificationLevel,
    VideoRequest,
)

NAME, MODEL = "plasma", "waves"
CHUNK_SECONDS = 0.5
WAVES = OptionSpec(
    name="waves",
    type="integer",
    default=5,
    minimum=1,
    maximum=50,
    description="How many waves run through the image.",
)


class PlasmaBackend(LocalBackend):
    """Streams, can be steered, finishes on request, and resumes after being killed."""

    kind = NAME

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Declare what the waves support; anything else never reaches `generate`."""
        if model not in (None, MODEL):
            raise self.unknown_model(str(model), [MODEL])
        return Capabilities(
            backend=NAME,
            model=MODEL,
            models=(MODEL,),
            description="coloured waves: no weights, no key, a pattern to copy",
            size_range=SizeRange(
                minimum=Size(width=16, height=16), maximum=Size(width=1920, height=1080)
            ),
            default_size=Size(width=320, height=180),
            fps_range=FpsRange(minimum=2, maximum=60),
            default_fps=24,
            default_duration=4,
            chunk_seconds=CHUNK_SECONDS,
            endless=True,
            max_shots=None,
            seed=True,
            controls=(Control.CHANGE_PROMPT, Control.FINISH),
            cancel_rule=CancelRule.STOPS,
            resumable=True,
            extends=True,
            streams=True,
            lookup="key",
            resubmits=True,
            local=True,
            options=(WAVES,),
            verification=Verification(level=VerificationLevel.SIMULATOR, note="there is no model"),
            licence="Apache-2.0",
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        """Say that it costs nothing."""
        return Estimate(cost_usd=0.0, source="own hardware")

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        """Yield half a second of waves at a time, each computed from its number alone."""
        assert request.size is not None  # the plan sets size, fps, seed and num_frames
        assert request.fps is not None
        length = max(1, round(CHUNK_SECONDS * request.fps))
        waves = Waves(request.size, request.seed or 0, self._number_of_waves(request))
        steering = Steering(context)
        index = 0 if context.resume is None else context.resume.next_chunk
        while not steering.ends_before(index) and not _is_over(request, index * length):
            context.check()  # raises when the job is cancelled
            context.report("drawing", _fraction(request, index * length))
            prompt = steering.prompt(index) or _prompt_at(request, index * length / request.fps)
            frames = waves.frames(index * length, length, request.fps, prompt)
            index += 1
            yield Chunk(
                index - 1, frames, ResumeToken(backend=self.name, model=MODEL, next_chunk=index)
            )
            steering.take(begun=index)

    def _number_of_waves(self, request: VideoRequest) -> int:
        given = request.options.get(self.name, {}).get("waves", WAVES.default)
        return int(str(given))


class Waves:
    """Sums plane waves whose directions, lengths and speeds come from the seed."""

    def __init__(self, size: Size, seed: int, count: int) -> None:
        random = np.random.default_rng(seed)
        self._directions = random.uniform(-1.0, 1.0, (count, 2))
        self._lengths = random.uniform(0.5, 3.0, count)  # waves across the image
        self._speeds = random.uniform(-0.6, 0.6, count)  # cycles per second
        self._y, self._x = np.mgrid[0.0 : 1.0 : size.height * 1j, 0.0 : 1.0 : size.width * 1j]

    def frames(self, first: int, count: int, fps: float, prompt: str) -> npt.NDArray[np.uint8]:
        """Return `count` frames from frame `first` on, uint8 (T, H, W, 3)."""
        heights = np.stack([self._heights((first + place) / fps) for place in range(count)])
        low, high = _colours(prompt)
        mixed: npt.NDArray[np.uint8] = (low + heights[..., None] * (high - low)).astype(np.uint8)
        return mixed

    def _heights(self, seconds: float) -> npt.NDArray[np.float64]:
        """Return the sum of all waves at a time, 0 to 1, as (H, W)."""
        total = np.zeros_like(self._x)
        for (x, y), length, speed in zip(
            self._directions, self._lengths, self._speeds, strict=True
        ):
            phase = length * (x * self._x + y * self._y) + speed * seconds
            total += np.sin(2 * np.pi * phase)
        scaled: npt.NDArray[np.float64] = 0.5 + 0.5 * total / len(self._lengths)
        return scaled


def _colours(prompt: str) -> npt.NDArray[np.float64]:
    """Return two colours (2, 3) that belong to these words."""
    digest = hashlib.sha256(prompt.lower().encode()).digest()
    return np.frombuffer(digest[:6], np.uint8).reshape(2, 3).astype(np.float64)


def _prompt_at(request: VideoRequest, seconds: float) -> str:
    """Return the prompt of the shot at this time."""
    end = 0.0
    for shot in request.storyboard():
        end += shot.duration or float("inf")
        if seconds < end - 1e-6:
            return shot.prompt
    return request.storyboard()[-1].prompt


def _is_over(request: VideoRequest, frame: int) -> bool:
    return request.num_frames is not None and frame >= request.num_frames


def _fraction(request: VideoRequest, frame: int) -> float | None:
    return None if request.num_frames is None else min(1.0, frame / request.num_frames)
