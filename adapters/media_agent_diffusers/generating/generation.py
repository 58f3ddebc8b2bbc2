"""Makes one video: memory planned, model loaded, pipeline called, once more if memory runs out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from media_agent.backend.local import GenerationContext
from media_agent.errors import GenerationFailedError
from media_agent_diffusers.families.family import Variant
from media_agent_diffusers.generating.call import (
    find_further,
    find_task,
    own_options,
    read_call,
    read_further,
)
from media_agent_diffusers.generating.windows import Made, Work, count_at_once, run_windows
from media_agent_diffusers.lora.choice import ChosenLora
from media_agent_diffusers.model_folder.folder import ModelFolder
from media_agent_diffusers.pipelines.output import Output
from media_agent_diffusers.placement.plan import (
    Activations,
    MemoryPlan,
    OutOfMemoryError,
    estimate_activations,
)
from media_agent_diffusers.settings import MEMORY, DiffusersOptions
from media_agent_schemas.events import AppliedLora, Computation, GgufWeights
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    from media_agent_diffusers.pipelines.loaded import LoadedModels
    from media_agent_diffusers.pipelines.pipeline import LoadedPipeline

_DENOISING_SHARE = 0.9  # of the whole work; the rest is for decoding
_OUT_OF_MEMORY_HINT = "ask for a smaller size or less time, or use a smaller model"

_BREAKS = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
"""What a pipeline raises that was given what it cannot use."""

Result = TypeVar("Result")


@dataclass(slots=True)
class Generation:
    """A request that a model works on."""

    name: str
    folder: ModelFolder
    request: VideoRequest
    context: GenerationContext
    loaded: "LoadedModels"
    options: DiffusersOptions
    loras: tuple[ChosenLora, ...] = ()
    lora_digests: Sequence[str] = ()
    """Of `loras`, in their order."""
    gguf_digests: Mapping[str, str] = field(default_factory=dict)
    """Of the GGUF file of each component that has one."""
    computation: Computation = field(init=False)
    """On what the newest frames were computed."""
    _plan: MemoryPlan = field(init=False)
    _said: MemoryPlan | None = None
    _failed: MemoryPlan | None = None
    """How the model was held when memory ran out; None: it did not."""

    def run(self, made: Made | None = None) -> Iterator[tuple[Output, Made]]:
        """Yield the new frames of each window with their audio, and how far the video is by then.

        `made` is what was made before.

        Raises:
            BackendUnavailableError: the model does not fit into the memory that is free.
            GenerationFailedError: memory ran out all the same.
        """
        request, variant, context = self.request, self.folder.variant, self.context
        self._plan = self.loaded.plan(self.name, self.folder, self._estimate())
        task = find_task(request, variant, self.name)
        call = self._in_memory(
            lambda pipeline: read_call(request, variant, task, pipeline, context)
        )
        further, extend = None, find_further(request, variant, task)
        if extend is not None:
            further = Work(extend, read_further(request, variant, extend, call, context))
        if self.options.fp8 and "float8" not in self.computation.dtype:
            context.warn("fp8 has no effect: nothing of this model can be held in 8 bits")
        context.report("encoding the prompt", 0.0)
        reporter, seed = _Reporter(context), request.seed

        def run(work: Work, index: int, count: int) -> Output:
            with _unknown_explained(variant):
                return self._in_memory(
                    lambda pipeline: pipeline.run(
                        work.task.arguments(work.call),
                        seed=None if seed is None else seed + index,
                        on_step=lambda done, total: reporter.say(done, total, index, count),
                        pipeline=work.task.pipeline,
                        flow_shift=work.call.flow_shift,
                        windows=work.task.windows(work.call),
                        loras=self.loras,
                    )
                )

        yield from run_windows(Work(task, call), further, variant, run, made)

    def _in_memory(self, work: "Callable[[LoadedPipeline], Result]") -> Result:
        """Return what `work` gets from the pipeline; if memory runs out, once more with less.

        By then nothing of the first attempt is left.
        """
        made = self._try(work)
        if made is not None:
            return made[0]
        plan = self._plan
        self.loaded.release(self.name)
        if self._failed is not None:
            raise GenerationFailedError(
                f"out of memory with {self._failed.step}, and again with {plan.step}",
                hint=_OUT_OF_MEMORY_HINT,
            )
        if self._is_strict or not plan.rest:
            raise GenerationFailedError(f"out of memory with {plan}", hint=self._suggest_more(plan))
        self._failed = plan
        self.loaded.remember_failure(self.name, plan)
        steps = plan.rest[:1]
        self._plan = self.loaded.plan(self.name, self.folder, self._estimate(), steps=steps)
        self.context.warn(f"out of memory with {plan.step}; made again with {self._plan.step}")
        return self._in_memory(work)

    @property
    def _is_strict(self) -> bool:
        asked = own_options(self.request).get(MEMORY, self.options.on_out_of_memory)
        return asked == "strict"

    def _suggest_more(self, plan: MemoryPlan) -> str:
        if plan.rest:
            return f"{_OUT_OF_MEMORY_HINT}, or set {MEMORY} = 'adjust'"
        if self.options.offload not in ("auto", "sequential"):
            return f"{_OUT_OF_MEMORY_HINT}, or set offload = 'auto'"
        return _OUT_OF_MEMORY_HINT

    def _estimate(self) -> Activations:
        return estimate_memory(self.name, self.folder, self.request, self.loras)

    def _try(self, work: "Callable[[LoadedPipeline], Result]") -> tuple[Result] | None:
        """Return what was made, None if memory ran out."""
        try:
            return (work(self._open()),)
        except OutOfMemoryError:
            return None

    def _open(self) -> "LoadedPipeline":
        context, plan = self.context, self._plan
        context.check()
        if plan is not self._said:
            context.report("loading", 0.0, str(plan))
            self._said = plan
        pipeline = self.loaded.open(self.name, self.folder, plan)
        context.check()
        applied = tuple(
            AppliedLora(name=each.name, component=each.component, weight=each.weight, sha256=digest)
            for each, digest in zip(self.loras, self.lora_digests, strict=True)
        )
        read = tuple(
            GgufWeights(
                component=name, file=file.path.name, kind=file.kind, sha256=self.gguf_digests[name]
            )
            for name, file in self.folder.weights.gguf.items()
        )
        self.computation = pipeline.computation.model_copy(update={"loras": applied, "gguf": read})
        context.record_computation(self.computation)
        return pipeline


def estimate_memory(
    name: str, folder: ModelFolder, request: VideoRequest, loras: Sequence[ChosenLora]
) -> Activations:
    """Return what computing takes: by published figures of the family, else by the rule."""
    size, variant = request.size, folder.variant
    if size is None or request.num_frames is None:
        return Activations(0, 0)  # refused when the call is read
    task = find_task(request, variant, name)
    frames = count_at_once(variant, task, request.num_frames)
    weights = sum(lora.file.stat().st_size for lora in loras)
    rule = estimate_activations(size.width, size.height, frames)
    if variant.activation_bytes is None:
        return Activations(rule.whole + weights, rule.in_tiles + weights)
    pixels = size.width * size.height * frames
    own = variant.size[0] * variant.size[1] * variant.default_frames
    whole = variant.activation_bytes * pixels // own
    return Activations(whole + weights, min(whole, rule.in_tiles) + weights)


@contextmanager
def _unknown_explained(variant: Variant) -> Iterator[None]:
    """Say what an unknown pipeline that breaks makes by itself: another size may be why."""
    try:
        yield
    except _BREAKS as error:
        if not variant.is_unknown:
            raise
        width, height = variant.size
        raise GenerationFailedError(
            f"the pipeline failed: {type(error).__name__}: {error}",
            hint=f"by itself it makes {variant.default_frames} frames of {width}x{height}; without "
            "--duration and --size these are used",
        ) from error


class _Reporter:
    """Says how far the steps of all windows are; what was said once never shrinks."""

    def __init__(self, context: GenerationContext) -> None:
        self._context = context
        self._share = 0.0

    def say(self, done: int, total: int, index: int, count: int) -> None:
        """Say it of one window of so many, and stop here if asked to."""
        self._context.check()
        of_all = (index + _DENOISING_SHARE * done / max(1, total)) / count
        self._share = max(self._share, of_all)
        window = "" if count == 1 else f"window {index + 1} of {count}, "
        message = f"{window}step {done} of {total}"
        self._context.report("denoising", self._share, message)
        if done == total:
            self._context.report("decoding", self._share)
