"""Open-Sora as a backend: one run of its program for each video."""

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from pydantic import JsonValue

from media_agent.backend.free_memory import SMI
from media_agent.backend.local import Chunk, GenerationContext, LocalBackend, describe_missing
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import BackendUnavailableError, GenerationFailedError
from media_agent.programs.guarded import GRACE_SECONDS
from media_agent.programs.turns import take_turn
from media_agent_opensora.call import Call, check_inputs, read_call, write_references
from media_agent_opensora.checkout import UNSUPPORTED, Checkout
from media_agent_opensora.command import find_prompts
from media_agent_opensora.describe import NAME, describe
from media_agent_opensora.launcher import Launcher
from media_agent_opensora.memory import describe_need, find_shortage
from media_agent_opensora.models import LONGEST, MODELS, STEPS, Model
from media_agent_opensora.prompts import write_prompts
from media_agent_opensora.settings import OpenSoraOptions, resolve_path
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.jobs import OperationRef, ResumeToken
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    from media_agent.video.codec import Frames

_WAIT_SECONDS = 0.1
_BARE = {"PATH": os.defpath}  # for who made the backend without settings


class OpenSoraBackend(LocalBackend):
    """Makes videos with Open-Sora 2.0, one at a time: a run needs all the memory of its GPUs."""

    kind = NAME

    def __init__(
        self,
        settings: BackendSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        grace_seconds: float = GRACE_SECONDS,
        smi: Sequence[str] = SMI,
    ) -> None:
        super().__init__(settings, clock=clock)
        self._options = settings.read_options(OpenSoraOptions)
        self._smi = smi
        self._environment = _build_environment(settings, self._options)
        self._checkout = _find_checkout(settings, self._options)
        self._grace_seconds = grace_seconds
        self._known = {name: self._describe(name) for name in self._options.models}

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what a model can do.

        Raises:
            BackendUnavailableError: the settings name no checkout.
            InvalidRequestError: no model has this name.
        """
        self._require_checkout()
        name = next(iter(self._known)) if model is None else model
        if name not in self._known:
            raise self.unknown_model(name, self._known)
        return self._known[name].model_copy(update={"models": tuple(self._known)})

    def estimate(self, request: VideoRequest) -> Estimate:
        """Return a price of zero, the time where it was measured, and the memory it needs."""
        model = self._find_model(request)
        steps = self._read_options(request)["num_inference_steps"]
        frames = (request.num_frames or 0) + model.overlap
        gpus = self._count_gpus(model)
        is_measured = (frames, steps) == (LONGEST, STEPS) and not model.makes_image
        return Estimate(
            cost_usd=0.0,
            seconds=model.resolution.seconds.get(gpus) if is_measured else None,
            source=f"own hardware; needs {describe_need(model, gpus)}",
        )

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        """Queue the work, once it is sure that Open-Sora would read it as it is meant.

        Raises:
            InvalidRequestError: an input is missing or cannot be used, or the prompt is no text.
            BackendUnavailableError: something of Open-Sora is missing.
        """
        model = self._find_model(request)
        read_call(request, model, self._read_options(request))
        await asyncio.to_thread(check_inputs, request, model, self.settings.data_dir)
        missing = await asyncio.to_thread(self._find_missing, model)  # by now
        if missing is not None:
            raise BackendUnavailableError(f"{self.name} needs {missing}")
        return await super().submit(request, key=key, resume=resume)

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        """Yield the new frames of one run as one chunk."""
        model = self._find_model(request)
        call = read_call(request, model, self._read_options(request))
        self._tell_memory(model, context)
        with self._take_turns(model, context) as turns:
            folder = _make_folder(context.work_dir)
            references = write_references(request, call, folder, context.warn)
            write_prompts(
                find_prompts(folder),
                call.prompt,
                negative=call.negative_prompt,
                references=references,
            )
            video = self._launcher.run(
                call,
                folder,
                context,
                gpus=self._count_gpus(model),
                expected_seconds=self.estimate(request).seconds,
                turns=turns,
            )
        yield Chunk(index=0, frames=_read_new(video, call, context))

    @property
    def _launcher(self) -> Launcher:
        return Launcher(
            name=self.name,
            checkout=self._require_checkout(),
            environment=self._environment,
            secrets=[secret.get_secret_value() for secret in self.settings.secrets],
            grace_seconds=self._grace_seconds,
            clock=self._clock,
        )

    def _describe(self, name: str) -> Capabilities:
        model = MODELS[name]
        return describe(name, model, backend=self.name, missing=self._find_missing(model))

    def _find_missing(self, model: Model) -> str | None:
        missing = describe_missing("local", "numpy")
        if self._checkout is None or missing is not None:
            return missing
        config = model.name_config(self._count_gpus(model))
        return self._checkout.find_missing(config, self._environment.get("PATH"))

    def _require_checkout(self) -> Checkout:
        if self._checkout is None:
            raise BackendUnavailableError(
                f"{self.name} has no checkout of Open-Sora 2.0 yet",
                hint=f"name its folder: checkout under [backends.{self.name}.options]. "
                f"{UNSUPPORTED}",
            )
        return self._checkout

    def _find_model(self, request: VideoRequest) -> Model:
        return MODELS[self.capabilities(request.split_model()[1]).model]

    def _count_gpus(self, model: Model) -> int:
        return model.count_gpus(len(self._options.gpus))

    def _read_options(self, request: VideoRequest) -> Mapping[str, JsonValue]:
        """Return the options as asked, those not given at their defaults."""
        specs = self.capabilities(request.split_model()[1]).options
        own = request.options.get(request.split_model()[0] or self.name, {})
        return {**{spec.name: spec.default for spec in specs}, **own}

    def _tell_memory(self, model: Model, context: GenerationContext) -> None:
        """Say how much memory is needed, and warn where less is free, before anything starts."""
        count = self._count_gpus(model)
        shortage = find_shortage(
            model, self._options.gpus[:count], smi=self._smi, environment=self._environment
        )
        if shortage is not None:
            context.warn(shortage)
        context.report(shortage or f"needs {describe_need(model, count)}", 0.0)

    @contextmanager
    def _take_turns(self, model: Model, context: GenerationContext) -> Iterator[list[int]]:
        """Wait until no other run has these GPUs, also none of another process or one killed."""
        said: list[str] = []

        def wait() -> None:
            if not said:
                said.append("waiting for another run of Open-Sora to end")
                context.report(said[0], 0.0)
            context.check()
            time.sleep(_WAIT_SECONDS)

        folder = self.settings.data_dir / NAME
        gpus = self._options.gpus[: self._count_gpus(model)] or (0,)
        with ExitStack() as turns:
            paths = [folder / f"gpu-{gpu}.lock" for gpu in sorted(set(gpus))]
            yield [turns.enter_context(take_turn(path, wait)) for path in paths]


def _find_checkout(settings: BackendSettings, options: OpenSoraOptions) -> Checkout | None:
    if options.checkout is None:
        return None
    is_bare = len(options.torchrun.parts) == 1  # looked for on the search path
    return Checkout(
        folder=resolve_path(options.checkout, settings),
        torchrun=options.torchrun if is_bare else resolve_path(options.torchrun, settings),
        ckpts=None if options.ckpts is None else resolve_path(options.ckpts, settings),
    )


def _build_environment(settings: BackendSettings, options: OpenSoraOptions) -> Mapping[str, str]:
    """Return the variables of a run; there is no key among them, so that no prompt is sent away."""
    own = _BARE if settings.environment is None else settings.environment(())
    gpus = {}
    if options.gpus:
        gpus = {
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # numbered as nvidia-smi does
            "CUDA_VISIBLE_DEVICES": ",".join(map(str, options.gpus)),
        }
    return {**own, **gpus, "PYTHONUNBUFFERED": "1"}


def _make_folder(work_dir: Path) -> Path:
    """Return a fresh folder for one run; what an earlier one left is removed."""
    for old in work_dir.glob("run-*"):
        shutil.rmtree(old)
    folder = work_dir.absolute() / f"run-{token_hex(4)}"
    folder.mkdir(parents=True)
    return folder


def _read_new(video: Path, call: Call, context: GenerationContext) -> "Frames":
    """Return the new frames of a run, without those that are made again.

    Raises:
        GenerationFailedError: there are none.
    """
    from media_agent.video.codec import read_frames

    frames = read_frames(video)
    height, width = frames.shape[1:3]
    if (width, height) != (call.size.width, call.size.height):
        context.warn(f"Open-Sora made frames of {width}x{height}, not {call.size}")
    overlap = call.model.overlap
    new = frames[overlap:] if call.model.place == "head" else frames[: len(frames) - overlap]
    if not len(new):
        raise GenerationFailedError(
            f"Open-Sora made {len(frames)} frames, of which {overlap} are those of the source"
        )
    return new
