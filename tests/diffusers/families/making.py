"""Runs requests through the backend, for the tests of a family."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

from media_agent.backend.protocol import BackendSettings
from media_agent.negotiation.negotiate import negotiate
from media_agent.testing import events_of
from media_agent.testing.simulator.videos import write_video
from media_agent.video.codec import read_frames
from media_agent.video.probe import probe
from media_agent_diffusers.backend import DiffusersBackend
from media_agent_schemas import Plan, Policy, VideoRequest
from media_agent_schemas.events import JobCompleted
from media_agent_schemas.media import InputRole, MediaInput, VideoMetadata

FolderOf = Callable[[str], Path]
FAST = {"num_inference_steps": 2, "max_sequence_length": 16}
_KEYS = (f"made-{number}" for number in count())


@dataclass(frozen=True)
class Maker:
    """A backend with a few models; videos are 32x32 and take two steps if not otherwise."""

    backend: DiffusersBackend

    def plan(self, model: str, *, policy: Policy = Policy.STRICT, **fields: object) -> Plan:
        asked = {**FAST, **fields.get("options", {})}
        options = {name: value for name, value in asked.items() if value is not None}
        given = {
            "prompt": "a red cat",
            "model": f"diffusers/{model}",
            "size": "32x32",
            "seed": 0,
            "num_frames": 9,
            **fields,
            "options": {"diffusers": options},
        }
        request = VideoRequest.model_validate(
            {**given, "size": dict(zip(("width", "height"), given["size"].split("x"), strict=True))}
        )
        return negotiate(request, self.backend.capabilities(model), policy, draw_seed=lambda: 0)

    async def make(self, model: str, **fields: object) -> JobCompleted:
        request = self.plan(model, **fields).request
        ref = await self.backend.submit(request, key=next(_KEYS))
        done = (await events_of(self.backend, ref))[-1]
        assert isinstance(done, JobCompleted), done
        return done

    async def make_frames(self, model: str, **fields: object) -> np.ndarray:
        return frames_of(await self.make(model, **fields))


def make_maker(root: Path, folders: dict[str, Path]) -> Maker:
    return Maker(DiffusersBackend(BackendSettings(data_dir=root, models=folders, threads=1)))


@contextmanager
def open_maker(folder_of: FolderOf, root: Path, *models: str) -> Iterator[Maker]:
    maker = make_maker(root, {model: folder_of(model) for model in models})
    yield maker
    asyncio.run(maker.backend.aclose())


def probe_made(done: JobCompleted) -> VideoMetadata:
    return probe(Path(done.artifacts[0].path or ""))


def frames_of(done: JobCompleted) -> np.ndarray:
    return read_frames(Path(done.artifacts[0].path or ""))


def image(
    role: str = "first_frame", color: str = "red", size: tuple[int, int] = (32, 32)
) -> MediaInput:
    data = BytesIO()
    Image.new("RGB", size, color).save(data, "PNG")
    return MediaInput(role=InputRole(role), data=data.getvalue())


def video(
    folder: Path,
    *,
    frames: int = 9,
    shade: int = 200,
    fps: float = 16,
    role: str = "source_video",
    size: tuple[int, int] = (32, 32),
) -> MediaInput:
    path = folder / f"{role}-{frames}-{shade}-{size[0]}.mp4"
    write_video(path, np.full((frames, size[1], size[0], 3), shade, np.uint8), fps=fps)
    return MediaInput(role=InputRole(role), path=str(path))
