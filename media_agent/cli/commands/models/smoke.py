"""The command that makes one chunk with a local model, and says whether it is a video at all."""

from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.cli.arguments import Flag, Name, read_frame_size
from media_agent.cli.screen import write_facts, write_json

if TYPE_CHECKING:
    from pydantic import JsonValue

    from media_agent.backend.protocol import VideoBackend
    from media_agent.config.settings import Settings
    from media_agent_schemas import BackendEvent
    from media_agent_schemas.capabilities import Capabilities
    from media_agent_schemas.media import Size
    from media_agent_schemas.request import VideoRequest

_PROMPT = "a red circle moving right"  # words that all models know
_SHORTEST = 1.0  # seconds, of a model that has no chunks
_VIDEO = "a video"


def smoke_model(name: str, /, *, size: Name = None, json: Flag = False) -> int:
    """Make one chunk with a local model, look at it, and print a report that can be shared.

    The report holds no path, no key and no name of the machine. The exit code is 1 if what was made
    is black, of one colour, or noise.

    Args:
        name: BACKEND/MODEL, as shown by models list.
        size: WxH of the frames. Default: the model's.
        json: Print JSON.
    """
    import asyncio
    import tempfile

    from media_agent.config.settings import load_settings
    from media_agent.errors import InvalidRequestError

    settings, (backend_name, _, model) = load_settings(), name.partition("/")
    with tempfile.TemporaryDirectory() as folder:
        backend = _make(settings, backend_name, Path(folder))
        capabilities = backend.capabilities(model or None)
        if not capabilities.local:
            raise InvalidRequestError(
                f"{name} is not on this machine", hint="name one of: media-agent models list"
            )
        if capabilities.missing is not None:
            raise InvalidRequestError(f"{name} needs {capabilities.missing}")
        wanted = None if size is None else read_frame_size(size)
        request = _build_request(backend_name, capabilities, wanted)
        report = asyncio.run(_smoke(backend, request))
    if json:
        write_json(report)
    else:
        write_facts((key.replace("_", " "), value) for key, value in report.items())
    return 0 if report["verdict"] == _VIDEO else 1


def _make(settings: "Settings", name: str, folder: Path) -> "VideoBackend":
    """Make a backend that knows all models and works in another folder."""
    from dataclasses import replace

    from media_agent.registry.model_folders import add_models
    from media_agent.registry.registry import Registry

    registry = Registry(kinds=settings.kinds())
    own = settings.backend_settings(name, registry.spec(name))
    spec = registry.specs.get(registry.kind(name))
    if spec is None:
        return registry.create(name, own)  # says that there is none
    own = add_models(spec.name, own) if spec.takes_folders else own
    own.free_memory.read()
    return registry.make(spec, replace(own, data_dir=folder))


def _build_request(
    backend: str, capabilities: "Capabilities", size: "Size | None"
) -> "VideoRequest":
    from media_agent_schemas.request import VideoRequest

    seconds = capabilities.chunk_seconds or capabilities.min_duration or _SHORTEST
    fps = capabilities.default_fps or 24.0
    return VideoRequest(
        prompt=_PROMPT,
        model=f"{backend}/{capabilities.model}",
        size=size or capabilities.default_size,
        fps=fps,
        num_frames=max(1, round(seconds * fps)),
        seed=0,
    )


async def _smoke(backend: "VideoBackend", request: "VideoRequest") -> "dict[str, JsonValue]":
    """Make the video and return what is said of it."""
    import time
    from contextlib import aclosing

    from media_agent.distribution import own_version
    from media_agent.errors import GenerationFailedError, PluginError
    from media_agent.video.codec import read_frames
    from media_agent.video.look import find_faults
    from media_agent_schemas.events import JobCompleted, JobFailed, JobProgressed

    estimate = backend.estimate(request)
    started = time.monotonic()
    loaded: float | None = None
    end: BackendEvent | None = None
    try:
        ref = await backend.submit(request, key="smoke")
        async with aclosing(backend.observe(ref)) as events:
            async for event in events:
                end = event
                is_loading = isinstance(event, JobProgressed) and "loading" in (event.phase or "")
                if loaded is None and isinstance(event, JobProgressed) and not is_loading:
                    loaded = time.monotonic() - started
        seconds = time.monotonic() - started
    finally:
        await backend.aclose()
    if isinstance(end, JobFailed):
        raise GenerationFailedError(end.error.message, hint=end.error.hint)
    if not isinstance(end, JobCompleted) or not end.artifacts or end.artifacts[0].path is None:
        raise PluginError(f"{request.model} ended without a video, and does not say why")
    faults = find_faults(read_frames(Path(end.artifacts[0].path)))
    computed = end.computation
    return {
        "verdict": ", ".join(faults) or _VIDEO,
        "model": request.model,
        "size": str(request.size),
        "frames": end.frames,
        "seconds": round(seconds, 2),
        "seconds_loading": None if loaded is None else round(loaded, 2),
        "held": None if estimate.memory is None else str(estimate.memory),
        "device": None if computed is None else computed.device,
        "instructions": None if computed is None else computed.instructions,
        "dtype": None if computed is None else computed.dtype,
        "library": None if computed is None else computed.library,
        "media_agent": own_version(),
    }
