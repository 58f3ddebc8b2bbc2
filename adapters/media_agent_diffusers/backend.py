"""Local model folders as a backend; torch and diffusers are imported when a video is made."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.backend.local import Chunk, GenerationContext, LocalBackend, describe_missing
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import BackendUnavailableError, InvalidRequestError, StorageError
from media_agent_diffusers.call import check_call, find_task, read_call
from media_agent_diffusers.describe import NAME, describe
from media_agent_diffusers.digests import DigestCache
from media_agent_diffusers.families.family import Call
from media_agent_diffusers.folder import ModelFolder, read_folder
from media_agent_diffusers.settings import DiffusersOptions
from media_agent_diffusers.windows import run_windows
from media_agent_schemas.capabilities import Capabilities, Estimate
from media_agent_schemas.jobs import OperationRef, ResumeToken
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    from media_agent.video.codec import Frames
    from media_agent_diffusers.pipeline import LoadedPipeline

_LIBRARIES = ("torch", "diffusers", "transformers", "accelerate", "safetensors", "ftfy")
_DENOISING_SHARE = 0.9  # of the whole work; the rest is for decoding


@dataclass(frozen=True, slots=True)
class Model:
    """A folder that can be used, and what it can do."""

    folder: ModelFolder
    capabilities: Capabilities


class DiffusersBackend(LocalBackend):
    """Makes videos with the pipelines of diffusers, from folders of weights on this machine.

    One model is in memory at a time, and one video is made at a time.
    """

    kind = NAME

    def __init__(self, settings: BackendSettings) -> None:
        super().__init__(settings)
        self._options = settings.read_options(DiffusersOptions)
        self._digests = DigestCache(settings.data_dir / NAME / "digests.json")
        self._missing = describe_missing("diffusers", *_LIBRARIES)
        self._models: dict[str, Model] = {}
        self._faults: dict[str, StorageError] = {}
        for name, folder in _folders(settings, self._options).items():
            try:
                self._models[name] = self._read(name, folder)
            except StorageError as error:  # the other models work
                self._faults[name] = error
        self._loaded: tuple[str, LoadedPipeline] | None = None

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what the model in a folder can do; the first whole folder is the default.

        Raises:
            InvalidRequestError: no folder has this name.
            StorageError: the folder is incomplete or damaged.
            BackendUnavailableError: no folder was named yet.
        """
        found = self._model(model).capabilities
        others = [name for name in self._models if name != found.model]
        models = (found.model, *others) if model is None else tuple(self._models)
        return found.model_copy(update={"models": models})

    def estimate(self, request: VideoRequest) -> Estimate:
        """Return a price of zero; how long it takes depends on the machine."""
        return Estimate(cost_usd=0.0, source="own hardware")

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        """Queue the work, once its inputs could be opened and the libraries are there.

        Raises:
            InvalidRequestError: an input is missing, doubled or cannot be used.
            BackendUnavailableError: torch or diffusers is not installed.
        """
        model = self._model(request.split_model()[1])
        await asyncio.to_thread(check_call, request, model.folder.variant, model.capabilities.model)
        if self._missing is not None:
            raise _missing_library(self._missing)
        return await super().submit(request, key=key, resume=resume)

    async def aclose(self) -> None:
        """Stop all work and let go of the model."""
        await super().aclose()
        self._release()

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        """Yield the video as one chunk."""
        model = self._model(request.split_model()[1])
        context.report("loading", 0.0)
        pipeline = self._load(model, context)
        context.record_computation(pipeline.computation)
        variant = model.folder.variant
        task = find_task(request, variant, model.capabilities.model)
        call = read_call(request, variant, task, pipeline, context)

        def run(part: Call, index: int, count: int) -> "Frames":
            def on_step(done: int, total: int) -> None:
                context.check()
                context.report("denoising", _DENOISING_SHARE * (index + done / total) / count)
                if done == total:
                    context.report("decoding", _DENOISING_SHARE * (index + 1) / count)

            return pipeline.run(
                task.arguments(part),
                seed=None if request.seed is None else request.seed + index,
                on_step=on_step,
                pipeline=task.pipeline,
                flow_shift=part.flow_shift,
            )

        context.report("denoising", 0.0)
        frames = run_windows(call, variant, run)
        # whole by now: kept even if somebody asked to stop while they were decoded
        yield Chunk(index=0, frames=frames)

    def _read(self, name: str, path: Path) -> Model:
        folder = read_folder(path)
        facts = {"weights_sha256": self._digests.find_known(folder), "missing": self._missing}
        own = {"backend": self.name, **facts}
        return Model(folder, describe(name, folder).model_copy(update=own))

    def _model(self, name: str | None) -> Model:
        if name is None and self._models:
            return next(iter(self._models.values()))
        if name is None and self._faults:
            raise next(iter(self._faults.values()))
        if name is None:
            raise BackendUnavailableError(
                "diffusers has no model yet", hint="name one: media-agent models add FOLDER"
            )
        if name in self._faults:
            raise self._faults[name]
        if name not in self._models:
            unknown = self.unknown_model(name, self._models)
            raise InvalidRequestError(
                unknown.message, hint=f"{unknown.hint}; new ones: media-agent models add FOLDER"
            )
        return self._models[name]

    def _load(self, model: Model, context: GenerationContext) -> "LoadedPipeline":
        """Return the pipeline, loaded if another one or none is in memory."""
        name = model.capabilities.model
        if self._loaded is not None and self._loaded[0] == name:
            return self._loaded[1]
        self._release()
        context.check()
        digest = self._digests.digest(model.folder, context.check)
        capabilities = model.capabilities.model_copy(update={"weights_sha256": digest})
        self._models[name] = Model(model.folder, capabilities)
        try:
            from media_agent_diffusers.pipeline import LoadedPipeline
        except ImportError as error:
            raise _missing_library(error.name or str(error)) from error
        pipeline = LoadedPipeline(model.folder, self._options, threads=self.settings.threads)
        self._loaded = (name, pipeline)
        context.check()
        return pipeline

    def _release(self) -> None:
        if self._loaded is not None:
            self._loaded[1].release()
            self._loaded = None


def _folders(settings: BackendSettings, options: DiffusersOptions) -> dict[str, Path]:
    """Return the folder of every model; those of the settings file go first."""
    base = settings.folder or Path()
    said = {name: base / path.expanduser() for name, path in options.models.items()}
    folders = {**said, **{n: p for n, p in settings.models.items() if n not in said}}
    return {name: path.absolute() for name, path in folders.items()}


def _missing_library(what: str) -> BackendUnavailableError:
    return BackendUnavailableError(f"diffusers needs {what}")
