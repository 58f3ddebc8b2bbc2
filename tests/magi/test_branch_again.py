"""Branches of magi/tiny at chunks whose state is gone: exactly those that there were with it."""

import shutil
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.testing import frames_of
from media_agent_magi.backend import MagiBackend
from media_agent_magi.tiny.family import TinyFamily
from media_agent_schemas import JobStatus, Shot, VideoJob, VideoRequest

pytestmark = pytest.mark.anyio

CHUNK = 24
STORY = VideoRequest(
    shots=(
        Shot(prompt="a red circle moving right", duration=2.5),
        Shot(prompt="a blue square", duration=3.5),
    ),
    seed=3,
    model="magi/tiny",
    options={"magi": {"num_inference_steps": 8}},
)


@pytest.fixture
async def client(
    tmp_path: Path, raw_weights: Path, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> AsyncIterator[VideoClient]:
    def make(settings: BackendSettings) -> VideoBackend:
        return MagiBackend(settings, [TinyFamily(raw_weights)])

    monkeypatch.setattr("media_agent_magi.plugin.make", make)
    (tmp_path / "none.toml").touch()
    settings = load_settings(config=tmp_path / "none.toml", data_dir=tmp_path / "data")
    async with VideoClient(settings=settings) as client:
        yield client


async def branch(client: VideoClient, job: VideoJob, at: int) -> VideoJob:
    made = await client.branch(job.id, at=at, prompt="a green triangle", duration=1)
    assert made.status is JobStatus.COMPLETED, made.error
    return made


async def test_a_branch_is_the_same_whether_its_state_was_kept_or_made_again(
    client: VideoClient, tmp_path: Path
) -> None:
    whole = await client.generate(STORY)
    work = tmp_path / "data" / "work" / whole.id
    shutil.copytree(work, tmp_path / "before")
    kept = await branch(client, whole, 4)

    for gone, has_chunks in product([(4,), (1, 2, 3, 4, 5, 6)], [True, False]):
        shutil.rmtree(work)
        shutil.copytree(tmp_path / "before", work)
        for state in gone:
            (work / "states" / f"{state:08d}.safetensors").unlink()
        if not has_chunks:
            shutil.rmtree(work / "chunks")

        again = await branch(client, whole, 4)

        assert np.array_equal(frames_of(again), frames_of(kept)), (gone, has_chunks)
        assert np.array_equal(frames_of(again)[: 4 * CHUNK], frames_of(whole)[: 4 * CHUNK])
        assert not any("different" in said for said in again.warnings), again.warnings
        assert any("generated again" in said for said in again.warnings)


async def test_a_branch_of_a_branch_of_which_all_is_gone_is_the_same_too(
    client: VideoClient, tmp_path: Path
) -> None:
    first = await client.generate(STORY)
    second = await client.branch(first.id, at=2, prompt="a green triangle", duration=3)
    kept = await branch(client, second, 4)
    for job in (first, second):
        shutil.rmtree(tmp_path / "data" / "work" / job.id)

    again = await branch(client, second, 4)

    assert np.array_equal(frames_of(again), frames_of(kept))
