"""Branches where states are written every so many blocks only."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.video.codec import read_frames
from media_agent_magi.backend import WanCausalBackend
from media_agent_schemas import JobStatus, VideoRequest

BETWEEN = 3  # states are written after the second block and after the fourth
KEPT_FRAMES = 9 + 12 + 12


@pytest.fixture
async def client(
    tmp_path: Path, releases: Path, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> AsyncIterator[VideoClient]:
    def make(settings: BackendSettings) -> VideoBackend:
        folders = {"self-forcing": releases / "self-forcing"}
        return WanCausalBackend(
            BackendSettings(data_dir=settings.data_dir, name=settings.name, models=folders)
        )

    monkeypatch.setattr("media_agent_magi.plugin.make_wan_causal", make)
    (tmp_path / "none.toml").touch()
    settings = load_settings(config=tmp_path / "none.toml", data_dir=tmp_path / "data")
    async with VideoClient(settings=settings) as client:
        yield client


@pytest.mark.anyio
async def test_a_branch_at_a_block_without_a_state_keeps_the_frames_before_it(
    client: VideoClient, tmp_path: Path
) -> None:
    asked = VideoRequest.model_validate(
        {
            "prompt": "a fox in snow",
            "model": "wan-causal/self-forcing",
            "size": {"width": 32, "height": 32},
            "fps": 16,
            "num_frames": 57,
            "seed": 3,
            "options": {"wan-causal": {"state_every": 2}},
        }
    )
    whole = await client.generate(asked, out=tmp_path / "whole.mp4")
    states = sorted((tmp_path / "data" / "work" / whole.id / "states").glob("*.safetensors"))
    branch = await client.branch(
        whole.id, at=BETWEEN, prompt="two dogs run", duration=0.75, out=tmp_path / "branch.mp4"
    )

    assert whole.status is branch.status is JobStatus.COMPLETED, branch.error
    assert f"{BETWEEN:08d}" not in {path.stem for path in states}
    frames, first = (
        np.stack([*read_frames(tmp_path / name)])[:KEPT_FRAMES]
        for name in ("branch.mp4", "whole.mp4")
    )
    assert np.array_equal(frames, first)
    made = np.stack([*read_frames(tmp_path / "branch.mp4")])
    assert len(made) > KEPT_FRAMES
