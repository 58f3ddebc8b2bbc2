"""Local model folders as a backend; torch and diffusers are imported when a video is made."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.backend.local import (
    Chunk,
    GenerationContext,
    LocalBackend,
    describe_missing,
    state_name,
)
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import BackendUnavailableError, InvalidRequestError, StorageError
from media_agent_diffusers.describe import describe
from media_agent_diffusers.files import faults_named
from media_agent_diffusers.generating.call import check_call, check_plan, own_options
from media_agent_diffusers.generating.generation import Generation, estimate_memory
from media_agent_diffusers.generating.states import digest_work, read_state, write_state
from media_agent_diffusers.lora.choice import check_loras, choose_loras, lora_options
from media_agent_diffusers.model_folder.digests import DigestCache
from media_agent_diffusers.model_folder.folder import ModelFolder, read_folder
from media_agent_diffusers.pipelines.heap import share_heap
from media_agent_diffusers.placement.foresee import Sizes, foresee, measure
from media_agent_diffusers.settings import MEMORY_OPTION, NAME, DiffusersOptions
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import Estimate, MemoryUse
from media_agent_schemas.jobs import OperationRef, ResumeToken
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    from media_agent_diffusers.pipelines.loaded import LoadedModels

_LIBRARIES = ("torch", "diffusers", "transformers", "accelerate", "safetensors", "ftfy")


@dataclass(frozen=True, slots=True)
class Model:
    """A folder that can be used, and what it can do."""

    folder: ModelFolder
    capabilities: Capabilities
    loras: Mapping[str, Path]
    """Files of LoRA weights by their name."""
    sizes: Sizes
    """Of its components."""


class DiffusersBackend(LocalBackend):
    """Makes videos with the pipelines of diffusers, from folders of weights on this machine.

    One video is made at a time; models stay in memory as long as they fit.
    """

    kind = NAME

    def __init__(
        self, settings: BackendSettings, *, free_memory: Callable[[str], int] | None = None
    ) -> None:
        """Read the folders; `free_memory` says what a device has free, if it is not to be asked."""
        super().__init__(settings)
        share_heap()  # before any thread of ours is started
        self._free_memory = free_memory
        self._options = settings.read_options(DiffusersOptions)
        self._digests = DigestCache(settings.data_dir / NAME / "digests.json")
        self._models: dict[str, Model] = {}
        self._faults: dict[str, StorageError] = {}
        for name, folder in _folders(settings, self._options).items():
            try:
                with faults_named(folder):
                    self._models[name] = self._read(name, folder)
            except StorageError as error:  # the other models work
                self._faults[name] = error
        for name in self._options.gguf.keys() - self._models.keys() - self._faults.keys():
            self._faults[name] = StorageError(
                f"the settings name GGUF files for the model {name}, and no folder",
                hint="name its folder too, under models, or: media-agent models add FOLDER "
                f"--name {name}",
            )
        self._loaded: LoadedModels | None = None

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
        """Return a price of zero; how long it takes depends on the machine.

        Raises:
            InvalidRequestError: it names LoRA weights that the settings do not, or the model cannot
                make what it asks for.
        """
        model = self._model(request.split_model()[1])
        check_loras(own_options(request), model.loras)
        check_plan(request, model.folder.variant, model.capabilities)
        memory = self._foresee(model, request)
        return Estimate(cost_usd=0.0, memory=memory, source="own hardware")

    def _foresee(self, model: Model, request: VideoRequest) -> MemoryUse | None:
        """Return how the model will be held in memory, None where nobody knows what is free.

        LoRA weights, which are small beside the rest, are left out: their files are not opened.
        """
        name, loaded = model.capabilities.model, self._loaded
        activations = estimate_memory(name, model.folder, request, ())
        measure_free = self._free_memory if loaded is None else loaded.count_free
        found = foresee(
            model.folder,
            model.sizes,
            activations,
            self._options,
            self.settings.free_memory,
            measure_free=measure_free,
        )
        return None if found is None else found[0].to_use(found[1])

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        """Queue the work, once its inputs could be opened and the libraries are there.

        Raises:
            InvalidRequestError: an input is missing, doubled or cannot be used.
            BackendUnavailableError: torch or diffusers is not installed.
        """
        model = self._model(request.split_model()[1])
        await asyncio.to_thread(check_call, request, model.folder.variant, model.capabilities)
        await asyncio.to_thread(choose_loras, own_options(request), model.loras)
        if model.capabilities.missing is not None:
            raise _missing_library(model.capabilities.missing)
        return await super().submit(request, key=key, resume=resume)

    async def aclose(self) -> None:
        """Stop all work and let go of the models."""
        await super().aclose()
        if self._loaded is not None:
            self._loaded.release_all()

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        """Yield each window of the video as a chunk; most models make it in one."""
        model = self._model(request.split_model()[1])
        name = model.capabilities.model
        context.report("checking the weights", 0.0)
        loaded = self._open_memory()
        digest = self._digests.digest(model.folder, context.check)
        known = model.capabilities.model_copy(update={"weights_sha256": digest})
        self._models[name] = replace(model, capabilities=known)
        loras = choose_loras(own_options(request), model.loras)
        digests = self._digests.file_digests([each.file for each in loras], context.check)
        gguf = {part: file.path for part, file in model.folder.weights.gguf.items()}
        of_gguf = self._digests.file_digests(gguf.values(), context.check)
        generation = Generation(
            name,
            model.folder,
            request,
            context,
            loaded,
            self._options,
            loras,
            digests,
            dict(zip(gguf, of_gguf, strict=True)),
        )
        if not known.resumable:
            for output, _ in generation.run():
                # whole by now: kept even if somebody asked to stop while they were decoded
                yield Chunk(index=0, frames=output.frames, audio=output.audio)
            return
        yield from self._make_windows(generation, digest_work(request, digest, digests))

    def _make_windows(self, generation: Generation, digest: str) -> Iterator[Chunk]:
        """Yield the windows, from the one to resume at on, each with the state for the next."""
        context, start, before = generation.context, None, None
        if context.resume is not None:
            state = context.work_dir / "states" / state_name(context.resume.next_chunk)
            start, before = read_state(state, digest=digest)
        for output, made in generation.run(start):
            now = generation.computation
            if before not in (None, now):
                context.warn(f"continued on {now}, not as it began on {before}")
            before = now
            save = partial(write_state, made=made, digest=digest, computation=now)
            yield Chunk(
                index=made.windows - 1,
                frames=output.frames,
                audio=output.audio,
                resume=ResumeToken(
                    backend=self.name,
                    model=generation.name,
                    next_chunk=made.windows,
                    data={"state": state_name(made.windows)},
                ),
                save=save,
            )

    def _read(self, name: str, path: Path) -> Model:
        folder = read_folder(path, self._find_gguf(name))
        loras = _paths(self.settings, self._options.loras.get(name, {}))
        options = (*folder.variant.options, *lora_options(folder, loras), MEMORY_OPTION)
        folder = replace(folder, variant=replace(folder.variant, options=options))
        libraries = (*_LIBRARIES, "gguf") if folder.weights.gguf else _LIBRARIES
        own = {
            "backend": self.name,
            "image_model": self._options.image_models.get(name),
            "weights_sha256": self._digests.find_known(folder),
            "missing": describe_missing(NAME, *libraries),
        }
        sizes = measure(folder, self._options)
        return Model(folder, describe(name, folder).model_copy(update=own), loras, sizes)

    def _find_gguf(self, name: str) -> Mapping[str, Path]:
        """Return the GGUF files of a model: of the settings file, else those added with it."""
        said = self._options.gguf.get(name)
        if said is None and name not in self._options.models:
            return self.settings.gguf.get(name, {})
        return _paths(self.settings, said or {})

    def _model(self, name: str | None) -> Model:
        if name is None and self._models:
            return next(iter(self._models.values()))
        if name is None and self._faults:
            raise next(iter(self._faults.values()))
        if name is None:
            raise BackendUnavailableError(
                "diffusers has no model yet",
                hint="get one: media-agent models fetch REPOSITORY, "
                "or media-agent models add FOLDER",
            )
        if name in self._faults:
            raise self._faults[name]
        if name not in self._models:
            unknown = self.unknown_model(name, self._models)
            raise InvalidRequestError(
                unknown.message, hint=f"{unknown.hint}; new ones: media-agent models add FOLDER"
            )
        return self._models[name]

    def _open_memory(self) -> "LoadedModels":
        if self._loaded is None:
            try:
                from media_agent_diffusers.pipelines.loaded import LoadedModels
            except ImportError as error:
                raise _missing_library(error.name or str(error)) from error
            self._loaded = LoadedModels(
                self._options, threads=self.settings.threads, measure=self._free_memory
            )
        return self._loaded


def _folders(settings: BackendSettings, options: DiffusersOptions) -> dict[str, Path]:
    """Return the folder of every model; those of the settings file go first."""
    said = _paths(settings, options.models)
    folders = {**said, **{n: p for n, p in settings.models.items() if n not in said}}
    return {name: path.absolute() for name, path in folders.items()}


def _paths(settings: BackendSettings, said: Mapping[str, Path]) -> dict[str, Path]:
    """Return the paths of a settings file, which count from where it lies."""
    base = settings.folder or Path()
    return {name: base / path.expanduser() for name, path in said.items()}


def _missing_library(what: str) -> BackendUnavailableError:
    return BackendUnavailableError(f"diffusers needs {what}")
