"""Finished videos are signed, whoever made them and whatever happens on the way."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from media_agent.backend.local import Chunk, GenerationContext
from media_agent.backend.protocol import BackendSettings, BackendSpec
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import ConfigurationError
from media_agent.jobs.delivering import deliver
from media_agent.ledger.ledger import Ledger
from media_agent.provenance.c2pa.read import read_provenance
from media_agent.provenance.record import read_record
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.storage.destination import Destination, is_there
from media_agent.storage.files import sha256_of
from media_agent.testing.simulator.videos import write_video
from media_agent.video.codec import read_frames
from media_agent.video.probe import describe
from media_agent_schemas import (
    ArtifactKind,
    BackendEvent,
    Capabilities,
    InputRole,
    JobCompleted,
    JobStatus,
    MediaInput,
    OperationRef,
    SignerKind,
    VideoJob,
    VideoRequest,
)
from tests.jobs.continuing.test_extend import Continuer, client_of
from tests.jobs.test_run import REQUEST, Crash, PaidBackend, Provider
from tests.jobs.test_segmented import REQUEST as SEGMENTED
from tests.jobs.test_segmented import World as SegmentedWorld
from tests.provenance.c2pa.signed_videos import certificate_of, make_video, sign_as

pytestmark = pytest.mark.anyio
PROMPT = "a fox that nobody is to know of"
SLATE = VideoRequest(prompt=PROMPT, model="sandbox/slate", duration=1, seed=0)


@pytest.fixture(autouse=True)
def _signing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_AGENT_PROVENANCE__SIGN", "try")


def path_of(job: VideoJob) -> Path:
    assert job.status is JobStatus.COMPLETED, job.error
    return Path(str(job.artifacts[0].path))


async def make(folder: Path, request: VideoRequest = SLATE, **settings: Any) -> VideoJob:
    async with VideoClient(settings=load_settings(data_dir=folder / "data", **settings)) as client:
        return await client.generate(request, out=folder / "video.mp4", overwrite=True)


async def test_a_finished_video_says_that_ai_made_it_and_how(tmp_path: Path) -> None:
    job = await make(tmp_path)

    report = read_provenance(path_of(job))
    assert c2pa.Reader(str(path_of(job))).get_validation_state() == "Valid"
    assert (report.state, report.ai_generated) == ("valid", True)
    assert report.generation is not None
    said = report.generation
    assert (said.job_id, said.backend, said.model, said.seed) == (job.id, "sandbox", "slate", 0)
    assert "size" in [each.field for each in said.adjustments]
    assert PROMPT.encode() not in path_of(job).read_bytes()


async def test_record_and_event_say_the_signature_and_the_file_that_is_there(
    tmp_path: Path,
) -> None:
    job = await make(tmp_path)

    record = read_record(job)
    assert record is not None
    video = record.artifacts[0]
    assert video.signature is not None
    assert (video.signature.signed, video.signature.kind) == (True, SignerKind.DEVELOPMENT)
    assert video.sha256 == sha256_of(path_of(job))
    assert video.size_bytes == path_of(job).stat().st_size
    assert job.artifacts == record.artifacts
    events = Ledger(tmp_path / "data" / "ledger.sqlite").events.read(job.id)
    end = next(each.event for each in events if isinstance(each.event, JobCompleted))
    assert end.artifacts[0].signature == video.signature


async def test_the_prompt_itself_is_signed_only_if_the_settings_ask(tmp_path: Path) -> None:
    job = await make(tmp_path, provenance={"sign": "try", "record_prompt": True})

    report = read_provenance(path_of(job))
    assert report.generation is not None
    assert report.generation.prompts == (PROMPT,)


async def test_the_same_seed_gives_the_same_frames_signed_or_not(tmp_path: Path) -> None:
    signed = await make(tmp_path)
    frames = read_frames(path_of(signed))

    unsigned = await make(tmp_path, provenance={"sign": "off"})

    assert (read_frames(path_of(unsigned)) == frames).all()
    signature = unsigned.artifacts[0].signature
    assert signature is not None
    assert (signature.signed, signature.reason) == (False, "provenance.sign is off")
    assert unsigned.warnings == ()


class Stage:
    """A paid provider, and a process after the other that uses it."""

    def __init__(self, folder: Path, video: Path, backend: type[PaidBackend] = PaidBackend) -> None:
        self.backend = backend
        self.folder = folder
        self.provider = Provider(video)

    def process(self, crash_at: str | None = None, **settings: Any) -> VideoClient:
        def checkpoint(step: str) -> None:
            if step == crash_at:
                raise Crash

        def factory(_: BackendSettings) -> PaidBackend:
            return self.backend("paid", self.provider)

        return VideoClient(
            settings=load_settings(data_dir=self.folder / "data", **settings),
            registry=Registry(Discovery({"paid": BackendSpec("paid", factory)})),
            store=Ledger(
                self.folder / "data" / "ledger.sqlite",
                is_owner_alive=lambda owner, silent: False,
            ),
            sleep=lambda seconds: asyncio.sleep(0),
            checkpoint=checkpoint,
        )

    async def make(self, **settings: Any) -> VideoJob:
        return await self.process(**settings).generate(REQUEST, out=self.folder / "cat.mp4")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    write_video(tmp_path / "made.mp4", np.zeros((8, 16, 16, 3), np.uint8), fps=4)
    return Stage(tmp_path, tmp_path / "made.mp4")


async def test_the_manifest_of_a_provider_is_kept_as_that_of_the_parent(stage: Stage) -> None:
    other = stage.folder / "other"
    stage.provider.video = sign_as(
        "provider", stage.folder / "made.mp4", stage.folder / "signed.mp4", other
    )

    job = await stage.make()

    report = read_provenance(path_of(job), [other / "development-root.pem"])
    assert (report.state, report.ai_generated) == ("valid", True)
    (upstream,) = report.ingredients
    assert (upstream.relationship, upstream.generator) == ("parentOf", "provider 1")
    assert upstream.state == "valid"


async def test_a_video_that_must_be_signed_is_not_paid_for_if_it_cannot_be(
    stage: Stage, tmp_path: Path
) -> None:
    certificate, key = certificate_of(tmp_path, days_ago=400)
    own = {"sign": "require", "certificate": certificate, "key": key}

    with pytest.raises(ConfigurationError, match="expired on"):
        await stage.make(provenance=own)

    assert stage.provider.posts == 0
    assert await stage.process().list() == []


async def test_a_job_that_waited_until_the_certificate_expired_is_not_paid_for(
    stage: Stage, tmp_path: Path
) -> None:
    with pytest.raises(Crash):
        await stage.process(crash_at="plan", provenance={"sign": "require"}).generate(
            REQUEST, out=stage.folder / "cat.mp4", job_id="mine"
        )
    certificate, key = certificate_of(tmp_path, days_ago=400)
    own = {"sign": "require", "certificate": certificate, "key": key}

    job = await stage.process(provenance=own).resume("mine")

    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert "expired on" in job.error.message
    assert stage.provider.posts == 0


async def test_an_expired_certificate_is_told_before_and_the_video_is_made(
    stage: Stage, tmp_path: Path
) -> None:
    certificate, key = certificate_of(tmp_path, days_ago=400)
    client = stage.process(provenance={"sign": "try", "certificate": certificate, "key": key})

    plan = await client.plan(REQUEST)
    job = await client.generate(REQUEST, out=stage.folder / "cat.mp4")

    signature = job.artifacts[0].signature
    assert "the video will not be signed: the certificate" in plan.warnings[-1]
    assert [text for text in job.warnings if "signed" in text] == [plan.warnings[-1]]
    assert signature is not None
    assert not signature.signed
    assert "expired on" in str(signature.reason)
    assert sha256_of(path_of(job)) == sha256_of(stage.provider.video)


async def test_a_certificate_that_expires_soon_is_told(stage: Stage, tmp_path: Path) -> None:
    certificate, key = certificate_of(tmp_path, days_ago=350)

    job = await stage.make(provenance={"sign": "try", "certificate": certificate, "key": key})

    assert "the certificate that signs expires on" in job.warnings[0]
    assert read_provenance(path_of(job)).state == "valid"


async def test_without_the_extra_the_record_says_so_and_require_refuses(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)

    with pytest.raises(ConfigurationError, match="c2pa is not installed"):
        await stage.make(provenance={"sign": "require"})
    job = await stage.make()

    signature = job.artifacts[0].signature
    assert signature is not None
    assert "c2pa is not installed" in str(signature.reason)
    assert job.warnings == ()


CALLS: list[bytes] = []
"""The key that `sign_once` signs with, then what it was asked to sign."""


def sign_once(data: bytes) -> bytes:
    """Sign the trial before the work, and be gone when it has ended."""
    CALLS.append(data)
    if len(CALLS) > 2:
        raise RuntimeError("no")
    key = load_pem_private_key(CALLS[0], None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.sign(data, ec.ECDSA(SHA256()))


async def test_a_signer_that_fails_at_the_end_loses_no_video(stage: Stage, tmp_path: Path) -> None:
    """Under require it is not delivered unsigned; resumed when the signer works, it is signed."""
    certificate, key = certificate_of(tmp_path)
    CALLS[:] = [key.get_secret_value().encode()]
    own = {"sign": "require", "certificate": certificate, "callback": f"{__name__}:sign_once"}
    client = stage.process(provenance=own)

    job = await client.generate(REQUEST, out=stage.folder / "cat.mp4")
    again = await stage.process(
        provenance={"sign": "require", "certificate": certificate, "key": key}
    ).resume(job.id)

    assert job.status is JobStatus.OUTCOME_UNKNOWN
    assert job.error is not None
    assert "cannot be signed, and is not delivered without" in job.error.message
    assert "jobs resume" in str(job.error.hint)
    assert read_provenance(path_of(again)).state == "valid"
    assert len(stage.provider.accepted) == 1


async def test_a_signer_that_fails_at_the_end_leaves_the_video_whole_under_try(
    stage: Stage, tmp_path: Path
) -> None:
    certificate, key = certificate_of(tmp_path)
    CALLS[:] = [key.get_secret_value().encode()]
    own = {"sign": "try", "certificate": certificate, "callback": f"{__name__}:sign_once"}

    job = await stage.process(provenance=own).generate(REQUEST, out=stage.folder / "cat.mp4")

    assert sha256_of(path_of(job)) == sha256_of(stage.provider.video)
    assert any("unsigned, because" in warning for warning in job.warnings)


async def test_a_timestamp_authority_that_does_not_answer_is_told_and_not_waited_for(
    stage: Stage,
) -> None:
    job = await stage.make(provenance={"timestamp_url": "http://127.0.0.1:9/"})

    signature = job.artifacts[0].signature
    assert signature is not None
    assert (signature.signed, signature.timestamped) == (True, False)
    told = "the video is signed without a timestamp: the authority gave none: "
    assert any(warning.startswith(told) for warning in job.warnings)


@pytest.mark.parametrize("step", ["observe", "collect", "record", "finish"])
async def test_a_crash_leaves_a_video_that_is_signed_when_it_is_resumed(
    stage: Stage, step: str
) -> None:
    with pytest.raises(Crash):
        await stage.process(crash_at=step).generate(
            REQUEST, out=stage.folder / "cat.mp4", job_id="mine"
        )

    job = await stage.process().resume("mine")

    assert read_provenance(path_of(job)).state == "valid"
    assert is_there(job.artifacts[0])
    assert len(stage.provider.accepted) == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_second_crash_around_the_copy_does_not_take_it_for_a_strangers(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """A signature is another one each time; the file that was put there stays known as ours."""
    publish = Destination.publish

    def crash(self: Destination, source: Path, **options: Any) -> Path:
        if when == "after":
            publish(self, source, **options)
        raise Crash

    monkeypatch.setattr(deliver.Destination, "publish", crash)
    with pytest.raises(Crash):
        await stage.process().generate(REQUEST, out=stage.folder / "cat.mp4", job_id="mine")
    with pytest.raises(Crash):
        await stage.process().resume("mine")
    monkeypatch.setattr(deliver.Destination, "publish", publish)

    job = await stage.process().resume("mine")

    assert read_provenance(path_of(job)).state == "valid"
    assert is_there(job.artifacts[0])


LIFE = """
import asyncio, os, signal, sys
from pathlib import Path
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent_schemas import VideoRequest

folder = Path(sys.argv[1])

def checkpoint(step):
    if step == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

async def life():
    settings = load_settings(data_dir=folder / "data")
    async with VideoClient(settings=settings, checkpoint=checkpoint) as client:
        request = VideoRequest(prompt="a fox", model="sandbox/slate", duration=1, seed=0)
        await client.generate(request, out=folder / "video.mp4", job_id="mine")

asyncio.run(life())
"""


async def test_a_process_that_is_killed_leaves_a_whole_video_that_is_signed(
    tmp_path: Path,
) -> None:
    words = [sys.executable, "-c", LIFE, str(tmp_path), "collect"]
    killed = await asyncio.to_thread(subprocess.run, words, env=dict(os.environ), timeout=60)
    left = read_provenance(tmp_path / "video.mp4").state

    async with VideoClient(settings=load_settings(data_dir=tmp_path / "data")) as client:
        job = await client.resume("mine")

    assert killed.returncode == -signal.SIGKILL
    assert left == "valid"
    assert read_provenance(path_of(job)).state == "valid"
    assert is_there(job.artifacts[0])


async def test_segments_and_the_whole_of_them_are_signed(tmp_path: Path) -> None:
    world = SegmentedWorld(tmp_path)

    job = await world.process().generate(SEGMENTED, out=tmp_path / "dawn.mp4", job_id="mine")

    report = read_provenance(path_of(job))
    assert report.state == "valid"
    assert report.generation is not None
    assert report.generation.job_id == "mine"
    titles = [each.title for each in report.ingredients]
    assert titles == ["segment 1", "segment 2", "segment 3"]
    assert {each.relationship for each in report.ingredients} == {"componentOf"}
    assert {each.state for each in report.ingredients} == {"valid"}
    segment = world.process().store.jobs.get("mine.segment-0002")
    assert read_provenance(path_of(segment)).ingredients == ()


async def test_a_foreign_manifest_stays_when_the_video_is_continued(tmp_path: Path) -> None:
    source = sign_as("camera", make_video(tmp_path / "x.mp4"), tmp_path / "y.mp4", tmp_path / "ca")

    async with client_of(Continuer, tmp_path) as client:
        job = await client.extend(
            source, model="continuer", prompt="on", duration=1, out=tmp_path / "z.mp4"
        )

    report = read_provenance(path_of(job))
    assert job.artifacts[0].joined is not None
    assert report.state == "valid"
    (ingredient,) = report.ingredients
    assert (ingredient.relationship, ingredient.generator) == ("parentOf", "camera 1")
    assert ingredient.state == "valid"


async def test_a_source_that_was_changed_since_is_no_ingredient_by_its_bytes(
    tmp_path: Path,
) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(b"one")
    from media_agent.provenance.c2pa.ingredients import list_ingredients

    async with client_of(Continuer, tmp_path) as client:
        job = await client.extend(
            make_video(tmp_path / "x.mp4"),
            model="continuer",
            prompt="on",
            duration=1,
            out=tmp_path / "z.mp4",
        )
    medium = MediaInput(role=InputRole.FIRST_FRAME, path=str(image))
    sent = job.plan.request.model_copy(update={"inputs": (medium,)})
    job = job.model_copy(update={"plan": job.plan.model_copy(update={"request": sent})})

    def find(digest: str) -> list[Any]:
        listed = list_ingredients(job, path_of(job), digests={str(image): digest})
        return [each.content for each in listed if each.relationship == "inputTo"]

    assert find(sha256_of(image)) == [image]
    assert find("0" * 64) == [None]


async def test_of_several_videos_each_is_signed(tmp_path: Path) -> None:
    write_video(tmp_path / "made.mp4", np.zeros((8, 16, 16, 3), np.uint8), fps=4)
    make_video(tmp_path / "other.mp4")

    class Twins(PaidBackend):
        def capabilities(self, model: str | None = None) -> Capabilities:
            return super().capabilities(model).model_copy(update={"max_n": 2})

        async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
            names = ("made.mp4", "other.mp4")
            yield JobCompleted(artifacts=tuple(describe(tmp_path / name) for name in names))

    stage = Stage(tmp_path, tmp_path / "made.mp4", Twins)
    job = await stage.process().generate(
        REQUEST.model_copy(update={"n": 2}), out=tmp_path / "cat.mp4"
    )

    assert len(job.artifacts) == 2
    for video in job.artifacts:
        assert read_provenance(Path(str(video.path))).state == "valid"
        assert is_there(video)


class Breaker(Continuer):
    """Breaks off after the first second."""

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        yield Chunk(0, np.full((10, 32, 32, 3), 90, np.uint8))
        raise OSError("no more")


async def test_what_there_is_of_a_video_that_broke_off_is_signed_too(tmp_path: Path) -> None:
    async with client_of(Breaker, tmp_path) as client:
        request = VideoRequest(prompt="gray", model="continuer/part", duration=2)
        job = await client.generate(request, out=tmp_path / "gray.mp4")

    assert job.status is JobStatus.FAILED
    (partial,) = job.artifacts
    assert partial.kind is ArtifactKind.PARTIAL_VIDEO
    assert read_provenance(Path(str(partial.path))).state == "valid"
    assert is_there(partial)


async def test_a_watermark_is_among_the_actions_and_is_put_in_before_the_signature(
    tmp_path: Path,
) -> None:
    job = await make(tmp_path, SLATE.model_copy(update={"watermark": "encoded"}))

    said = json.loads(c2pa.Reader(str(path_of(job))).json())
    assertions = said["manifests"][said["active_manifest"]]["assertions"]
    actions = next(each["data"]["actions"] for each in assertions if "actions" in each["label"])
    assert job.artifacts[0].marking is not None
    assert said["validation_state"] == "Valid"
    assert [each["action"] for each in actions] == ["c2pa.created", "c2pa.watermarked.unbound"]


async def test_a_copy_that_was_signed_before_the_settings_changed_is_signed_again(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = certificate_of(tmp_path)
    publish = Destination.publish
    CALLS[:] = []

    def crash(self: Destination, source: Path, **options: Any) -> Path:
        raise Crash

    monkeypatch.setattr(deliver.Destination, "publish", crash)
    with pytest.raises(Crash):
        await stage.process(provenance={"record_prompt": True}).generate(
            REQUEST, out=stage.folder / "cat.mp4", job_id="mine"
        )
    monkeypatch.setattr(deliver.Destination, "publish", publish)
    monkeypatch.setenv("THE_KEY", key.get_secret_value())
    own = {"sign": "require", "certificate": certificate, "key_env": "THE_KEY"}

    job = await stage.process(provenance=own).resume("mine")

    signature, generation = job.artifacts[0].signature, read_provenance(path_of(job)).generation
    assert signature is not None
    assert signature.kind is SignerKind.CERTIFICATE
    assert generation is not None
    assert generation.prompts == ()
    trusting = read_provenance(path_of(job), [tmp_path / "root.pem"])
    assert trusting.state == "trusted"
