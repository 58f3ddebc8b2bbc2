"""Videos in windows or segments, made in a process that stops on the way until it is killed."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

from media_agent.backend.local import Chunk, GenerationContext
from media_agent.backend.protocol import BackendSettings, BackendSpec
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent_diffusers.backend import DiffusersBackend
from media_agent_schemas import VideoRequest

LAST_MADE = 2
"""Windows or segments that are there when the process stops."""


class StoppingBackend(DiffusersBackend):
    """Hands over a third window, or one of a third segment, to nobody."""

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        before = int(request.labels.get("segment", "1")) - 1
        for chunk in super().generate(request, context):
            if before + chunk.index == LAST_MADE:
                threading.Event().wait()
            yield chunk


def client_of(
    folder: Path, models: dict[str, str], backend: type[DiffusersBackend] = DiffusersBackend
) -> VideoClient:
    """Return a client whose only backend has these folders; the I2V model continues the other."""
    options = {"models": models, "image_models": {"wan": "wan-i2v"} if "wan" in models else {}}
    spec = BackendSpec("diffusers", lambda settings: backend(_add(settings, options)))
    return VideoClient(
        settings=load_settings(data_dir=folder / "data", config=folder / "none.toml"),
        registry=Registry(Discovery({"diffusers": spec})),
    )


def _add(settings: BackendSettings, options: dict[str, object]) -> BackendSettings:
    return BackendSettings(
        settings.data_dir, {**settings.options, **options}, name=settings.name, threads=1
    )


def make(folder: Path, models: dict[str, str], request: str) -> None:
    """Make the video of a request until this process is killed."""

    async def life() -> None:
        async with client_of(folder, models, StoppingBackend) as client:
            await client.generate(VideoRequest.model_validate(json.loads(request)), job_id="mine")

    asyncio.run(life())
