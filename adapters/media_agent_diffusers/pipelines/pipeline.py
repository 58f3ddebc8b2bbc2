"""A pipeline of diffusers in memory: loaded, placed, called."""

import difflib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import diffusers
import numpy as np
import torch

from media_agent.backend.cores import usable_cores
from media_agent.errors import GenerationFailedError, InvalidRequestError
from media_agent.video.audio import Audio
from media_agent_diffusers.files import shift_key
from media_agent_diffusers.lora.choice import ChosenLora
from media_agent_diffusers.lora.layers import loras_applied
from media_agent_diffusers.model_folder.folder import ModelFolder
from media_agent_diffusers.pipelines.breaks import breaks_named, memory_errors
from media_agent_diffusers.pipelines.load import hold_in_8_bits, load_pipeline, place
from media_agent_diffusers.pipelines.output import Output
from media_agent_diffusers.pipelines.progress import OnStep, StepCounter
from media_agent_diffusers.pipelines.threads import in_threads
from media_agent_diffusers.placement.machine import choose_device, empty_caches
from media_agent_diffusers.placement.plan import STEPS, Step
from media_agent_diffusers.placement.sizes import choose_dtypes
from media_agent_diffusers.settings import DiffusersOptions
from media_agent_schemas.events import Computation

if TYPE_CHECKING:
    from media_agent.video.codec import Frames


class LoadedPipeline:
    """A model ready to work; one call at a time, because its state is on the object."""

    def __init__(
        self,
        folder: ModelFolder,
        options: DiffusersOptions,
        *,
        step: Step = STEPS[0],
        threads: int | None = None,
    ) -> None:
        """Load the weights and bring them to where they are held.

        Raises:
            StorageError: the files of the folder do not fit each other.
            BackendUnavailableError: there is no such device.
            ConfigurationError: the options contradict each other.
            OutOfMemoryError: there is too little memory to hold it like this.
        """
        device = choose_device(options)
        dtypes = choose_dtypes(folder, options, device)
        on_cpu = device == "cpu"
        self._threads = threads or (usable_cores() if on_cpu else None)
        with in_threads(self._threads), memory_errors():
            self._pipe = load_pipeline(folder, dtypes)
            self._scheduler = self._pipe.scheduler
            small = hold_in_8_bits(self._pipe, folder) if options.fp8 else ()
            place(self._pipe, step, device)
        self.computation = Computation(
            device=device,
            dtype=_name_formats(dtypes["default"], small, folder),
            threads=self._threads,
            instructions=torch.backends.cpu.get_cpu_capability() if on_cpu else None,
            library=f"torch {torch.__version__}",
            offload=step.offload,
            vae_tiling=step.tiles,
        )
        """On what it computes."""

    def read_prompt(self, prompt: str, longest: int) -> str | None:
        """Return the part of a prompt that the model reads, None if it reads all of it."""
        tokenizer = getattr(self._pipe, "tokenizer", None)
        if tokenizer is None:
            return None
        tokens = tokenizer(prompt, truncation=False).input_ids
        if len(tokens) <= longest:
            return None
        read: str = tokenizer.decode(tokens[: longest - 1], skip_special_tokens=True)
        return read

    def run(
        self,
        arguments: Mapping[str, Any],
        *,
        seed: int | None,
        on_step: OnStep,
        pipeline: str | None = None,
        flow_shift: float | None = None,
        windows: int = 1,
        loras: Iterable[ChosenLora] = (),
    ) -> Output:
        """Return the frames and their audio; what `on_step(done, total)` raises stops the work.

        `pipeline` names the class that does it, if it is not the one the folder was saved from;
        `flow_shift` is for its scheduler, if it is not the one that the folder has; `windows` is
        how often all steps are run.

        Raises:
            InvalidRequestError: the pipeline has no such argument, or LoRA weights do not fit it.
            GenerationFailedError: the pipeline broke, or made values that are no numbers.
            OutOfMemoryError: there was too little memory.
        """
        pipe = self._pipe_as(pipeline)
        known = inspect.signature(type(pipe).__call__).parameters
        _check_arguments(type(pipe).__name__, arguments, known)
        has_callback = "callback_on_step_end" in known
        counter = StepCounter(on_step, windows=windows, has_callback=has_callback)
        pipe.progress_bar = counter.open_bar
        called = {"callback_on_step_end": counter.after_step} if has_callback else {}
        self._pipe.scheduler = pipe.scheduler = _with_shift(self._scheduler, flow_shift)
        try:
            with (
                in_threads(self._threads),
                memory_errors(),
                breaks_named(pipe),
                loras_applied(pipe, loras),
                _seeded(seed),
            ):
                made = pipe(
                    **arguments,
                    **called,
                    generator=_make_generator(seed),
                    output_type="np",
                )
                return Output(_to_pixels(made.frames[0]), _read_audio(pipe, made))
        finally:
            del pipe.progress_bar
            self._pipe.maybe_free_model_hooks()  # the hooks are known to it alone

    def _pipe_as(self, name: str | None) -> Any:
        """Return a pipeline of this class around the same components, with the same settings."""
        if name in (None, type(self._pipe).__name__):
            return self._pipe
        pipeline_class = getattr(diffusers, str(name))
        takes = inspect.signature(pipeline_class.__init__).parameters
        given = {**self._pipe.config, **self._pipe.components}
        pipe = pipeline_class(**{key: value for key, value in given.items() if key in takes})
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def release(self) -> None:
        """Let go of the memory."""
        del self._pipe
        empty_caches()


def _name_formats(default: str, small: Iterable[str], folder: ModelFolder) -> str:
    """Return how the numbers of a model are held."""
    held = dict.fromkeys(small, "float8")
    packed = ((name, file) for name, file in folder.weights.gguf.items() if file.is_packed)
    held |= {name: file.kind for name, file in packed}
    kinds = {kind: [name for name in held if held[name] == kind] for kind in held.values()}
    return ", ".join([default, *(f"{' and '.join(kinds[kind])} in {kind}" for kind in kinds)])


def _check_arguments(
    pipeline: str, arguments: Mapping[str, Any], known: Mapping[str, inspect.Parameter]
) -> None:
    for name in arguments:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise InvalidRequestError(
                f"{pipeline} takes no argument {name}",
                hint=f"did you mean {near[0]}?" if near else f"it takes {', '.join(known)}",
            )


def _make_generator(seed: int | None) -> torch.Generator | None:
    """Return the source of the noise: of the CPU, so that every device gets the same."""
    return None if seed is None else torch.Generator("cpu").manual_seed(seed)


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Seed the noise that a pipeline draws beside its generator; some do, such as SkyReels'."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def _read_audio(pipe: Any, made: Any) -> Audio | None:
    """Return what a pipeline made to be heard, None if it makes frames alone."""
    audio = getattr(made, "audio", None)
    if audio is None:
        return None
    samples = torch.as_tensor(audio[0]).float().cpu().numpy()
    return Audio(samples, int(pipe.vocoder.config.output_sampling_rate))


def _to_pixels(video: Any) -> "Frames":
    """Return frames of numbers from 0 to 1 as bytes, a frame at a time: they are large.

    Raises:
        GenerationFailedError: some are no numbers.
    """
    pixels = np.empty(video.shape, np.uint8)
    for index, frame in enumerate(video):
        if not np.isfinite(frame).all():
            raise GenerationFailedError(
                "the model made values that are no numbers",
                hint="float16 is too small for some models: set dtype = 'bfloat16' or 'float32'",
            )
        pixels[index] = (frame * 255).round()
    return pixels


def _with_shift(scheduler: Any, shift: float | None) -> Any:
    """Return a scheduler that differs in the shift of its noise schedule; None: the same one."""
    key = shift_key(scheduler.config)
    if key is None or shift in (None, scheduler.config[key]):
        return scheduler
    return type(scheduler).from_config(scheduler.config, **{key: shift})
