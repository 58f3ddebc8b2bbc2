"""The native engine as a backend; torch is imported when the first film is made."""

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from media_agent.backend import BackendSettings
from media_agent.errors import BackendUnavailableError, InvalidRequestError, StorageError
from media_agent.local import Chunk, GenerationContext, LocalBackend, lacking
from media_agent_magi.tiny_description import WEIGHTS, Guidance, TinyDescription, WeightsError
from media_agent_magi.world.captions import parse, tokenize
from media_agent_magi.world.scene import CHUNK_FRAMES, FPS, SIZE
from media_agent_schemas.capabilities import (
    Capabilities,
    Control,
    Estimate,
    OptionSpec,
    Verification,
    VerificationLevel,
)
from media_agent_schemas.jobs import Finish, OperationRef, ResumeToken
from media_agent_schemas.media import Size
from media_agent_schemas.request import Shot, VideoRequest

if TYPE_CHECKING:
    from media_agent_magi.tiny import TinyEngine
    from media_agent_magi.tiny_film import Prompts

NAME = "magi"
STEPS = (8, 16, 32)


class MagiBackend(LocalBackend):
    """Makes films of any length, chunk by chunk, with a prompt for each chunk."""

    def __init__(self, settings: BackendSettings, weights: Path = WEIGHTS) -> None:
        super().__init__(settings)
        self._weights = weights
        try:
            self._description = TinyDescription.read(weights)
        except WeightsError as error:
            raise damaged(error) from error
        self._engine: TinyEngine | None = None

    @property
    def name(self) -> str:
        """Return "magi"."""
        return NAME

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what magi/tiny can do."""
        if model not in (None, "tiny"):
            raise InvalidRequestError(f"magi has no model {model!r}", hint="its models: tiny")
        square = Size(width=SIZE, height=SIZE)
        description = self._description
        return Capabilities(
            backend=NAME,
            model="tiny",
            models=("tiny",),
            description="native chunk engine, calibration model: shapes in a 64x64 world",
            sizes=(square,),
            default_size=square,
            fps_values=(float(FPS),),
            default_fps=float(FPS),
            default_duration=4.0,
            endless=True,
            chunk_seconds=CHUNK_FRAMES / FPS,
            max_shots=None,
            closed_vocabulary=description.words,
            seed=True,
            controls=(Control.FINISH,),
            cancels=True,
            streams=True,
            lookup="key",
            resubmits=True,
            options=options(description),
            verification=Verification(
                level=VerificationLevel.PARITY,
                note="engine checked against golden data; weights trained by this project",
            ),
            weights_sha256=description.sha256,
            licence="Apache-2.0",
            local=True,
            missing=lacking("magi", "torch", "safetensors", "numpy"),
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        """Return a price of zero; how long it takes depends on the machine."""
        return Estimate(cost_usd=0.0, source="own hardware")

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        """Queue the work; prompts longer than the model can read are refused, never cut."""
        longest = self._description.model.caption_max_length
        for shot in request.storyboard():
            words = len(tokenize(shot.prompt))
            if words > longest:
                raise InvalidRequestError(
                    f"prompt {shot.prompt[:40]!r}... has {words} words; magi/tiny reads {longest}",
                    hint="say it shorter, or choose another backend",
                )
        return await super().submit(request, key=key, resume=resume)

    def generate(
        self, request: VideoRequest, context: GenerationContext
    ) -> Generator[Chunk, None, None]:
        """Yield chunks of 24 frames until the film is long enough or told to finish."""
        context.report("loading magi/tiny", 0.0)
        engine = self._loaded()
        for warning in contradictions(request.storyboard()):
            context.warn(warning)
        finish = False

        def prompts(chunk: int) -> str | None:
            nonlocal finish
            finish = finish or any(isinstance(c, Finish) for c in context.commands())
            return None if finish else planned(chunk)

        def on_forward(done: int, total: int | None) -> None:
            context.check()
            context.report("denoising", None if total is None else min(1.0, done / total))

        planned = prompt_of_chunk(request)
        given = {**self.settings.options, **request.options.get(NAME, {})}
        steps, guidance = chosen_options(given, self._description)
        frames = engine.generate(
            prompts if request.endless else listed(planned),
            request.seed or 0,
            num_inference_steps=steps,
            guidance=guidance,
            on_forward=on_forward,
        )
        for index, chunk in enumerate(frames):
            yield Chunk(index=index, frames=chunk)

    def _loaded(self) -> "TinyEngine":
        if self._engine is None:
            try:
                from media_agent_magi.tiny import load_tiny
            except ImportError as error:
                raise BackendUnavailableError(
                    f"magi needs {error.name}", hint="pip install 'media-agent[magi]'"
                ) from error
            try:
                self._engine = load_tiny(self._weights)
            except WeightsError as error:
                raise damaged(error) from error
        return self._engine


def damaged(error: WeightsError) -> StorageError:
    """Say that the weights cannot be used, and what to do."""
    return StorageError(str(error), hint="install media-agent again to restore its weights")


def options(description: TinyDescription) -> tuple[OptionSpec, ...]:
    """Declare the options of magi/tiny."""
    used = description.guidance
    return (
        OptionSpec(
            name="num_inference_steps",
            type="integer",
            default=description.sampler.num_steps,
            choices=STEPS,
            description="Denoising steps of a chunk; fewer is faster and worse.",
        ),
        OptionSpec(
            name="guidance_scale",
            type="number",
            minimum=0.0,
            maximum=20.0,
            description="Pull of the text, the same for all chunks; absent: "
            f"{used.first:g} first, {used.switch:g} after a change, {used.steady:g} otherwise.",
        ),
    )


def chosen_options(
    given: Mapping[str, JsonValue], description: TinyDescription
) -> tuple[int, Guidance | None]:
    """Return steps and guidance as asked; guidance is None where the default holds."""
    steps, scale = given.get("num_inference_steps"), given.get("guidance_scale")
    guidance = None if not isinstance(scale, int | float) else Guidance(scale, scale, scale)
    return steps if isinstance(steps, int) else description.sampler.num_steps, guidance


def prompt_of_chunk(request: VideoRequest) -> "Prompts":
    """Return the prompt of each chunk: that of the shot it begins in."""
    shots = request.storyboard()
    total = request.num_frames

    def prompt(chunk: int) -> str | None:
        frame = chunk * CHUNK_FRAMES
        if total is not None and frame >= total:
            return None
        end = 0.0
        for shot in shots:
            if shot.duration is None:
                return shot.prompt
            end += shot.duration
            if frame < round(end * FPS):
                return shot.prompt
        return shots[-1].prompt

    return prompt


def listed(prompts: "Prompts") -> list[str]:
    """Return the prompts of a film whose length is known."""
    texts: list[str] = []
    while (text := prompts(len(texts))) is not None:
        texts.append(text)
    return texts


def contradictions(shots: tuple[Shot, ...]) -> list[str]:
    """Say which prompts have known words but no clear meaning in this world."""
    found = []
    for shot in shots:
        try:
            parse(shot.prompt)
        except ValueError as error:
            found.append(f"magi/tiny may not follow {shot.prompt[:60]!r}: {error}")
    return found
