"""The models in memory: as many as fit, the one that was not used for longest goes first."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from media_agent.errors import ConfigurationError
from media_agent_diffusers.model_folder.folder import ModelFolder
from media_agent_diffusers.pipelines.pipeline import LoadedPipeline
from media_agent_diffusers.placement.foresee import NO_GPU
from media_agent_diffusers.placement.machine import (
    choose_device,
    empty_caches,
    free_memory,
)
from media_agent_diffusers.placement.plan import (
    Activations,
    MemoryPlan,
    Step,
    check_fits,
    check_waits,
    count_needed,
    list_steps,
    plan_memory,
)
from media_agent_diffusers.placement.sizes import ComponentSize, measure_model
from media_agent_diffusers.settings import DiffusersOptions

_JITTER = 20  # free memory that differs by a 20th of what is needed is as good as the same


class LoadedModel:
    """A model in memory, and what it takes there."""

    def __init__(self, pipeline: LoadedPipeline, plan: MemoryPlan, resident_bytes: int) -> None:
        self.pipeline = pipeline
        self.plan = plan
        self.resident_bytes = resident_bytes
        """Of the memory where it computes, also while it does nothing."""


class LoadedModels:
    """Loads models for one device; another one stays loaded if both fit."""

    def __init__(
        self,
        options: DiffusersOptions,
        *,
        threads: int | None = None,
        measure: Callable[[str], int] | None = None,
    ) -> None:
        """Begin with none; `measure` says how many bytes a device has free; "cpu" is one too."""
        self._options = options
        self._threads = threads
        self._measure = measure or free_memory
        self._held: dict[str, LoadedModel] = {}  # the one used last is the last
        self._ran_out: dict[tuple[str, Step], int] = {}  # bytes that were to be left over

    def plan(
        self,
        name: str,
        folder: ModelFolder,
        activations: Activations,
        *,
        steps: Iterable[Step] | None = None,
    ) -> MemoryPlan:
        """Decide how a model is held, and let go of others if it does not fit beside them.

        `steps` are those to choose among; None: those that the settings allow.

        Raises:
            BackendUnavailableError: it cannot fit, or there is no such device.
            ConfigurationError: the settings contradict each other.
        """
        device = choose_device(self._options)
        sizes = measure_model(folder, self._options, device)
        options = self._options
        if folder.weights.gguf and options.offload == "sequential":
            raise ConfigurationError(
                "offload = 'sequential' does not work with weights in GGUF",
                hint="leave offload out, or set offload = 'model'",
            )
        in_layers = not (options.fp8 or folder.weights.gguf)
        allowed = list_steps(device, options.offload, options.vae_tiling, in_layers=in_layers)
        chosen = allowed if steps is None else tuple(steps)
        plan = self._plan_once(name, device, sizes, activations, chosen)
        while not (plan.fits and plan.step == chosen[0]) and self._release_another(name):
            plan = self._plan_once(name, device, sizes, activations, chosen)
        if steps is None and options.offload == "auto":
            self._check(plan, folder, device, sizes)
        return self._keep_held(name, plan, sizes, activations)

    def remember_failure(self, name: str, plan: MemoryPlan) -> None:
        """Pass over the step of a plan from now on, until more memory is left over with it."""
        self._ran_out[name, plan.step] = plan.free_bytes - plan.needed_bytes

    def open(self, name: str, folder: ModelFolder, plan: MemoryPlan) -> LoadedPipeline:
        """Return the model held in this way, loaded if it is not there yet.

        Raises:
            StorageError: the files of the folder do not fit each other.
            OutOfMemoryError: there is too little memory after all.
        """
        held = self._held.pop(name, None)
        if held is not None and held.plan.step != plan.step:
            held.pipeline.release()
            held = None
        if held is None:
            device = choose_device(self._options)
            pipeline = LoadedPipeline(folder, self._options, step=plan.step, threads=self._threads)
            sizes = measure_model(folder, self._options, device)
            total = sum(size.total for size in sizes.values())
            held = LoadedModel(pipeline, plan, total if plan.step.offload == "none" else 0)
        self._held[name] = held
        return held.pipeline

    def release(self, name: str) -> None:
        """Let go of one model, and of what is left of one that could not be loaded."""
        held = self._held.pop(name, None)
        if held is None:
            empty_caches()
        else:
            held.pipeline.release()

    def count_free(self, device: str) -> int:
        """Return what a device has free for one model, once all others were let go of."""
        held = 0 if device == "cpu" else sum(each.resident_bytes for each in self._held.values())
        return self._measure(device) + held

    def release_all(self) -> None:
        """Let go of all models."""
        for name in tuple(self._held):
            self.release(name)

    def _release_another(self, name: str) -> bool:
        """Let go of the model that was not used for longest; False: there is no other one."""
        oldest = next((other for other in self._held if other != name), None)
        if oldest is None:
            return False
        self.release(oldest)
        return True

    def _plan_once(
        self,
        name: str,
        device: str,
        sizes: dict[str, ComponentSize],
        activations: Activations,
        steps: Iterable[Step],
    ) -> MemoryPlan:
        held = self._held.get(name)
        own = 0 if held is None else held.resident_bytes
        free = self._measure(device) + own
        plan = plan_memory(sizes, free, activations, steps)
        while plan.rest and self._would_run_out(name, plan):
            plan = plan_memory(sizes, free, activations, plan.rest)
        return plan

    def _would_run_out(self, name: str, plan: MemoryPlan) -> bool:
        left, known = plan.free_bytes - plan.needed_bytes, self._ran_out.get((name, plan.step))
        return known is not None and left <= known + plan.needed_bytes // _JITTER

    def _keep_held(
        self,
        name: str,
        plan: MemoryPlan,
        sizes: dict[str, ComponentSize],
        activations: Activations,
    ) -> MemoryPlan:
        """Return a plan for a model as it is held, if that needs less and is not much slower."""
        held = self._held.get(name)
        if held is None or held.plan.step not in plan.rest:
            return plan
        step = held.plan.step
        if step.offload != plan.step.offload:
            return plan
        rest = plan.rest[plan.rest.index(step) + 1 :]
        return replace(
            plan, step=step, needed_bytes=count_needed(sizes, step, activations), rest=rest
        )

    def _check(
        self, plan: MemoryPlan, folder: ModelFolder, device: str, sizes: dict[str, ComponentSize]
    ) -> None:
        is_cpu = device == "cpu"
        check_fits(plan, str(folder.path), NO_GPU if is_cpu else device)
        if not is_cpu and not self._held:
            check_waits(plan, str(folder.path), sizes, self._measure("cpu"))
