"""The native engine as a backend; torch is imported when the first video is made."""

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import proxy

from media_agent.backend.local import (
    Chunk,
    GenerationContext,
    LocalBackend,
    Steering,
    check_settings,
    lacking,
    state_name,
)
from media_agent.backend.protocol import BackendSettings
from media_agent.distribution import install_hint
from media_agent.errors import (
    BackendUnavailableError,
    InvalidRequestError,
    NotResumableError,
    StorageError,
)
from media_agent_magi.tiny.description import WEIGHTS, TinyDescription, WeightsError
from media_agent_magi.tiny.options import TinyOptions, check_inputs, kept_bytes, options
from media_agent_magi.world.captions import parse, tokenize
from media_agent_magi.world.scene import CHUNK_FRAMES, FPS, SIZE
from media_agent_schemas.capabilities import (
    Capabilities,
    Control,
    Estimate,
    Verification,
    VerificationLevel,
)
from media_agent_schemas.jobs import ChangePrompt, Finish, OperationRef, ResumeToken
from media_agent_schemas.media import InputRole, Size
from media_agent_schemas.request import Shot, VideoMode, VideoRequest

if TYPE_CHECKING:
    from media_agent.video.codec import Frames
    from media_agent_magi.tiny.engine import TinyEngine
    from media_agent_magi.tiny.video import Prompts, TinyChunk

NAME = "magi"
MODEL = "tiny"


class MagiBackend(LocalBackend):
    """Makes videos of any length, chunk by chunk, with a prompt for each chunk."""

    kind = NAME

    def __init__(self, settings: BackendSettings, weights: Path = WEIGHTS) -> None:
        super().__init__(settings)
        self._weights = weights
        try:
            self._description = TinyDescription.read(weights)
        except WeightsError as error:
            raise damage_error(error) from error
        check_settings(settings, self.capabilities())
        self._engine: TinyEngine | None = None

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what magi/tiny can do."""
        if model not in (None, MODEL):
            raise self.unknown_model(str(model), [MODEL])
        square = Size(width=SIZE, height=SIZE)
        description = self._description
        return Capabilities(
            backend=NAME,
            model=MODEL,
            models=(MODEL,),
            description="native chunk engine, calibration model: shapes in a 64x64 world",
            sizes=(square,),
            default_size=square,
            fps_values=(float(FPS),),
            default_fps=float(FPS),
            default_duration=4.0,
            modes=(
                VideoMode.TEXT_TO_VIDEO,
                VideoMode.IMAGE_TO_VIDEO,
                VideoMode.VIDEO_EXTEND,
                VideoMode.VIDEO_EDIT,
            ),
            input_roles=(InputRole.FIRST_FRAME, InputRole.SOURCE_VIDEO),
            endless=True,
            chunk_seconds=CHUNK_FRAMES / FPS,
            max_shots=None,
            max_n=16,
            max_prompt_words=description.model.caption_max_length,
            closed_vocabulary=description.words,
            seed=True,
            controls=(Control.CHANGE_PROMPT, Control.FINISH),
            cancels=True,
            resumable=True,
            extends=True,
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
        """Return a price of zero, and what is kept on disk; the time depends on the machine."""
        return Estimate(
            cost_usd=0.0,
            disk_bytes=kept_bytes(request, self._options(request)),
            source="own hardware",
        )

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        """Queue the work; prompts longer than the model can read are refused, never cut."""
        for shot in request.storyboard():
            self._check_length(shot.prompt)
        check_inputs(request)
        return await super().submit(request, key=key, resume=resume)

    async def control(
        self, ref: OperationRef, command: ChangePrompt | Finish, *, number: int
    ) -> None:
        """Hand a command to the running work; a prompt longer than the model reads is refused."""
        if isinstance(command, ChangePrompt):
            self._check_length(command.prompt)
        await super().control(ref, command, number=number)

    def generate(
        self, request: VideoRequest, context: GenerationContext
    ) -> Generator[Chunk, None, None]:
        """Yield chunks of 24 frames until the video is long enough or told to finish."""
        context.report("loading magi/tiny", 0.0)
        engine = self._load()
        context.record_computation(engine.computing.facts())

        def warn(*shots: Shot) -> None:
            for warning in find_contradictions(shots):
                context.warn(warning)

        warn(*request.storyboard())
        options = self._options(request)
        budget = round(options.states_budget * 10**9)
        context.keep_states(options.keep_states, budget_bytes=budget)
        total = request.num_frames
        chunks = None if total is None else -(-total // CHUNK_FRAMES)
        steering = Steering(context, chunks=chunks, on_prompt=lambda text: warn(Shot(prompt=text)))
        planned = prompt_of_chunk(request)
        due = 0 if context.resume is None else context.resume.next_chunk

        def prompts(chunk: int) -> str | None:
            return steering.prompt(chunk) or planned(chunk)

        def on_forward(done: int, total: int | None) -> None:
            context.check()
            steering.take(running.next_chunk, last=due, change_now=running.change_now)
            context.report("denoising", None if total is None else min(1.0, done / total))

        from media_agent_magi.engine.state_io import StateError
        from media_agent_magi.tiny.start import choose_start

        seeds = [((request.seed or 0) + number) % 2**63 for number in range(request.n)]
        try:
            how, state = choose_start(engine, request, context, options)
            video = engine.video(prompts, seeds, how, state=state, on_forward=on_forward)
            for difference in video.differences:
                context.warn(difference)
            # a proxy: else the video would hold itself, and its keys, by `on_forward`
            running = proxy(video)
            video.change_now(steering.prompt, below=1.0)  # they were steered after that state
        except StateError as error:
            raise NotResumableError(
                str(error),
                hint="resume it with the weights, options and inputs it was started with; where a "
                "file is lost or damaged, branch at an earlier chunk or generate it again",
            ) from error
        made = iter(video)
        while not steering.ends_before(due) and (chunk := next(made, None)) is not None:
            due = chunk.index + 1
            is_whole = chunk.frames == CHUNK_FRAMES  # else no video continues from it
            yield Chunk(
                chunk.index,
                partial(_decode, engine, chunk, request.n),
                ResumeToken(
                    backend=self.name,
                    model=MODEL,
                    next_chunk=due,
                    data={"state": state_name(due), "first_chunk": how.first_chunk},
                ),
                video.saver() if is_whole else None,
            )

    def _options(self, request: VideoRequest) -> TinyOptions:
        given = {**self.settings.options, **request.options.get(self.name, {})}
        return TinyOptions.model_validate(given)

    def _check_length(self, prompt: str) -> None:
        longest, words = self._description.model.caption_max_length, len(tokenize(prompt))
        if words > longest:
            raise InvalidRequestError(
                f"prompt {prompt[:40]!r}... has {words} words; magi/tiny reads {longest}",
                hint="say it shorter, or choose another backend",
            )

    def _load(self) -> "TinyEngine":
        if self._engine is None:
            try:
                from media_agent_magi.tiny.engine import load_tiny
            except ImportError as error:
                raise BackendUnavailableError(
                    f"magi needs {error.name}", hint=install_hint("magi")
                ) from error
            try:
                self._engine = load_tiny(self._weights, threads=self.settings.threads or 1)
            except WeightsError as error:
                raise damage_error(error) from error
        return self._engine


def damage_error(error: WeightsError) -> StorageError:
    """Say that the weights cannot be used, and what to do."""
    return StorageError(str(error), hint="install media-agent again to restore its weights")


def _decode(engine: "TinyEngine", chunk: "TinyChunk", videos: int) -> "Frames":
    frames = engine.decode(chunk)
    return frames if videos > 1 else frames[0]


def prompt_of_chunk(request: VideoRequest) -> "Prompts":
    """Return the prompt of each chunk: that of the shot it starts in."""
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


def find_contradictions(shots: tuple[Shot, ...]) -> list[str]:
    """Say which prompts have known words but no clear meaning in this world."""
    found = []
    for shot in shots:
        try:
            parse(shot.prompt)
        except ValueError as error:
            found.append(f"magi/tiny may not follow {shot.prompt[:60]!r}: {error}")
    return found
