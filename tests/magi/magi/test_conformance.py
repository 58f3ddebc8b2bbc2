"""A small model in the released layout keeps the contract of a backend."""

from pathlib import Path

import pytest

from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.testing.conformance import BackendConformance, MakeBackend, RequestFactory
from media_agent_magi.backend import MagiBackend
from media_agent_schemas import Capabilities, VideoRequest


class TestMagiReleased(BackendConformance):
    @pytest.fixture
    def make_backend(self, tmp_path: Path, release: Path) -> MakeBackend:
        settings = BackendSettings(data_dir=tmp_path, models={"small": release})
        return lambda: MagiBackend(settings, [])

    def asked(self, backend: VideoBackend) -> VideoRequest:
        return super().asked(backend).model_copy(update={"model": "magi/small"})

    @pytest.mark.xfail(
        strict=False,
        reason="keys are made again of clean latents: the same but for rounding, as test_videos "
        "shows in float32; these random weights in bfloat16 make much of it",
    )
    async def test_a_video_told_to_finish_has_the_same_end_after_a_kill(
        self,
        backend: VideoBackend,
        capabilities: Capabilities,
        make_backend: MakeBackend,
        request_factory: RequestFactory,
    ) -> None:
        await super().test_a_video_told_to_finish_has_the_same_end_after_a_kill(
            backend, capabilities, make_backend, request_factory
        )
