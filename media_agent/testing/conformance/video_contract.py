"""The video: made from every field of the request, and from no other seed than the one asked."""

from pathlib import Path

import pytest

from media_agent.backend.protocol import BackendSpec, VideoBackend
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import UnsupportedRequestError
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.testing.conformance.base_contract import Contract, MakeBackend, RequestFactory
from media_agent.testing.conformance.observe import frames_of
from media_agent.testing.conformance.watched_request import list_given_fields, watch_request
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.jobs import JobStatus
from media_agent_schemas.media import CameraMove
from media_agent_schemas.records import GenerationRecord
from media_agent_schemas.request import Shot

_FOR_THE_CORE = frozenset({"schema_version", "mode", "labels", "consent", "budget", "routing", "n"})
_FIELDS: dict[str, object] = {
    "negative_prompt": "a blue square",
    "camera": CameraMove.ZOOM_IN,
    "audio": True,
    "aspect_ratio": "16:9",
}


class VideoContract(Contract):
    """What holds for every video."""

    async def test_seed_zero_is_a_seed(
        self, backend: VideoBackend, capabilities: Capabilities, request_factory: RequestFactory
    ) -> None:
        """0 is a value like any other: it is used, and the end does not name another seed."""
        if capabilities.seed is False:
            pytest.skip("it supports no seed")
        end = await self.complete(backend, request_factory(seed=0), "seed-0")

        assert end.seed in (0, None)
        if self.is_local(backend):
            again = await self.complete(backend, request_factory(seed=0), "seed-0-again")
            other = await self.complete(backend, request_factory(seed=1), "seed-1")
            assert (frames_of(end) == frames_of(again)).all(), (
                "seed 0 is replaced by a random one each time"
            )
            assert (frames_of(end) != frames_of(other)).any(), "the seed changes nothing"

    async def test_no_field_of_a_request_is_dropped_silently(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """Each field is refused or adjusted with a reason beforehand, or else it is read."""
        kept: dict[str, object] = {}
        for name, value in _FIELDS.items():
            try:
                if getattr(request_factory(**kept, **{name: value}), name) == value:
                    kept[name] = value
            except UnsupportedRequestError:
                continue
        request, read = watch_request(request_factory(**kept), dump_reads_all=self.sends_everything)

        await self.complete(backend, request, "fields")

        assert list_given_fields(request) - _FOR_THE_CORE - read == set()

    async def test_the_video_is_as_it_was_negotiated(
        self, backend: VideoBackend, request_factory: RequestFactory
    ) -> None:
        """Number and size of the frames are those of the request, where it is made here."""
        if not self.is_local(backend):
            pytest.skip("the video is generated elsewhere; the record says what was delivered")
        request = request_factory()

        frames = frames_of(await self.complete(backend, request, "as-negotiated"))

        assert len(frames) == request.num_frames
        if request.size is not None:
            assert frames.shape[1:3] == (request.size.height, request.size.width)

    async def test_a_storyboard_that_it_takes_becomes_one_video(
        self, backend: VideoBackend, capabilities: Capabilities, request_factory: RequestFactory
    ) -> None:
        """Every shot is made under its own prompt."""
        if capabilities.max_shots is not None and capabilities.max_shots < 2:
            pytest.skip("it supports one shot")
        prompt = self.asked(backend).prompt or "a red circle"
        shot = Shot(prompt=prompt, duration=capabilities.chunk_seconds or 0.5)
        request = request_factory(shots=(shot, shot))

        end = await self.complete(backend, request, "storyboard")

        assert end.artifacts
        assert end.frames in (None, request.num_frames)

    async def test_a_client_makes_a_video_and_a_record_with_it(
        self,
        make_backend: MakeBackend,
        base_url: str | None,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The whole way: planned, submitted, observed, collected, probed, recorded."""
        monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(tmp_path / "none.toml"))
        backend = make_backend()
        spec = BackendSpec(name=backend.name, factory=lambda settings: backend)
        settings = load_settings(
            data_dir=tmp_path / "client",
            default_backend=backend.name,
            backends={backend.name: {"base_url": base_url}},
        )
        registry = Registry(Discovery({backend.name: spec}))

        async with VideoClient(settings=settings, registry=registry) as client:
            job = await client.generate(self.asked(backend), out=tmp_path / "video.mp4")

        assert job.status is JobStatus.COMPLETED, job.error
        record = GenerationRecord.model_validate_json((tmp_path / "video.json").read_bytes())
        assert record.delivered is not None
        assert record.delivered.frames > 0
        assert record.backend == backend.name
        assert record.sent == job.plan.request
        assert record.verification == backend.capabilities(self.model).verification
