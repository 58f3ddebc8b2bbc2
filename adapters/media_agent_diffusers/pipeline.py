"""A pipeline of diffusers in memory: the only module here that imports torch and diffusers."""

import gc
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import diffusers
import numpy as np
import torch
import transformers
from huggingface_hub import constants
from safetensors import SafetensorError

from media_agent.errors import BackendUnavailableError, ConfigurationError, GenerationFailedError
from media_agent_diffusers.files import shift_key, unusable
from media_agent_diffusers.folder import ModelFolder
from media_agent_diffusers.settings import DiffusersOptions
from media_agent_diffusers.threads import in_threads, usable_cores
from media_agent_schemas.events import Computation

if TYPE_CHECKING:
    from media_agent.video.codec import Frames

_CANNOT_LOAD = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    ImportError,
    RuntimeError,
    SafetensorError,
)
_OUT_OF_MEMORY_HINT = "ask for a smaller size or less time, or set offload or vae_tiling"


class LoadedPipeline:
    """A model ready to work; one call at a time, because its state is on the object."""

    def __init__(
        self, folder: ModelFolder, options: DiffusersOptions, *, threads: int | None = None
    ) -> None:
        """Load the weights and bring them to the device.

        Raises:
            StorageError: the files of the folder do not fit each other.
            BackendUnavailableError: there is no such device, or it has too little memory.
            ConfigurationError: the options contradict each other.
        """
        _be_quiet()
        device = _device(options)
        dtypes = _dtypes(folder, options, device)
        on_cpu = device == "cpu"
        self._threads = threads or (usable_cores() if on_cpu else None)
        self.computation = Computation(
            device=device,
            dtype=str(dtypes["default"]).removeprefix("torch."),
            threads=self._threads,
            instructions=torch.backends.cpu.get_cpu_capability() if on_cpu else None,
            library=f"torch {torch.__version__}",
        )
        """On what it computes."""
        with in_threads(self._threads):
            self._pipe = _load(folder, dtypes)
        self._scheduler = self._pipe.scheduler
        self._pipe.set_progress_bar_config(disable=True)
        if options.vae_tiling:
            self._pipe.vae.enable_tiling()
        try:
            _place(self._pipe, options, device)
        except torch.OutOfMemoryError as error:
            raise BackendUnavailableError(
                f"{device} has too little memory for {folder.path}",
                hint="set offload = 'model' or 'sequential', or device = 'cpu'",
            ) from error

    def read_prompt(self, prompt: str, longest: int) -> str | None:
        """Return the part of a prompt that the model reads, None if it reads all of it."""
        tokens = self._pipe.tokenizer(prompt, truncation=False).input_ids
        if len(tokens) <= longest:
            return None
        read: str = self._pipe.tokenizer.decode(tokens[: longest - 1], skip_special_tokens=True)
        return read

    def run(
        self,
        arguments: Mapping[str, Any],
        *,
        seed: int | None,
        on_step: Callable[[int, int], None],
        pipeline: str | None = None,
        flow_shift: float | None = None,
    ) -> "Frames":
        """Return the frames (uint8, T H W 3); what `on_step(done, total)` raises stops the work.

        `pipeline` names the class that does it, if it is not the one the folder was saved from;
        `flow_shift` is for its scheduler, if it is not the one that the folder has.

        Raises:
            GenerationFailedError: out of memory, or the model made values that are no numbers.
        """
        done = 0

        def after_step(pipe: Any, index: int, timestep: Any, state: dict[str, Any]) -> Any:
            nonlocal done
            done += 1  # the index begins again in pipelines that work in windows
            on_step(done, pipe.num_timesteps)
            return state

        try:
            with in_threads(self._threads):
                self._pipe.scheduler = _with_shift(self._scheduler, flow_shift)
                video = self._pipe_as(pipeline)(
                    **arguments,
                    generator=None if seed is None else torch.Generator("cpu").manual_seed(seed),
                    output_type="np",
                    callback_on_step_end=after_step,
                ).frames[0]
        except torch.OutOfMemoryError as error:
            raise GenerationFailedError("out of memory", hint=_OUT_OF_MEMORY_HINT) from error
        finally:
            self._pipe.maybe_free_model_hooks()
        if not np.isfinite(video).all():
            raise GenerationFailedError(
                "the model made values that are no numbers",
                hint="float16 is too small for some models: set dtype = 'bfloat16' or 'float32'",
            )
        frames: Frames = (video * 255).round().astype(np.uint8)
        return frames

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
        gc.collect()  # its models refer to themselves
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _load(folder: ModelFolder, dtypes: Mapping[str, torch.dtype]) -> Any:
    pipeline_class = getattr(diffusers, folder.pipeline)
    try:
        with _offline():
            pipe = pipeline_class.from_pretrained(
                str(folder.path),
                variant=folder.weights.variant,
                local_files_only=True,
                use_safetensors=True,
                dtype=dict(dtypes),
            )
    except _CANNOT_LOAD as error:
        said = " ".join(str(error).split())[:300]
        raise unusable(folder.path, f"{type(error).__name__}: {said}") from error
    for name in folder.configs:  # weights that the files lack stay without a value, unannounced
        component = getattr(pipe, name)
        for parameter, value in component.named_parameters():
            if value.is_meta:
                raise unusable(folder.path, f"{name} has no weights for {parameter}")
    return pipe


def _with_shift(scheduler: Any, shift: float | None) -> Any:
    """Return a scheduler that differs in the shift of its noise schedule; None: the same one."""
    key = shift_key(scheduler.config)
    if key is None or shift in (None, scheduler.config[key]):
        return scheduler
    return type(scheduler).from_config(scheduler.config, **{key: shift})


def _place(pipe: Any, options: DiffusersOptions, device: str) -> None:
    match options.offload:
        case "none":
            pipe.to(device)
        case "model":
            pipe.enable_model_cpu_offload(device=device)
        case "sequential":
            pipe.enable_sequential_cpu_offload(device=device)


def _device(options: DiffusersOptions) -> str:
    has_gpu = torch.cuda.is_available()
    own = "cuda" if has_gpu else "cpu"
    device = own if options.device == "auto" else options.device
    if device != "cpu" and not has_gpu:
        raise BackendUnavailableError(
            f"diffusers cannot use {device}: torch finds no GPU", hint="set device = 'cpu'"
        )
    if device == "cpu" and options.offload != "none":
        raise ConfigurationError(
            f"offload = {options.offload!r} needs a GPU, and diffusers works on the CPU",
            hint="leave offload out, or set device = 'cuda'",
        )
    return device


def _dtypes(folder: ModelFolder, options: DiffusersOptions, device: str) -> dict[str, torch.dtype]:
    """Return the number format of each component; "default" is for the others."""
    chosen = options.dtype
    if chosen == "auto":
        chosen = "float32" if device == "cpu" else "bfloat16"
    if chosen == "float16" and device == "cpu":
        raise ConfigurationError(
            "dtype = 'float16' does not work on a CPU", hint="set dtype = 'float32'"
        )
    dtype: torch.dtype = getattr(torch, chosen)
    exact = dict.fromkeys(folder.variant.in_float32, torch.float32)
    return {"default": dtype, **exact}


def _be_quiet() -> None:
    """Keep the libraries off stderr: what a person should know comes as events and errors."""
    for logging in (diffusers.utils.logging, transformers.utils.logging):
        logging.disable_progress_bar()
        logging.set_verbosity_error()
    warnings.filterwarnings("ignore", module=r"(diffusers|transformers|torch)\.")


@contextmanager
def _offline() -> Iterator[None]:
    """Make every way to the hub fail; all that is needed is in the folder."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
