"""The native engine as a backend; torch is imported when the first video is made."""

import asyncio
import gc
from collections.abc import Callable, Generator, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING
from weakref import proxy

from media_agent.backend.local import (
    Chunk,
    GenerationContext,
    LocalBackend,
    Steering,
    check_settings,
    state_name,
)
from media_agent.backend.protocol import BackendSettings
from media_agent.distribution import install_hint
from media_agent.errors import BackendUnavailableError, NotResumableError
from media_agent.storage.files import storage_errors, write_aside
from media_agent_magi.families import Families, magi_families, wan_causal_families
from media_agent_magi.generating.family import Family
from media_agent_magi.generating.options import EngineOptions, check_inputs, kept_bytes
from media_agent_magi.generating.shots import prompt_of_chunk
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.jobs import ChangePrompt, Finish, OperationRef, ResumeToken
from media_agent_schemas.media import Size
from media_agent_schemas.request import Shot, VideoRequest

if TYPE_CHECKING:
    from media_agent.backend.free_memory import FreeMemory
    from media_agent.video.codec import Frames
    from media_agent_magi.generating.engine import Engine
    from media_agent_magi.generating.video import VideoChunk


class MagiBackend(LocalBackend):
    """Makes videos of any length, chunk by chunk, with a prompt for each chunk."""

    kind = "magi"

    def __init__(self, settings: BackendSettings, families: Sequence[Family] | None = None) -> None:
        super().__init__(settings)
        self._families = self.find_families(settings, families)
        found = self._families.usable.values()
        options = {spec.name: spec for each in found for spec in each.capabilities().options}
        every = {"options": tuple(options.values())}  # the settings are for all models
        check_settings(settings, self.capabilities().model_copy(update=every))
        self._engines: dict[str, tuple[object, Engine]] = {}
        self._before: FreeMemory | None = None

    def find_families(
        self, settings: BackendSettings, families: Sequence[Family] | None
    ) -> Families:
        """Return what there is: the families given, else its own, and the folders of the settings.

        Raises:
            StorageError: Weights that ship with the package are missing or damaged.
        """
        return magi_families(settings, families)

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what a model can do; the first family's if none is named.

        Raises:
            InvalidRequestError: There is no such model.
            StorageError: Its folder is incomplete or damaged.
        """
        names = tuple(self._families.usable)
        family = self._families.find(names[0] if model is None else model)
        if family is None:
            raise self.unknown_model(str(model), names)
        own = family.capabilities()
        return own.model_copy(update={"backend": self.kind, "models": names})

    def estimate(self, request: VideoRequest) -> Estimate:
        """Return a price of zero, what is kept on disk, and how it is held in memory.

        The time depends on the machine.

        Raises:
            BackendUnavailableError: It does not fit into this machine, and what would.
        """
        family, options = self._family(request), self._options(request)
        size = request.size or family.capabilities().default_size
        assert isinstance(size, Size)  # every family has one
        return Estimate(
            cost_usd=0.0,
            disk_bytes=kept_bytes(family, request, size, options),
            memory=family.plan(request, options, self._free_without_engine()),
            source="own hardware",
        )

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        """Queue the work; prompts longer than the model can read are refused, never cut."""
        family = self._family(request)
        for shot in request.storyboard():
            family.check_prompt(shot.prompt)
        check_inputs(f"{self.kind}/{family.model}", request)
        return await super().submit(request, key=key, resume=resume)

    async def control(
        self, ref: OperationRef, command: ChangePrompt | Finish, *, number: int
    ) -> None:
        """Hand a command to the running work; a prompt longer than the model reads is refused."""
        if isinstance(command, ChangePrompt):
            model = self.capabilities(ref.model).model
            self._named(model).check_prompt(command.prompt)
        await super().control(ref, command, number=number)

    async def aclose(self) -> None:
        """Stop all work and wait until all threads are gone."""
        await super().aclose()
        for _, engine in self._engines.values():
            await asyncio.to_thread(engine.close)
        self._engines = {}

    def generate(
        self, request: VideoRequest, context: GenerationContext
    ) -> Generator[Chunk, None, None]:
        """Yield chunks until the video is long enough or told to finish."""
        family = self._family(request)
        geometry = family.geometry
        context.report(f"loading {self.kind}/{family.model}", 0.0)
        engine = self._load(family, request)
        engine.models.expect([shot.prompt for shot in request.storyboard()])
        context.record_computation(engine.computing.facts())

        def warn(*shots: Shot) -> None:
            for warning in family.find_doubts(shots):
                context.warn(warning)

        warn(*request.storyboard())
        options = self._options(request)
        budget = round(options.states_budget * 10**9)
        context.keep_states(options.keep_states, budget_bytes=budget, every=options.state_every)
        total = request.num_frames
        chunks = None if total is None else geometry.chunks(total)

        def hear(prompt: str) -> None:
            warn(Shot(prompt=prompt))
            engine.models.expect([prompt])

        steering = Steering(context, chunks=chunks, on_prompt=hear)
        planned = prompt_of_chunk(request, geometry)
        due = resumed = 0 if context.resume is None else context.resume.next_chunk

        def prompts(chunk: int) -> str | None:
            return steering.prompt(chunk) or planned(chunk)

        def on_forward(done: int, total: int | None) -> None:
            context.check()
            is_new = due >= resumed
            if is_new:
                steering.take(running.next_chunk, last=due, change_now=running.change_now)
            context.report(
                "denoising" if is_new else "computing again",
                None if total is None else min(1.0, done / total),
            )

        from media_agent_magi.engine.state_io import StateError
        from media_agent_magi.generating.start import choose_start, start_whole

        seeds = [((request.seed or 0) + number) % 2**63 for number in range(request.n)]
        try:
            how, state = choose_start(engine, request, context, options)
            video, due = start_whole(
                lambda at: engine.video(prompts, seeds, how, state=at, on_forward=on_forward),
                state,
                context,
                how.first_chunk,
            )
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
            if due <= resumed:  # its frames are there; it was made again for what follows
                if due == resumed and state is not None:
                    with storage_errors(str(state)), write_aside(state) as aside:
                        video.saver(context.work_dir)(aside)
                continue
            is_kept = context.wants_state(due) or due == chunks
            token = ResumeToken(
                backend=self.name,
                model=family.model,
                next_chunk=due,
                exact=video.resumes_exactly,
                data={"state": state_name(due), "first_chunk": how.first_chunk},
            )
            save = None
            if is_kept and chunk.is_whole:  # else no video continues from it
                with storage_errors(str(context.work_dir)):
                    save = video.saver(context.work_dir)
            frames: Frames | Callable[[], Frames] = partial(_decode, engine, chunk, request.n)
            if not engine.computing.decodes_beside:  # else the next ones would take the turn first
                frames = _decode(engine, chunk, request.n)
            yield Chunk(chunk.index, frames, token if is_kept else None, save)

    def _family(self, request: VideoRequest) -> Family:
        return self._named(self.capabilities(request.split_model()[1]).model)

    def _named(self, model: str) -> Family:
        family = self._families.find(model)
        assert family is not None  # its capabilities were asked for
        return family

    def _options(self, request: VideoRequest) -> EngineOptions:
        family = self._family(request)
        known = {spec.name for spec in family.capabilities().options}
        usual = {name: value for name, value in self.settings.options.items() if name in known}
        return family.read_options({**usual, **request.options.get(self.name, {})})

    def _free_without_engine(self) -> "FreeMemory":
        """Return what is free, or was before the engine was loaded that would give way."""
        is_held = any(demand is not None for demand, _ in self._engines.values())
        return self._before if is_held and self._before else self.settings.free_memory

    def _load(self, family: Family, request: VideoRequest) -> "Engine":
        """Return the engine of a family, held in memory as the request needs it.

        Of those whose memory is planned there is one at a time.
        """
        options, free = self._options(request), self.settings.free_memory
        demand = family.demand(request, options)
        known = self._engines.get(family.model)
        if known is not None and known[0] == demand:
            return known[1]
        if demand is not None:
            names = [name for name, kept in self._engines.items() if kept[0] is not None]
            for name in names:
                self._engines.pop(name)[1].close()
            del known
            gc.collect()  # models refer to themselves
            if names:
                from media_agent_magi.computing import give_back

                give_back()
            free.read()
            self._before = copy(free)
        threads = self.settings.threads or 1
        try:
            engine = family.load(threads=threads, request=request, options=options, free=free)
        except ImportError as error:
            raise BackendUnavailableError(
                f"{self.kind} needs {error.name}", hint=install_hint("magi")
            ) from error
        self._engines[family.model] = demand, engine
        return engine


class WanCausalBackend(MagiBackend):
    """The same engine with the causal models distilled from Wan 2.1."""

    kind = "wan-causal"

    def find_families(
        self, settings: BackendSettings, families: Sequence[Family] | None
    ) -> Families:
        """Return the released models, fetched or not, and the folders of the settings."""
        return wan_causal_families(settings, families)


def _decode(engine: "Engine", chunk: "VideoChunk", videos: int) -> "Frames":
    frames = engine.decode(chunk)
    return frames if videos > 1 else frames[0]
