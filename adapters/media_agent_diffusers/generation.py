"""Makes one video: memory planned, model loaded, pipeline called, once more if memory runs out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from media_agent.backend.local import GenerationContext
from media_agent.errors import GenerationFailedError
from media_agent_diffusers.call import find_task, read_call
from media_agent_diffusers.families.family import Call
from media_agent_diffusers.folder import ModelFolder
from media_agent_diffusers.lora.choice import ChosenLora
from media_agent_diffusers.output import Output
from media_agent_diffusers.placement.plan import (
    Activations,
    MemoryPlan,
    OutOfMemoryError,
    estimate_activations,
)
from media_agent_diffusers.settings import DiffusersOptions
from media_agent_diffusers.windows import run_windows
from media_agent_schemas.events import AppliedLora
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    from media_agent_diffusers.loaded import LoadedModels

_DENOISING_SHARE = 0.9  # of the whole work; the rest is for decoding
_OUT_OF_MEMORY_HINT = "ask for a smaller size or less time, or use a smaller model"


@dataclass(slots=True)
class Generation:
    """A request that a model works on."""

    name: str
    folder: ModelFolder
    request: VideoRequest
    context: GenerationContext
    loras: tuple[ChosenLora, ...] = ()
    _call: Call | None = None
    """Read once, whatever happens: what was not as asked is said once."""

    def run(
        self, loaded: "LoadedModels", options: DiffusersOptions, lora_digests: Sequence[str] = ()
    ) -> Output:
        """Return the frames and their audio; `lora_digests` are those of `loras`, in their order.

        Raises:
            BackendUnavailableError: the model does not fit into the memory that is free.
            GenerationFailedError: memory ran out all the same.
        """
        activations = self._estimate()
        plan = loaded.plan(self.name, self.folder, activations)
        made = self._try(loaded, plan, lora_digests)
        if made is not None:
            return made
        loaded.release(self.name)
        if options.on_out_of_memory == "strict" or not plan.rest:
            raise GenerationFailedError(
                f"out of memory with {plan}", hint=self._suggest_more(plan, options)
            )
        again = loaded.plan(self.name, self.folder, activations, steps=plan.rest[:1])
        self.context.warn(f"out of memory with {plan.step}; made again with {again.step}")
        made = self._try(loaded, again, lora_digests)
        if made is None:
            loaded.release(self.name)
            raise GenerationFailedError(
                f"out of memory with {plan.step}, and again with {again.step}",
                hint=_OUT_OF_MEMORY_HINT,
            )
        return made

    def _suggest_more(self, plan: MemoryPlan, options: DiffusersOptions) -> str:
        if plan.rest:
            return f"{_OUT_OF_MEMORY_HINT}, or set on_out_of_memory = 'adjust'"
        if options.offload not in ("auto", "sequential"):
            return f"{_OUT_OF_MEMORY_HINT}, or set offload = 'auto'"
        return _OUT_OF_MEMORY_HINT

    def _estimate(self) -> Activations:
        """Return what computing takes: by published figures of the family, else by the rule."""
        size, frames, variant = self.request.size, self.request.num_frames, self.folder.variant
        if size is None or frames is None:
            return Activations(0, 0)  # refused when the call is read
        weights = sum(lora.file.stat().st_size for lora in self.loras)
        rule = estimate_activations(size.width, size.height, frames)
        if variant.activation_bytes is None:
            return Activations(rule.whole + weights, rule.in_tiles + weights)
        pixels = size.width * size.height * frames
        own = variant.size[0] * variant.size[1] * variant.default_frames
        whole = variant.activation_bytes * pixels // own
        return Activations(whole + weights, min(whole, rule.in_tiles) + weights)

    def _try(
        self, loaded: "LoadedModels", plan: MemoryPlan, lora_digests: Sequence[str]
    ) -> Output | None:
        """Return what was made, None if memory ran out; by then nothing of the attempt is left."""
        try:
            return self._attempt(loaded, plan, lora_digests)
        except OutOfMemoryError:
            return None

    def _attempt(
        self, loaded: "LoadedModels", plan: MemoryPlan, lora_digests: Sequence[str]
    ) -> Output:
        context, variant = self.context, self.folder.variant
        context.check()
        context.report("loading", 0.0, str(plan))
        pipeline = loaded.open(self.name, self.folder, plan)
        context.check()
        applied = tuple(
            AppliedLora(name=each.name, component=each.component, weight=each.weight, sha256=digest)
            for each, digest in zip(self.loras, lora_digests, strict=True)
        )
        context.record_computation(pipeline.computation.model_copy(update={"loras": applied}))
        task = find_task(self.request, variant, self.name)
        call = self._call or read_call(self.request, variant, task, pipeline, context)
        self._call = call
        context.report("encoding the prompt", 0.0)
        reporter, seed = _Reporter(context), self.request.seed

        def run(part: Call, index: int, count: int) -> Output:
            return pipeline.run(
                task.arguments(part),
                seed=None if seed is None else seed + index,
                on_step=lambda done, total: reporter.say(index * total + done, count * total),
                pipeline=task.pipeline,
                flow_shift=part.flow_shift,
                windows=task.windows(part),
                loras=self.loras,
            )

        return run_windows(call, variant, run)


class _Reporter:
    """Says how far the steps are; what was said once never shrinks."""

    def __init__(self, context: GenerationContext) -> None:
        self._context = context
        self._share = 0.0

    def say(self, done: int, total: int) -> None:
        """Say it, and stop here if asked to."""
        self._context.check()
        self._share = max(self._share, _DENOISING_SHARE * done / max(1, total))
        self._context.report("denoising", self._share, f"step {done} of {total}")
        if done == total:
            self._context.report("decoding", self._share)
