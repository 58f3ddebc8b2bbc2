"""Nothing that is paid is shorter than it was asked: it is made in segments, or refused."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from media_agent.cli import main
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import UnsupportedRequestError
from media_agent.tools import ToolBox
from media_agent_schemas.plan import Plan
from media_agent_schemas.request import VideoRequest

pytestmark = pytest.mark.anyio

SETTINGS = """
[backends.fal]
key = "only-for-tests"

[backends.acme]
kind = "http"
base_url = "http://127.0.0.1:1"
key = "only-for-tests"
[backends.acme.options]
submit = "POST /videos"
id = "id"
poll = "GET /videos/{id}"
state = "status"
done = ["done"]
failed = ["failed"]
result = "url"
max_duration = 10
usd_per_second = 0.1
sizes = ["1280x720"]
fps = [24]
[backends.acme.options.body]
prompt = "{prompt}"
seconds = "{duration}"
"""
SEEDANCE = "fal/bytedance/seedance-2.0/text-to-video"  # 15 s, and segments from last frames
FLASH = "fal/bytedance/seedance-2.5/flash/text-to-video"  # 30 s, and no segments
KLING = "fal/fal-ai/kling-video/v3/pro/text-to-video"  # 15 s, and segments from last frames
LTX = "fal/fal-ai/ltx-2.3/text-to-video"  # 6, 8 or 10 s
MAGI = "fal/fal-ai/magi"  # 8 s, and extends
WAN_22 = "fal/fal-ai/wan/v2.2-a14b/text-to-video"  # 4k + 1 frames at 16 a second


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(SETTINGS, encoding="utf-8")
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(path))
    return path


@pytest.fixture
async def client(settings: Path, tmp_path: Path) -> AsyncIterator[VideoClient]:
    loaded = load_settings(config=settings, data_dir=tmp_path / "data")
    async with VideoClient(settings=loaded) as made:
        yield made


def asked(model: str, **fields: Any) -> VideoRequest:
    return VideoRequest.model_validate({"prompt": "a fox", "model": model, **fields})


async def planned(client: VideoClient, request: VideoRequest) -> Plan | None:
    report = await client.plan_all(request)
    return None if report.chosen is None else report.chosen.plan


def seconds_of(plan: Plan) -> float:
    assert plan.request.num_frames is not None
    assert plan.request.fps is not None
    return plan.request.num_frames / plan.request.fps


TOO_LONG = [
    asked(FLASH, duration=60),
    asked(FLASH, duration=30.1),
    asked(FLASH, num_frames=1440),
    asked(FLASH, num_frames=600, fps=10),
    asked(FLASH, prompt=None, shots=[{"prompt": "a", "duration": 60}]),
    asked(FLASH, prompt=None, shots=[{"prompt": "a", "duration": 9}, {"prompt": "b"}]),
    asked(FLASH, endless=True),
    asked("acme", duration=20),
    asked("acme", duration=10.1),
    asked("fal/some/model", duration=10),
    asked(f"{WAN_22}/lora", duration=12),
]


@pytest.mark.parametrize("request_", TOO_LONG)
async def test_what_is_too_long_is_refused_before_anything_is_kept(
    client: VideoClient, request_: VideoRequest
) -> None:
    with pytest.raises(UnsupportedRequestError, match=r"at once|fixed length|supports 1") as caught:
        await client.start(request_)

    assert "choose a backend that extends or chains videos" in (caught.value.hint or "")
    assert await planned(client, request_) is None
    assert await client.list() == []


@pytest.mark.parametrize("model", [SEEDANCE, KLING, LTX, MAGI, WAN_22, "acme"])
@pytest.mark.parametrize(
    "length",
    [
        *({"duration": seconds} for seconds in (0.5, 3.7, 5.04, 8.02, 10.03, 15, 60, 61.3, 600)),
        {"num_frames": 1441},
        {"num_frames": 900, "fps": 60},
        {"num_frames": 240, "fps": 10},
        {"num_frames": 240, "fps": 23.976},
    ],
)
async def test_a_plan_is_as_long_as_asked_but_for_a_step_of_the_frame_rule(
    client: VideoClient, model: str, length: dict[str, Any]
) -> None:
    request = asked(model, **length)
    plan = await planned(client, request)
    if plan is None:
        return

    capabilities = await client.capabilities(model)
    rate = plan.request.fps or 24.0
    wanted = request.seconds() or request.num_frames / rate
    assert seconds_of(plan) >= wanted - capabilities.frame_multiple / rate - 1e-6
    if plan.segments:
        shared = sum(segment.continues_from == "last_frame" for segment in plan.segments)
        made = sum((segment.request.num_frames or 0) * segment.count for segment in plan.segments)
        assert made - shared >= plan.request.num_frames


@pytest.mark.parametrize("model", [KLING, LTX, MAGI])
async def test_every_shot_of_a_storyboard_in_segments_is_as_long_as_asked(
    client: VideoClient, model: str
) -> None:
    shots = [{"prompt": "a", "duration": 1}, {"prompt": "b", "duration": 16.5}, {"prompt": "c"}]

    plan = await planned(client, asked(model, prompt=None, shots=shots, duration=40))

    assert plan is not None
    lengths = [shot.duration or 0 for shot in plan.request.shots]
    assert all(made >= wanted - 1e-6 for made, wanted in zip(lengths, (1, 16.5, 22.5), strict=True))
    assert seconds_of(plan) >= 40


async def test_frames_at_a_rate_that_a_model_lacks_keep_their_length_and_say_so(
    client: VideoClient,
) -> None:
    plan = await planned(client, asked(KLING, num_frames=120, fps=10))

    assert plan is not None
    assert (plan.request.num_frames, plan.request.fps) == (288, 24)
    said = {change.field: (change.asked, change.used) for change in plan.adjustments}
    assert said["num_frames"] == (120, 288)
    assert said["fps"] == (10, 24)


@pytest.mark.parametrize("tool", ["plan_video", "create_video"])
async def test_the_tools_of_an_agent_shorten_nothing_that_is_paid(
    client: VideoClient, tool: str
) -> None:
    answer = await ToolBox(client).call(tool, {"prompt": "a", "duration": 60, "model": FLASH})

    assert "it makes at most 30 s at once" in json.dumps(answer)
    assert "chosen" not in answer
    assert await client.list() == []


def test_the_command_line_shortens_nothing_that_is_paid(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--backend", FLASH, "--duration", "60", "--out", str(tmp_path / "fox.mp4")]

    assert main(["generate", "a fox", *flags]) == 3
    assert "it makes at most 30 s at once" in capsys.readouterr().err


def test_the_plan_of_the_command_line_says_the_same(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "a fox", "--backend", FLASH, "--duration", "60", "--json"]) == 3

    assert json.loads(capsys.readouterr().out)["chosen"] is None


@pytest.mark.parametrize(("model", "budget"), [(MAGI, 1e6), (LTX, 3e6), (KLING, 1e6)])
async def test_an_endless_plan_within_a_budget_stays_small(
    client: VideoClient, model: str, budget: float
) -> None:
    plan = await planned(client, asked(model, endless=True, budget={"max_cost_usd": budget}))

    assert plan is not None
    assert sum(segment.count for segment in plan.segments) <= 10_000
    assert len(plan.segments) <= 3
    assert len(plan.model_dump_json()) < 5000
    assert (plan.estimate.cost_usd or 0) <= budget
    assert any("ends after 10000 segments: this is the limit" in text for text in plan.warnings)


@pytest.mark.parametrize(
    ("model", "wanted", "used"),
    [
        (SEEDANCE, "640x360", "854x480"),
        (SEEDANCE, "1024x576", "854x480"),
        (SEEDANCE, "360x640", "480x854"),
        (SEEDANCE, "500x500", "480x480"),
        (SEEDANCE, "2560x1080", "2520x1080"),
        ("fal/fal-ai/wan/v2.7/text-to-video", "1024x576", "1280x720"),
        ("fal/fal-ai/wan/v2.7/text-to-video", "640x480", "960x720"),
        ("sandbox", "8192x4320", "4096x2160"),
        ("sandbox", "4320x8192", "2160x4096"),
    ],
)
async def test_the_nearest_size_keeps_the_shape(
    client: VideoClient, model: str, wanted: str, used: str
) -> None:
    width, height = map(int, wanted.split("x"))
    size = {"width": width, "height": height}

    plan = await planned(client, asked(model, duration=5, size=size))

    assert plan is not None
    assert str(plan.request.size) == used
