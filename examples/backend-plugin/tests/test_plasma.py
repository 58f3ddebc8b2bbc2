"""The backend keeps the contract, and its words and options do something."""

from pathlib import Path

import numpy as np
import pytest
from media_agent_plasma.backend import PlasmaBackend

from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.testing.conformance import BackendConformance, MakeBackend, RequestFactory
from media_agent.video.codec import read_frames


class TestPlasma(BackendConformance):
    """Everything that media-agent asks of a backend; each test is inherited."""

    @pytest.fixture
    def make_backend(self, tmp_path: Path) -> MakeBackend:
        """Return a function that makes the backend over a folder of its own."""
        return lambda: PlasmaBackend(BackendSettings(data_dir=tmp_path))

    async def test_words_and_options_change_the_image(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """A test of one's own stands beside the inherited ones and uses their fixtures."""
        requests = [
            request_factory(prompt="a calm sea"),
            request_factory(prompt="a red desert"),
            request_factory(prompt="a calm sea", options={"plasma": {"waves": 1}}),
        ]

        ends = [await self.complete(backend, each, f"k{i}") for i, each in enumerate(requests)]

        first, *others = [read_frames(Path(str(end.artifacts[0].path))) for end in ends]
        assert all(not np.array_equal(first, other) for other in others)
