"""Videos longer than a model makes at once: continued where the provider can, else from a frame.

Each is made against the simulator of its provider, joined to one file, and its seams are scored.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from media_agent.client import VideoClient
from media_agent.config.settings import Settings
from media_agent.errors import UnsupportedRequestError
from media_agent.testing import Simulator
from media_agent.testing.simulator.find import find_simulator
from media_agent.video.probe import probe
from media_agent_hosted.plugin import provider_specs
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.plan import Plan
from media_agent_schemas.records import GenerationRecord
from media_agent_schemas.request import VideoRequest
from tests.hosted.provider_kit import no_sleep

pytestmark = pytest.mark.anyio

SPECS = {spec.name: spec for spec in provider_specs()}
OPTIONS: dict[str, dict[str, Any]] = {"vertex": {"project": "some-project"}}


class Made:
    """A long video, and what its provider was sent for it."""

    def __init__(self, job: VideoJob, record: GenerationRecord, bodies: list[Any]) -> None:
        self.job = job
        self.record = record
        self.bodies = bodies

    @property
    def frames(self) -> int:
        return probe(Path(str(self.job.artifacts[0].path))).frames


async def make(name: str, model: str, folder: Path, **fields: Any) -> Made:
    kind = find_simulator(name, SPECS)
    with kind(queued_polls=0, running_polls=0) as simulator:
        section = {
            "base_url": simulator.url,
            "key": "a-key-0123456789",
            "options": OPTIONS.get(name, {}),
        }
        raw = {"data_dir": folder, "backends": {name: section}}
        async with VideoClient(settings=Settings.model_validate(raw), sleep=no_sleep) as client:
            request = VideoRequest.model_validate({"model": f"{name}/{model}", **fields})
            job = await client.generate(request, out=str(folder / "long.mp4"))
    assert job.status == "completed", job.error
    record = GenerationRecord.model_validate_json((folder / "long.json").read_text("utf-8"))
    return Made(job, record, bodies_of(simulator))


def bodies_of(simulator: Simulator) -> list[Any]:
    """Return what was submitted, in order."""
    return [json.loads(call.body) for call in simulator.calls("submit")]


LONG = [
    ("google", "gemini-omni-1.2-flash", 18.0, "extend", "mime_type"),
    ("vertex", "veo-3.1-generate-001", 15.0, "extend", "video"),
    ("xai", "grok-imagine-video", 16.0, "chain", "image"),
    ("runway", "gemini_omni_flash_1.1", 15.0, "extend", "videoUri"),
    ("runway", "gen4.5", 12.0, "chain", "promptImage"),
    ("luma", "ray-3.2", 12.0, "extend", "generation_id"),
    ("kling", "kling-v1-6", 12.0, "extend", "video_id"),
    ("openrouter", "bytedance/seedance-2.0", 16.0, "chain", "frame_images"),
]


@pytest.mark.parametrize(("name", "model", "seconds", "method", "field"), LONG)
async def test_a_long_video_is_one_file_with_scored_seams(
    name: str, model: str, seconds: float, method: str, field: str, tmp_path: Path
) -> None:
    made = await make(name, model, tmp_path, prompt="a red kite over a beach", duration=seconds)

    plan = made.job.plan
    assert plan.method == method
    assert plan.submissions == len(made.bodies) > 1
    assert made.frames >= 0.9 * seconds * (plan.request.fps or 0)
    assert len(made.record.seams) == plan.seams
    assert all(seam.score is not None for seam in made.record.seams)
    assert all("a red kite over a beach" in json.dumps(body) for body in made.bodies)
    assert not _has(made.bodies[0], field)
    assert all(_has(body, field) for body in made.bodies[1:])


def _has(body: Any, field: str) -> bool:
    """Whether a field stands anywhere in what was sent, with something in it."""
    if isinstance(body, list):
        return any(_has(each, field) for each in body)
    if not isinstance(body, dict):
        return False
    return bool(body.get(field)) or any(_has(each, field) for each in body.values())


async def plan_of(name: str, model: str, folder: Path, **fields: Any) -> Plan:
    section = {"key": "a-key-0123456789", "options": OPTIONS.get(name, {})}
    raw = {"data_dir": folder, "backends": {name: section}}
    async with VideoClient(settings=Settings.model_validate(raw)) as client:
        request = VideoRequest.model_validate({"model": f"{name}/{model}", **fields})
        return await client.plan(request)


@pytest.mark.parametrize(
    ("seconds", "method"), [(25.0, "extend"), (180.0, "extend"), (190.0, "chain")]
)
async def test_a_video_is_not_continued_beyond_what_its_provider_takes(
    seconds: float, method: str, tmp_path: Path
) -> None:
    plan = await plan_of("kling", "kling-v1-6", tmp_path, prompt="a fox", duration=seconds)

    assert plan.method == method


@pytest.mark.parametrize(
    ("name", "model", "field"),
    [("luma", "ray-3.2", "generation_id"), ("kling", "kling-v1-6", "video_id")],
)
async def test_a_video_that_goes_on_is_named_as_its_provider_does(
    name: str, model: str, field: str, tmp_path: Path
) -> None:
    made = await make(name, model, tmp_path, prompt="a fox", duration=12.0)

    first, *further = [_found(body, field) for body in made.bodies]
    assert first is None
    assert len(further) == len(set(further))  # each continues the one before, not the first again
    assert all(each is not None for each in further)


def _found(body: Any, field: str) -> Any:
    if not isinstance(body, dict):
        return None
    inside = (_found(each, field) for each in body.values())
    return body.get(field) or next(filter(None, inside), None)


@pytest.mark.parametrize("name", ["luma/ray-3.2", "kling/video-extend"])
async def test_a_video_from_elsewhere_is_refused_where_only_own_ones_are_continued(
    name: str, tmp_path: Path
) -> None:
    backend, _, model = name.partition("/")
    source = {"role": "source_video", "url": "https://videos.example/fox.mp4"}
    fields = {"prompt": "a fox", "mode": "video_extend"}

    with pytest.raises(UnsupportedRequestError, match="that were made there"):
        await plan_of(backend, model, tmp_path, inputs=[source], **fields)
    plan = await plan_of(backend, model, tmp_path, inputs=[{**source, "own_id": "v-1"}], **fields)

    assert plan.request.inputs[0].own_id == "v-1"


async def test_a_job_is_continued_by_the_id_of_its_video(tmp_path: Path) -> None:
    with find_simulator("luma", SPECS)(queued_polls=0, running_polls=0) as simulator:
        section = {"base_url": simulator.url, "key": "a-key-0123456789"}
        raw = {"data_dir": tmp_path, "backends": {"luma": section}}
        async with VideoClient(settings=Settings.model_validate(raw), sleep=no_sleep) as client:
            request = VideoRequest(prompt="a fox", model="luma/ray-3.2", duration=5)
            job = await client.generate(request, out=str(tmp_path / "fox.mp4"))
            longer = await client.extend(
                job.id, prompt="it sleeps", duration=5, out=str(tmp_path / "longer.mp4")
            )

        assert longer.status == "completed", longer.error
        assert _found(bodies_of(simulator)[-1], "generation_id") == next(iter(simulator.jobs))
    assert probe(tmp_path / "longer.mp4").frames > probe(tmp_path / "fox.mp4").frames


SHOTS = [
    {"prompt": "a kite rises", "duration": 4},
    {"prompt": "the kite dives", "duration": 6},
    {"prompt": "the kite lands", "duration": 5},
]


async def test_shots_go_out_in_one_request_where_the_model_takes_them(tmp_path: Path) -> None:
    made = await make("kling", "kling-v3", tmp_path, shots=SHOTS)

    (body,) = made.bodies
    listed = [(each["prompt"], each["duration"]) for each in body["multi_prompt"]]
    assert listed == [(shot["prompt"], str(shot["duration"])) for shot in SHOTS]
    assert made.record.seams == ()


async def test_elsewhere_every_shot_is_a_segment_with_its_own_prompt(tmp_path: Path) -> None:
    made = await make("runway", "gen4.5", tmp_path, shots=SHOTS, seed=7)

    assert [body["promptText"] for body in made.bodies] == [shot["prompt"] for shot in SHOTS]
    assert {body["seed"] for body in made.bodies} == {7}
    assert len(made.record.seams) == 2
