"""A chunk of magi/tiny is made again with another seed, from the state before it."""

from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.testing import frames_of
from media_agent_magi.backend import MagiBackend
from media_agent_magi.tiny.family import TinyFamily
from media_agent_schemas import JobStatus, Shot, VideoRequest

CHUNK = 24
STORY = VideoRequest(
    shots=(
        Shot(prompt="a red circle moving right", duration=1),
        Shot(prompt="a blue square", duration=1),
    ),
    seed=3,
    model="magi/tiny",
    options={"magi": {"num_inference_steps": 8}},
)


@pytest.mark.anyio
async def test_a_chunk_is_another_one_with_another_seed_and_the_one_before_it_stays(
    tmp_path: Path, raw_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(settings: BackendSettings) -> VideoBackend:
        return MagiBackend(settings, [TinyFamily(raw_weights)])

    monkeypatch.setattr("media_agent_magi.plugin.make", make)
    async with VideoClient(settings=load_settings(data_dir=tmp_path / "data")) as client:
        whole = await client.generate(STORY)
        plan = await client.plan_branch(whole.id, at=1, prompt="a blue square", duration=1)
        made = []
        for seed in (3, 4):
            request = plan.request.model_copy(update={"seed": seed})
            again = plan.model_copy(update={"request": request})
            job = await client.generate(request, plans=[again])
            assert job.status is JobStatus.COMPLETED, job.error
            made.append(np.array(frames_of(job)))

    before = np.array(frames_of(whole))[:CHUNK]
    same, other = made
    assert np.array_equal(same[:CHUNK], before)
    assert np.array_equal(other[:CHUNK], before)
    assert not np.array_equal(same[CHUNK:], other[CHUNK:])
