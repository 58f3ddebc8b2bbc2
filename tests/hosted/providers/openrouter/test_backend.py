"""OpenRouter: what is built, what answers mean, its list of models, and the whole way."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import JsonValue

from media_agent.backend.protocol import BackendSettings
from media_agent.client import VideoClient
from media_agent.config.settings import Settings
from media_agent.errors import (
    BackendAuthenticationError,
    ContentRejectedError,
    InvalidRequestError,
    MediaAgentError,
    SubmitUncertainError,
    UnsupportedRequestError,
)
from media_agent.negotiation.negotiate import negotiate
from media_agent.testing import Fault
from media_agent.video.probe import probe
from media_agent_hosted.parsing.states import State
from media_agent_hosted.providers.openrouter import SPEC
from media_agent_hosted.providers.openrouter.backend import OpenRouterBackend
from media_agent_hosted.providers.openrouter.listed import ListedModels
from media_agent_hosted.providers.openrouter.simulator import OpenRouterSimulator
from media_agent_schemas.media import InputRole, MediaInput, ResolutionTier
from media_agent_schemas.request import VideoMode, VideoRequest
from tests.hosted.provider_kit import Provider, no_sleep

pytestmark = pytest.mark.anyio

ROUTER = Provider(SPEC, __file__)
SEEDANCE, VEO, MOTION = "bytedance/seedance-2.0", "google/veo-3.1", "acme/motion-1"
HERE = "https://openrouter.ai/api/v1"
JOB = f"{HERE}/videos/gen-vid-1763600000-abc"


def at(role: InputRole, name: str = "a.png") -> MediaInput:
    return MediaInput(role=role, url=f"https://images.example/{name}")


FIRST, LAST = at(InputRole.FIRST_FRAME), at(InputRole.LAST_FRAME, "b.png")
SUBJECT, MOVES = at(InputRole.SUBJECT), at(InputRole.MOTION, "dance.mp4")


async def sent(
    folder: Path, model: str = SEEDANCE, listed: bool = False, **fields: Any
) -> list[httpx.Request]:
    """Submit a request and return what was sent; with `listed` its list is kept before."""
    talk = ROUTER.talk(folder, "models", "submitted")
    backend = talk.backend
    assert isinstance(backend, OpenRouterBackend)
    if listed:
        backend.models.keep(ROUTER.replies.read("models")["body"], 0.0)
        backend.models = backend._read_models()
    named = {"prompt": "a fox", "model": f"openrouter/{model}", **fields}
    request = VideoRequest.model_validate(named)
    plan = negotiate(request, backend.capabilities(model), draw_seed=lambda: 7)
    await backend.submit(plan.request, key="job-1")
    return talk.asked


async def body_of(folder: Path, model: str = SEEDANCE, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((await sent(folder, model, **fields))[-1].content)
    return body


async def test_the_documented_request_is_built(tmp_path: Path) -> None:
    asked = await sent(
        tmp_path, duration=5.0, aspect_ratio="16:9", resolution=ResolutionTier.P720, audio=True
    )

    assert str(asked[-1].url) == f"{HERE}/videos"
    assert json.loads(asked[-1].content) == {
        "model": SEEDANCE,
        "prompt": "a fox",
        "duration": 5,
        "aspect_ratio": "16:9",
        "resolution": "720p",
        "seed": 7,
        "generate_audio": True,
    }


@pytest.mark.parametrize(
    ("inputs", "field", "expected"),
    [
        (
            (FIRST, LAST),
            "frame_images",
            [
                {"type": "image_url", "image_url": {"url": FIRST.url}, "frame_type": "first_frame"},
                {"type": "image_url", "image_url": {"url": LAST.url}, "frame_type": "last_frame"},
            ],
        ),
        (
            (SUBJECT, MOVES),
            "input_references",
            [
                {"type": "image_url", "image_url": {"url": SUBJECT.url}},
                {"type": "video_url", "video_url": {"url": MOVES.url}},
            ],
        ),
    ],
)
async def test_inputs_go_into_the_list_of_their_kind(
    inputs: Any, field: str, expected: Any, tmp_path: Path
) -> None:
    assert (await body_of(tmp_path, inputs=inputs))[field] == expected


def test_frames_and_references_exclude_each_other() -> None:
    with pytest.raises(UnsupportedRequestError):
        ROUTER.plan(inputs=(FIRST, SUBJECT))


async def test_an_earlier_job_is_named_by_an_option(tmp_path: Path) -> None:
    body = await body_of(tmp_path, options={"openrouter": {"previous_job_id": "gen-vid-1"}})

    assert body["previous_job_id"] == "gen-vid-1"


@pytest.mark.parametrize(
    ("submitted", "asked"), [("submitted", JOB), ("relative", JOB)], ids=["absolute", "relative"]
)
async def test_the_documented_conversation_is_understood(
    submitted: str, asked: str, tmp_path: Path
) -> None:
    talk = ROUTER.talk(tmp_path, "models", submitted, "pending", "in_progress", "completed")

    end = await talk.end(duration=5.0)

    assert end.type == "job.completed"
    assert end.artifacts[0].uri == "https://storage.example/fox.mp4?sig=1"
    assert end.cost is not None
    assert (end.cost.usd, end.cost.source) == (0.71, "openrouter")
    assert "previous_job_id=gen-vid-1763600000-abc" in end.warnings[0]
    assert [str(each.url) for each in talk.asked[2:]] == [asked] * 3
    assert {each.headers["authorization"] for each in talk.asked} == {f"Bearer {ROUTER.key}"}


async def test_a_polling_address_elsewhere_never_gets_the_key(tmp_path: Path) -> None:
    elsewhere = ROUTER.replies.read("submitted")
    elsewhere["body"]["polling_url"] = "https://evil.example/videos/gen-vid-1763600000-abc"
    talk = ROUTER.talk(tmp_path, "models", elsewhere, "completed")

    assert (await talk.end()).type == "job.completed"
    assert {each.url.host for each in talk.asked} == {"openrouter.ai"}


@pytest.mark.parametrize(
    ("name", "kind", "code", "said"),
    [
        ("failed", "job.failed", "generation_failed", "returned an error"),
        ("blocked", "job.failed", "content_rejected", "was blocked"),
        ("expired", "job.failed", "generation_failed", "expired"),
    ],
)
async def test_a_failure_says_why(
    name: str, kind: str, code: str, said: str, tmp_path: Path
) -> None:
    end = await ROUTER.talk(tmp_path, "models", "submitted", name).end()

    assert end.type == "job.failed"
    assert (end.type, end.error.code) == (kind, code)
    assert said in end.error.message


async def test_a_cancelled_job_is_cancelled(tmp_path: Path) -> None:
    end = await ROUTER.talk(tmp_path, "models", "submitted", "cancelled").end()

    assert end.type == "job.cancelled"


@pytest.mark.parametrize(
    ("usage", "usd", "warnings"),
    [
        ({"cost": 0.0}, 0.0, 1),
        ({"cost": 0.01, "is_byok": True}, None, 2),
        ({"cost": -1}, None, 1),
        ({"cost": "n/a"}, None, 1),
        (None, None, 1),
    ],
)
def test_what_was_charged_is_read_unless_somebody_else_bills_it(
    usage: JsonValue, usd: float | None, warnings: int
) -> None:
    backend = OpenRouterBackend(BackendSettings(data_dir=Path()))

    status = backend.parse({"id": "x", "status": "completed", "usage": usage})

    assert (None if status.cost is None else status.cost.usd) == usd
    assert len(status.warnings) == warnings


def test_a_word_that_is_not_known_is_no_end() -> None:
    backend = OpenRouterBackend(BackendSettings(data_dir=Path()))

    assert backend.parse({"id": "x", "status": "polishing"}).state is None
    assert backend.parse({"id": "x", "status": "pending"}).state is State.QUEUED


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (402, {"error": {"code": 402, "message": "no credits"}}, BackendAuthenticationError),
        (403, {"error": {"message": "x", "metadata": {"reasons": ["y"]}}}, ContentRejectedError),
        (403, {"error": {"message": "not for this key"}}, BackendAuthenticationError),
        (400, {"error": {"message": "violates our content policy"}}, ContentRejectedError),
        (400, {"error": {"message": "duration: too long"}}, InvalidRequestError),
        (404, {"error": {"message": "No such model"}}, InvalidRequestError),
        (502, {"error": {"message": "violates our content policy"}}, SubmitUncertainError),
    ],
)
async def test_a_refused_submission_says_what_is_wrong(
    status: int, body: Any, error: type[MediaAgentError], tmp_path: Path
) -> None:
    talk = ROUTER.talk(tmp_path, "models", {"status": status, "body": body})

    with pytest.raises(error):
        await talk.end()

    assert len(talk.asked) == 2


async def test_the_list_is_fetched_with_a_submission_and_then_kept_for_a_day(
    tmp_path: Path,
) -> None:
    now = [1_763_600_000.0]
    with OpenRouterSimulator() as simulator:
        backend = ROUTER.make(tmp_path, simulator.url, clock=lambda: now[0])
        for number, wait in enumerate((0.0, 3600.0, 24 * 3600.0)):
            now[0] += wait
            await backend.submit(ROUTER.plan(duration=4.0), key=f"job-{number}")
        another = ROUTER.make(tmp_path, simulator.url)

        assert len(simulator.calls("models")) == 2
        assert MOTION in backend.capabilities().models
        assert another.capabilities().models == backend.capabilities().models
        assert another.capabilities().model == SEEDANCE
        assert "by its list of 2025-11-2" in another.capabilities(MOTION).description


@pytest.mark.parametrize(
    "trouble",
    [
        Fault("models", "status", status=500, times=None),
        Fault("models", "garbage", times=None),
        Fault("models", "status", status=404),
    ],
)
async def test_a_list_that_cannot_be_had_keeps_no_video_back(
    trouble: Fault, tmp_path: Path
) -> None:
    with OpenRouterSimulator([trouble], queued_polls=0, running_polls=0) as simulator:
        end = (await ROUTER.run(ROUTER.make(tmp_path, simulator.url), duration=4.0))[-1]

    assert end.type == "job.completed"
    assert simulator.accepted == 1


def listed(folder: Path, **said: JsonValue) -> OpenRouterBackend:
    """Return a backend that keeps a list with one model, of which this is said."""
    entry: JsonValue = {"id": MOTION, **said}
    backend = ROUTER.make(folder)
    assert isinstance(backend, OpenRouterBackend)
    backend.models.keep({"data": [entry]}, 1_763_600_000.0)
    again = ROUTER.make(folder)
    assert isinstance(again, OpenRouterBackend)
    return again


def test_what_is_null_is_unknown_and_not_missing(tmp_path: Path) -> None:
    facts = listed(tmp_path, seed=None, generate_audio=None).capabilities(MOTION)

    assert (facts.seed, facts.audio) == ("unknown", "unknown")
    assert VideoMode.FIRST_LAST_FRAME in facts.modes
    assert "21:9" in facts.aspect_ratios
    assert ResolutionTier.K4 in facts.resolutions
    assert facts.durations == (1, 2, 3, 4, 5)  # max_duration of the settings


def test_what_is_known_to_be_missing_is_refused_in_the_plan(tmp_path: Path) -> None:
    facts = listed(
        tmp_path,
        seed=False,
        generate_audio=False,
        supported_frame_images=[],
        supported_resolutions=["1080p", "4K"],
        supported_durations=[6, 10],
        supported_aspect_ratios=["16:9", "nonsense"],
    ).capabilities(MOTION)

    assert (facts.seed, facts.audio) == (False, False)
    assert facts.modes == (VideoMode.TEXT_TO_VIDEO, VideoMode.REFERENCE_TO_VIDEO)
    assert facts.resolutions == (ResolutionTier.P1080, ResolutionTier.K4)
    assert (facts.durations, facts.default_duration) == ((6, 10), 6)
    assert facts.aspect_ratios == ("16:9",)


def test_a_first_frame_alone_is_no_last_frame(tmp_path: Path) -> None:
    facts = listed(tmp_path, supported_frame_images=["first_frame"]).capabilities(MOTION)

    assert VideoMode.IMAGE_TO_VIDEO in facts.modes
    assert VideoMode.FIRST_LAST_FRAME not in facts.modes


async def test_an_unsaid_resolution_is_left_to_the_model_unless_it_is_asked(
    tmp_path: Path,
) -> None:
    backend = listed(tmp_path)

    def body(**fields: Any) -> dict[str, Any]:
        named = {"prompt": "a fox", "model": f"openrouter/{MOTION}", **fields}
        request = VideoRequest.model_validate(named)
        plan = negotiate(request, backend.capabilities(MOTION), draw_seed=lambda: 7)
        return dict(backend.models.by_id[MOTION].always) | _fields(backend, plan.request)

    assert "resolution" not in body()
    assert "seed" not in body()
    assert body(resolution="4k", seed=0)["resolution"] == "4K"
    assert body(resolution="4k", seed=0)["seed"] == 0


def _fields(backend: OpenRouterBackend, request: VideoRequest) -> dict[str, Any]:
    from media_agent_hosted.models.fields import build_fields

    return build_fields(request, backend.models.by_id[MOTION])


@pytest.mark.parametrize(
    ("skus", "tier", "usd"),
    [
        ({"per-video-second": "0.50", "per-video-second-1080p": "0.75"}, "720p", 2.0),
        ({"per-video-second": "0.50", "per-video-second-1080p": "0.75"}, "1080p", 3.0),
        ({"per-video-second": "0.50", "per-video-second-1080p": "0.75"}, "2k", None),
        ({"per-video-second": "0.50", "per-video-second-2K": "0.75"}, "2k", 3.0),
        ({"per-video-second-1080p": "0.75"}, "720p", None),
        ({"per-video-second": "0.50", "per-audio-second": "0.1"}, "720p", None),
        ({"per-video-second": "n/a"}, "720p", None),
        ({"per-video-second": -1}, "720p", None),
        ({}, "720p", None),
        (None, "720p", None),
    ],
)
def test_a_price_is_told_where_the_list_says_it_plainly(
    skus: JsonValue, tier: str, usd: float | None, tmp_path: Path
) -> None:
    backend = listed(
        tmp_path,
        supported_durations=[4],
        supported_resolutions=["720p", "1080p", "2K"],
        pricing_skus=skus,
    )
    request = VideoRequest(prompt="a", model=f"openrouter/{MOTION}", resolution=tier, duration=4)
    plan = negotiate(
        request, backend.capabilities(MOTION), draw_seed=lambda: 7, estimate=backend.estimate
    )

    assert plan.estimate.cost_usd == usd


def test_what_no_video_can_be_is_left_out_of_the_list(tmp_path: Path) -> None:
    facts = listed(
        tmp_path,
        id=f"{MOTION}\n",
        supported_resolutions=["99999999999999p", "9p", "720p", *("480p" for _ in range(1000))],
        supported_aspect_ratios=["99:1", "16:9"],
        supported_durations=[6, 10**9],
        pricing_skus={"per-video-second": "1e308"},
    )

    said = facts.capabilities(MOTION)
    assert (said.resolutions[0], said.aspect_ratios) == (ResolutionTier.P720, ("16:9",))
    assert said.durations == (6,)
    assert len(said.sizes) <= 100
    request = VideoRequest(prompt="a", model=f"openrouter/{MOTION}", duration=6)
    plan = negotiate(request, said, draw_seed=lambda: 7, estimate=facts.estimate)
    assert plan.estimate.cost_usd is None


def test_a_list_without_end_is_cut(tmp_path: Path) -> None:
    models = ListedModels(tmp_path / "list.json", longest=5)
    models.keep({"data": [{"id": f"acme/model-{number}"} for number in range(3000)]}, 1.8e9)

    assert len(ListedModels(tmp_path / "list.json", longest=5).entries) == 1000


def test_a_price_is_never_that_of_less_than_what_may_come(tmp_path: Path) -> None:
    skus: JsonValue = {"per-video-second": "0.50", "per-video-second-1K": "0.75"}
    unsaid = listed(tmp_path, supported_durations=[4], pricing_skus=skus)
    only_1k = listed(
        tmp_path, supported_durations=[4], supported_resolutions=["1K"], pricing_skus=skus
    )
    request = VideoRequest(prompt="a", model=f"openrouter/{MOTION}", duration=4)
    from_video = request.model_copy(update={"inputs": (MOVES,)})

    assert unsaid.estimate(request).cost_usd == 3.0  # the resolution is left to the model
    assert only_1k.estimate(request).cost_usd == 3.0
    assert only_1k.estimate(from_video).cost_usd is None


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [
        ({"google-vertex": {"parameters": {"negativePrompt": "blurry"}}}, True),
        ({"google-vertex": {"negativePrompt": "blurry"}}, True),
        ({"google-vertex": {"negativeprompt": "blurry"}}, False),
        ({"google-vertex": {"parameters": {"mood": 1}}}, False),
    ],
)
async def test_parameters_for_a_vendor_are_checked_by_the_list(
    given: Any, is_taken: bool, tmp_path: Path
) -> None:
    options = {"openrouter": {"input": json.dumps({"provider": {"options": given}})}}
    if is_taken:
        body = await body_of(tmp_path, VEO, listed=True, options=options)
        assert body["provider"] == {"options": given}
        return

    with pytest.raises(UnsupportedRequestError, match="does not hand") as caught:
        await sent(tmp_path, VEO, listed=True, options=options)

    assert "negativePrompt" in (caught.value.hint or "")


async def test_without_a_list_parameters_for_a_vendor_are_handed_on(tmp_path: Path) -> None:
    given = {"provider": {"options": {"acme": {"mood": "blue"}}}}

    body = await body_of(tmp_path, options={"openrouter": {"input": json.dumps(given)}})

    assert body["provider"] == given["provider"]


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"nonsense", b'{"read_at": "x", "data": [{"id": 7}, 8]}'),
        b'{"read_at": 1e300, "data": [{"id": "acme/motion-1"}]}',
    ],
)
def test_a_damaged_list_counts_as_none(content: bytes, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_bytes(content)

    assert [*ListedModels(kept, longest=5.0).by_id] == [SEEDANCE, VEO]


def test_a_list_without_models_is_not_kept(tmp_path: Path) -> None:
    models = ListedModels(tmp_path / "kept.json", longest=5.0)

    models.keep({"data": []}, 1.0)

    assert not (tmp_path / "kept.json").exists()


@pytest.mark.parametrize("outcome", ["completed", "unsigned", "own_key"])
async def test_every_kind_of_address_leads_to_a_file(outcome: str, tmp_path: Path) -> None:
    out = tmp_path / "fox.mp4"
    with OpenRouterSimulator(outcome=outcome, queued_polls=0, running_polls=0) as simulator:
        section = {"base_url": f"{simulator.url}/api/v1", "key": ROUTER.key}
        raw = {"data_dir": tmp_path, "backends": {"openrouter": section}}
        async with VideoClient(settings=Settings.model_validate(raw), sleep=no_sleep) as client:
            request = VideoRequest(prompt="a fox", model=f"openrouter/{SEEDANCE}", duration=4)
            job = await client.generate(request, out=str(out))
        content = simulator.calls("content")

    assert job.status == "completed"
    assert probe(out).frames == 96
    keys = {call.headers.get("authorization") for call in content}
    assert keys == ({f"Bearer {ROUTER.key}"} if outcome == "unsigned" else set())


@pytest.mark.parametrize(
    ("outcome", "kind", "code"),
    [
        ("failed", "job.failed", "generation_failed"),
        ("blocked", "job.failed", "content_rejected"),
        ("expired", "job.failed", "generation_failed"),
        ("cancelled", "job.cancelled", None),
        ("empty", "job.outcome_unknown", "backend_response"),
    ],
)
async def test_every_other_end_is_told(
    outcome: str, kind: str, code: str | None, tmp_path: Path
) -> None:
    with OpenRouterSimulator(outcome=outcome, queued_polls=0, running_polls=0) as simulator:
        end = (await ROUTER.run(ROUTER.make(tmp_path, simulator.url), duration=4.0))[-1]

    error = getattr(end, "error", None)
    assert (end.type, None if error is None else error.code) == (kind, code)


@pytest.mark.parametrize(
    ("outcome", "error"),
    [("flagged", ContentRejectedError), ("no_credit", BackendAuthenticationError)],
)
async def test_what_is_not_accepted_is_told_at_once(
    outcome: str, error: type[MediaAgentError], tmp_path: Path
) -> None:
    with OpenRouterSimulator(outcome=outcome) as simulator, pytest.raises(error):
        await ROUTER.make(tmp_path, simulator.url).submit(ROUTER.plan(), key="job-1")


async def test_a_submission_whose_answer_is_lost_is_not_sent_again(tmp_path: Path) -> None:
    with OpenRouterSimulator([Fault("submit", "close_after_accept")]) as simulator:
        with pytest.raises(SubmitUncertainError):
            await ROUTER.make(tmp_path, simulator.url).submit(ROUTER.plan(), key="job-1")

        assert (simulator.accepted, len(simulator.calls("submit"))) == (1, 1)
