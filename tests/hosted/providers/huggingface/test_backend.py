"""Hugging Face: the Hub's mapping, what each partner is sent, what answers mean, the whole way."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

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
from media_agent.routing.catalogue import Catalogue
from media_agent.testing import Fault
from media_agent.video.probe import probe
from media_agent_hosted.providers.huggingface import SPEC
from media_agent_hosted.providers.huggingface.backend import HuggingFaceBackend
from media_agent_hosted.providers.huggingface.partners import offers_in, poll
from media_agent_hosted.providers.huggingface.simulator import MODELS, HuggingFaceSimulator
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.request import VideoRequest
from tests.hosted.provider_kit import Provider, no_sleep

pytestmark = pytest.mark.anyio

HF = Provider(SPEC, __file__)
WAN = "Wan-AI/Wan2.2-T2V-A14B"
FAL, REPLICATE, TOGETHER = f"fal-ai/{WAN}", f"replicate/{WAN}", f"together/{WAN}"
WAVESPEED, NOVITA = "wavespeed/Wan-AI/Wan2.2-TI2V-5B", "novita/Wan-AI/Wan2.1-T2V-14B"
ROUTER, HUB = "https://router.huggingface.co", "https://huggingface.co"
AT_FAL = "/fal-ai/fal-ai/wan/requests/764c"


def mapping(partner: str, model: str, **more: Any) -> dict[str, Any]:
    """Return a reply of the Hub in which one partner has the model."""
    offer = {"status": "live", "providerId": model, "task": "text-to-video", **more}
    return {"status": 200, "body": {"inferenceProviderMapping": {partner: offer}}}


MAPPED: dict[str, dict[str, Any]] = {
    FAL: HF.replies.read("mapping"),
    REPLICATE: HF.replies.read("mapping"),
    TOGETHER: mapping("together", WAN),
    WAVESPEED: mapping("wavespeed", "wavespeed-ai/wan-2.2/t2v-5b-720p"),
    NOVITA: mapping("novita", "wan-t2v"),
}


async def sent(folder: Path, model: str, mapped: Any = None, **fields: Any) -> list[httpx.Request]:
    """Submit a request, and return all that was sent."""
    name = model.partition("/")[0].removesuffix("-ai")
    accepted = "novita_made" if name == "novita" else f"{name}_submitted"
    talk = HF.talk(folder, mapped or MAPPED[model], accepted)
    await talk.backend.submit(HF.plan(model, **fields), key="job-1")
    return talk.asked


@pytest.mark.parametrize("mapped", ["mapping", "listed_mapping"])
async def test_the_documented_request_is_built(mapped: str, tmp_path: Path) -> None:
    asked, submission = await sent(tmp_path, FAL, mapped, seed=7, num_frames=81)

    assert str(asked.url).split("?") == [
        f"{HUB}/api/models/{WAN}",
        "expand=inferenceProviderMapping",
    ]
    assert str(submission.url) == (
        f"{ROUTER}/fal-ai/fal-ai/wan/v2.2-a14b/text-to-video?_subdomain=queue"
    )
    body = json.loads(submission.content)
    assert (body["prompt"], body["num_frames"], body["seed"]) == ("a fox runs", 81, 7)


@pytest.mark.parametrize(
    ("model", "path", "expected"),
    [
        (
            REPLICATE,
            "/replicate/v1/models/wan-video/wan-2.2-t2v-fast/predictions",
            lambda body: body["input"]["num_frames"] == 81,
        ),
        (
            TOGETHER,
            "/together/v2/videos",
            lambda body: (body["model"], body["seconds"], body["ratio"]) == (WAN, "5", "16:9"),
        ),
        (
            WAVESPEED,
            "/wavespeed/api/v3/wavespeed-ai/wan-2.2/t2v-5b-720p",
            lambda body: (body["size"], body["duration"]) == ("1280*720", 5),
        ),
        (NOVITA, "/novita/v3/hf/wan-t2v", lambda body: body["prompt"] == "a fox runs"),
    ],
)
async def test_every_partner_is_sent_what_it_takes(
    model: str, path: str, expected: Any, tmp_path: Path
) -> None:
    submission = (await sent(tmp_path, model))[-1]

    assert str(submission.url) == ROUTER + path
    assert "prefer" not in submission.headers
    assert expected(json.loads(submission.content))


async def test_a_pinned_version_at_replicate_is_named_in_the_body(tmp_path: Path) -> None:
    pinned = mapping("replicate", "acme/clips:0a1b2c")

    submission = (await sent(tmp_path, REPLICATE, pinned))[-1]

    assert submission.url.path == "/replicate/v1/predictions"
    assert json.loads(submission.content)["version"] == "0a1b2c"


async def test_an_image_goes_to_the_model_for_images(tmp_path: Path) -> None:
    image = MediaInput(role=InputRole.FIRST_FRAME, url="https://images.example/fox.png")
    model = "fal-ai/Wan-AI/Wan2.2-I2V-A14B"
    there = mapping("fal-ai", "fal-ai/wan/v2.2-a14b/image-to-video", task="image-to-video")

    submission = (await sent(tmp_path, model, there, inputs=(image,)))[-1]

    assert json.loads(submission.content)["image_url"] == image.url


@pytest.mark.parametrize(
    ("named", "partner", "expected"),
    [
        (WAN, None, FAL),
        (WAN, "wavespeed", f"wavespeed/{WAN}"),
        (FAL, "wavespeed", FAL),
        ("acme/new", None, "fal-ai/acme/new"),
    ],
)
def test_a_model_without_a_partner_is_that_of_the_settings(
    named: str, partner: str | None, expected: str
) -> None:
    options = {} if partner is None else {"partner": partner}
    backend = HuggingFaceBackend(BackendSettings(Path(), options=options))

    assert backend.capabilities(named).model == expected


@pytest.mark.parametrize("named", ["hf-inference/acme/x", "x", "fal-ai/a/b/c"])
def test_what_cannot_be_a_model_is_refused(named: str) -> None:
    with pytest.raises(InvalidRequestError):
        HuggingFaceBackend(BackendSettings(Path())).capabilities(named)


async def test_an_organization_is_billed_if_the_settings_say_so(tmp_path: Path) -> None:
    billed = Provider(SPEC, __file__, options={"bill_to": "acme-org"})
    talk = billed.talk(tmp_path, "mapping", "fal_submitted")
    await talk.backend.submit(billed.plan(FAL), key="job-1")

    assert talk.asked[-1].headers["x-hf-bill-to"] == "acme-org"
    assert "x-hf-bill-to" not in (await sent(tmp_path / "other", FAL))[-1].headers


@pytest.mark.parametrize(
    ("base_url", "hub"),
    [
        (None, HUB),
        (ROUTER, HUB),
        (f"{ROUTER}/", HUB),
        ("https://proxy.example", "https://proxy.example"),
    ],
)
async def test_the_token_goes_to_hugging_face_alone_or_to_the_host_of_the_settings(
    base_url: str | None, hub: str, tmp_path: Path
) -> None:
    asked: list[httpx.Request] = []
    said = ["mapping", "fal_submitted", "fal_completed", "fal_result"]

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        reply = HF.replies.read(said[min(len(asked), len(said)) - 1])
        return httpx.Response(reply["status"], json=reply["body"])

    backend = HF.make(tmp_path, base_url, transport=httpx.MockTransport(answer))
    await HF.run(backend, FAL)

    hosts = [f"https://{each.url.host}" for each in asked]
    assert hosts == [hub, *[(base_url or ROUTER).rstrip("/")] * 3]
    assert {each.headers["authorization"] for each in asked} == {f"Bearer {HF.key}"}


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (mapping("replicate", "x/y"), "others have it: replicate"),
        (mapping("fal-ai", "x/y", task="image-to-video"), "choose another model"),
        (mapping("fal-ai", "x/y", status="error"), "choose another model"),
        (mapping("fal-ai", "x/y", adapter="lora"), "choose another model"),
        (mapping("fal-ai", "x/../y"), "choose another model"),
        (mapping("fal-ai", "x?y=1"), "choose another model"),
        ({"status": 200, "body": {}}, "choose another model"),
        ({"status": 200, "body": {"inferenceProviderMapping": [7]}}, "choose another model"),
    ],
)
async def test_a_model_that_a_partner_does_not_serve_is_refused_before_it_is_submitted(
    reply: Any, said: str, tmp_path: Path
) -> None:
    talk = HF.talk(tmp_path, reply)

    with pytest.raises(UnsupportedRequestError) as caught:
        await talk.backend.submit(HF.plan(FAL), key="job-1")

    assert said in (caught.value.hint or "")
    assert [each.method for each in talk.asked] == ["GET"]


async def test_a_model_that_the_hub_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="Hub has no model"):
        await HF.talk(tmp_path, {"status": 404, "body": {"error": "not found"}}).end()


def test_a_mapping_is_read_in_both_its_forms() -> None:
    named = offers_in(HF.replies.read("mapping")["body"])
    listed = offers_in(HF.replies.read("listed_mapping")["body"])

    assert named["fal-ai"] == listed["fal-ai"]
    assert set(named) == {"fal-ai", "replicate"}


@pytest.mark.parametrize(
    ("model", "replies", "paths", "video"),
    [
        (
            FAL,
            ("fal_submitted", "fal_in_progress", "fal_completed", "fal_result"),
            [f"{AT_FAL}/status", f"{AT_FAL}/status", AT_FAL],
            "https://v3.fal.media/files/x.mp4",
        ),
        (
            REPLICATE,
            ("replicate_submitted", "replicate_processing", "replicate_succeeded"),
            ["/replicate/v1/predictions/rrr4z55o"] * 2,
            "https://replicate.delivery/xezq/abc/output.mp4",
        ),
        (
            TOGETHER,
            ("together_submitted", "together_in_progress", "together_completed"),
            ["/together/v2/videos/vid-1"] * 2,
            "https://together.example/v.mp4",
        ),
        (
            WAVESPEED,
            ("wavespeed_submitted", "wavespeed_processing", "wavespeed_completed"),
            ["/wavespeed/api/v3/predictions/pred_1/result"] * 2,
            "https://cdn.wavespeed.example/v.mp4",
        ),
        (NOVITA, ("novita_made",), [], "https://novita.example/v.mp4?sig=1"),
    ],
)
async def test_the_conversation_with_every_partner_is_understood(
    model: str, replies: tuple[str, ...], paths: list[str], video: str, tmp_path: Path
) -> None:
    talk = HF.talk(tmp_path, MAPPED[model], *replies)

    end = await talk.end(model)

    assert end.type == "job.completed"
    assert end.artifacts[0].uri == video
    assert [each.url.path for each in talk.asked[2:]] == paths
    assert {each.url.host for each in talk.asked[1:]} == {"router.huggingface.co"}


async def test_the_queue_is_named_in_every_question_to_fal(tmp_path: Path) -> None:
    talk = HF.talk(tmp_path, "mapping", "fal_submitted", "fal_completed", "fal_result")
    await talk.end(FAL)

    assert {each.url.params["_subdomain"] for each in talk.asked[1:]} == {"queue"}


@pytest.mark.parametrize(
    ("named", "path"),
    [
        ("https://api.wavespeed.ai/api/v3/predictions/p1", "/wavespeed/api/v3/predictions/p1"),
        ("https://evil.example/x/p1?a=b", "/wavespeed/x/p1"),
        ("https://evil.example/../p1", "/wavespeed/p1"),
        ("https://evil.example/of/another", "/wavespeed/api/v3/predictions/p1/result"),
        ("nonsense", "/wavespeed/api/v3/predictions/p1/result"),
        (None, "/wavespeed/api/v3/predictions/p1/result"),
    ],
)
def test_an_address_of_a_partner_is_rebuilt_below_the_router(named: str | None, path: str) -> None:
    data = {"path": "/x"} if named is None else {"path": "/x", "urls.get": named}
    ref = OperationRef(backend="huggingface", model=WAVESPEED, operation_id="p1", data=data)

    assert poll(ref).path == path


@pytest.mark.parametrize(
    ("app", "polled"),
    [
        ("fal-ai/wan/v2.2-a14b/text-to-video", "/fal-ai/fal-ai/wan/requests/r1/status"),
        ("workflows/acme/clips/fast", "/fal-ai/workflows/acme/clips/requests/r1/status"),
    ],
)
def test_without_an_address_the_app_of_fal_is_asked(app: str, polled: str) -> None:
    data = {"path": f"/fal-ai/{app}"}
    ref = OperationRef(backend="huggingface", model=FAL, operation_id="r1", data=data)

    assert poll(ref).path == polled


@pytest.mark.parametrize(
    ("model", "replies", "code", "said"),
    [
        (FAL, ("fal_submitted", "fal_failed"), "generation_failed", "Runner disconnected"),
        (
            FAL,
            ("fal_submitted", "fal_completed", "fal_moderated"),
            "content_rejected",
            "refuses the content",
        ),
        (
            REPLICATE,
            ("replicate_submitted", "replicate_moderated"),
            "content_rejected",
            "flagged as sensitive",
        ),
        (
            TOGETHER,
            ("together_submitted", "together_failed"),
            "generation_failed",
            "out of memory",
        ),
        (
            WAVESPEED,
            ("wavespeed_submitted", "wavespeed_failed"),
            "generation_failed",
            "out of memory",
        ),
    ],
)
async def test_a_failure_says_why(
    model: str, replies: tuple[str, ...], code: str, said: str, tmp_path: Path
) -> None:
    end = await HF.talk(tmp_path, MAPPED[model], *replies).end(model)

    assert end.type == "job.failed"
    assert end.error.code == code
    assert said in end.error.message


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (402, {"error": "monthly credits"}, BackendAuthenticationError, "used up"),
        (401, {"error": "bad token"}, BackendAuthenticationError, "refuses the key"),
        (404, {"error": "Not Found"}, InvalidRequestError, "has no model"),
        (422, {"detail": "num_frames"}, InvalidRequestError, "num_frames"),
        (400, {"message": "flagged as nsfw"}, ContentRejectedError, "nsfw"),
        (500, {"error": "oops"}, SubmitUncertainError, "oops"),
    ],
)
@pytest.mark.parametrize("model", [FAL, NOVITA])
async def test_a_refused_submission_says_what_is_wrong(
    model: str, status: int, body: Any, error: type[MediaAgentError], said: str, tmp_path: Path
) -> None:
    talk = HF.talk(tmp_path, MAPPED[model], {"status": status, "body": body})

    with pytest.raises(error, match=said):
        await talk.end(model)


@pytest.mark.parametrize(
    "body", [{}, {"video": {}}, {"video": {"video_url": ""}}, {"video": {"video_url": None}}]
)
async def test_an_answer_of_novita_without_a_video_is_of_unknown_outcome(
    body: Any, tmp_path: Path
) -> None:
    with pytest.raises(SubmitUncertainError):
        await HF.talk(tmp_path, MAPPED[NOVITA], {"status": 200, "body": body}).end(NOVITA)


async def test_novita_may_take_as_long_as_the_settings_say(tmp_path: Path) -> None:
    slow = Fault("submit", "delay", seconds=0.2)
    options = {"timeout_seconds": 0.1, "blocking_seconds": 5.0}
    settings = {"key": SecretStr(HF.key), "options": options}
    with HuggingFaceSimulator([slow]) as simulator:
        backend = HuggingFaceBackend(
            BackendSettings(tmp_path, base_url=simulator.url, **settings),  # type: ignore[arg-type]
            sleep=no_sleep,
        )
        end = (await HF.run(backend, NOVITA))[-1]

    assert end.type == "job.completed"
    assert simulator.accepted == 1


@pytest.mark.parametrize("partner", [FAL, REPLICATE, TOGETHER, WAVESPEED, NOVITA])
async def test_every_partner_leads_to_a_file(partner: str, tmp_path: Path) -> None:
    out = tmp_path / "fox.mp4"
    with HuggingFaceSimulator(queued_polls=0, running_polls=0) as simulator:
        section = {"base_url": simulator.url, "key": HF.key}
        raw = {"data_dir": tmp_path, "backends": {"huggingface": section}}
        async with VideoClient(settings=Settings.model_validate(raw), sleep=no_sleep) as client:
            request = VideoRequest(prompt="a fox", model=f"huggingface/{partner}")
            job = await client.generate(request, out=str(out))

    assert job.status == "completed"
    assert probe(out).frames > 16


@pytest.mark.parametrize("partner", [FAL, REPLICATE, TOGETHER, WAVESPEED])
@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        ("failed", ("job.failed", "generation_failed")),
        ("moderated", ("job.failed", "content_rejected")),
        ("empty", ("job.outcome_unknown", "backend_response")),
    ],
)
async def test_work_at_every_partner_ends_as_it_should(
    partner: str, outcome: str, end: tuple[str, str], tmp_path: Path
) -> None:
    with HuggingFaceSimulator(outcome=outcome, queued_polls=0, running_polls=0) as simulator:
        last = (await HF.run(HF.make(tmp_path, simulator.url), partner))[-1]

    assert last.type in ("job.failed", "job.outcome_unknown")
    assert (last.type, last.error.code) == end


@pytest.mark.parametrize(
    ("partner", "outcome", "error"),
    [
        (FAL, "no_credit", BackendAuthenticationError),
        (FAL, "unmapped", UnsupportedRequestError),
        (NOVITA, "no_credit", BackendAuthenticationError),
        (NOVITA, "moderated", ContentRejectedError),
        (NOVITA, "failed", SubmitUncertainError),
        (NOVITA, "empty", SubmitUncertainError),
    ],
)
async def test_what_is_not_accepted_or_not_known_to_be_is_told_at_once(
    partner: str, outcome: str, error: type[MediaAgentError], tmp_path: Path
) -> None:
    with HuggingFaceSimulator(outcome=outcome) as simulator, pytest.raises(error):
        await HF.make(tmp_path, simulator.url).submit(HF.plan(partner), key="job-1")


@pytest.mark.parametrize(
    ("model", "is_priced", "is_proven"), [(FAL, True, True), (NOVITA, False, False)]
)
def test_only_what_is_documented_is_chosen_by_itself(
    model: str, is_priced: bool, is_proven: bool
) -> None:
    facts = Catalogue.load({"huggingface": SPEC}).facts("huggingface", model)

    assert (facts.status == "live") == is_proven
    assert (facts.estimate(HF.plan(model)).cost_usd is not None) == is_priced


def test_every_model_of_the_table_is_at_its_partner_in_the_simulator() -> None:
    known = HuggingFaceBackend(BackendSettings(Path())).models.by_id
    there = {f"{partner}/{name}" for name, offers in MODELS.items() for partner, _, _ in offers}

    assert set(known) == there
