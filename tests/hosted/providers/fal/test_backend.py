"""fal: what is built, what answers mean, and the whole way against its simulator."""

import base64
import io
import json
import struct
import zlib
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    BackendUnavailableError,
    ConfigurationError,
    ContentRejectedError,
    InvalidRequestError,
    OperationNotFoundError,
    SubmitUncertainError,
    UnsupportedRequestError,
)
from media_agent.negotiation.negotiate import negotiate
from media_agent.registry.registry import Registry
from media_agent.routing.catalogue import Catalogue
from media_agent.testing import Fault, events_of
from media_agent.testing.simulator.videos import write_video
from media_agent.video.probe import probe
from media_agent_hosted.base.calls import Answer, Status, Submission
from media_agent_hosted.base.outcomes import end_of_done, event_of
from media_agent_hosted.base.runs import read_queue, verdict_of_queue
from media_agent_hosted.http.inputs import LARGEST_INLINE, address_of
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.models.facts import Fixed, Follows
from media_agent_hosted.models.fields import warnings_about
from media_agent_hosted.models.files import load_entries
from media_agent_hosted.parsing.states import State
from media_agent_hosted.providers.fal.backend import MODELS, FalBackend
from media_agent_hosted.providers.fal.body import build_body
from media_agent_hosted.providers.fal.simulator import FalSimulator
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import InputRole, MediaInput, ResolutionTier, Size
from media_agent_schemas.plan import Policy
from media_agent_schemas.request import Shot, VideoMode, VideoRequest
from tests.hosted.provider_kit import Replies, no_sleep

pytestmark = pytest.mark.anyio

REPLIES = Replies(__file__)
KEY = "fal-key-0123456789"
REF = OperationRef(backend="fal", model="fal-ai/mochi-v1", operation_id="764cabcf")
NOW = datetime(2026, 11, 20, tzinfo=UTC)
IMAGE = MediaInput(role=InputRole.FIRST_FRAME, url="https://images.example/fox.png")
LAST = MediaInput(role=InputRole.LAST_FRAME, url="https://images.example/end.png")
VIDEO = MediaInput(role=InputRole.SOURCE_VIDEO, url="https://videos.example/fox.mp4")
SUBJECT = MediaInput(role=InputRole.SUBJECT, url="https://images.example/hare.png")


def keyframe(at):
    return MediaInput(role=InputRole.KEYFRAME, url=f"https://images.example/at-{at}.png", at=at)


def reply(name, **changes):
    data = {**REPLIES.read(name), **changes}
    content = json.dumps(data["body"]).encode()
    kind = {"content-type": "application/json"}
    return Reply(status=data["status"], headers=kind, content=content, host="queue.fal.run")


def answer(name, status, **changes):
    replied = reply(name, **changes)
    return Answer(replied, replied.json(), status)


def describe(model):
    """Return what a model can do."""
    return FalBackend(BackendSettings(data_dir=Path(), key=SecretStr(KEY))).capabilities(model)


def event(body):
    """Return what a poll means."""
    return event_of(read_queue(body, "fal"), body, "fal", None)


def plan(model, policy=Policy.ADJUST, **fields):
    """Return the negotiated request for a model."""
    fields = {"prompt": "a fox", **fields}
    asked = VideoRequest(model=f"fal/{model}", **fields)
    return negotiate(asked, describe(model), policy, draw_seed=lambda: 99)


def body(model, *, addresses=None, **fields):
    """Return what would be sent for some fields."""
    request = plan(model, **fields).request
    given = tuple(str(medium.url) for medium in request.inputs) if addresses is None else addresses
    known = MODELS.by_id.get(model)
    of_mode = None if known is None else known.for_mode(request.infer_mode())
    options = request.options.get("fal", {})
    return build_body(Submission(request, model, of_mode, given, options, "job-1"))


def test_the_documented_request_is_built_word_for_word():
    documented = REPLIES.read("request")
    model = documented["url"].removeprefix("https://queue.fal.run/")

    built = body(model, duration=5.0, resolution=ResolutionTier.P720, aspect_ratio="16:9")

    assert built == {**documented["body"], "seed": 99}


def test_the_documented_request_can_also_be_given_field_by_field():
    documented = REPLIES.read("request")["body"]
    fields = {name: value for name, value in documented.items() if name != "prompt"}

    built = body("acme/new-model", options={"fal": {"input": json.dumps(fields)}})

    assert built == documented


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        (
            "fal-ai/wan/v2.2-a14b/text-to-video",
            {"duration": 3.0, "seed": 0, "negative_prompt": "blur"},
            {
                "prompt": "a fox",
                "negative_prompt": "blur",
                "num_frames": 49,
                "frames_per_second": 16,
                "resolution": "720p",
                "aspect_ratio": "16:9",
                "seed": 0,
                "enable_prompt_expansion": False,
                "interpolator_model": "none",
                "num_interpolated_frames": 0,
            },
        ),
        (
            "fal-ai/wan/v2.7/text-to-video",
            {"duration": 7.0, "aspect_ratio": "3:4", "resolution": ResolutionTier.P1080},
            {
                "prompt": "a fox",
                "duration": 7,
                "resolution": "1080p",
                "aspect_ratio": "3:4",
                "seed": 99,
                "enable_prompt_expansion": False,
            },
        ),
        (
            "fal-ai/wan/v2.7/image-to-video",
            {"inputs": (IMAGE, LAST), "duration": 2.0, "seed": 1},
            {
                "prompt": "a fox",
                "image_url": "https://images.example/fox.png",
                "end_image_url": "https://images.example/end.png",
                "duration": 2,
                "resolution": "720p",
                "seed": 1,
                "enable_prompt_expansion": False,
            },
        ),
        (
            "fal-ai/wan-25-preview/text-to-video",
            {"duration": 10.0, "seed": 2},
            {
                "prompt": "a fox",
                "duration": "10",
                "resolution": "720p",
                "aspect_ratio": "16:9",
                "seed": 2,
                "enable_prompt_expansion": False,
            },
        ),
        (
            "fal-ai/kling-video/v3/pro/text-to-video",
            {"duration": 3.0, "audio": False, "options": {"fal": {"cfg_scale": 0.7}}},
            {
                "prompt": "a fox",
                "duration": "3",
                "aspect_ratio": "16:9",
                "generate_audio": False,
                "cfg_scale": 0.7,
            },
        ),
        (
            "fal-ai/kling-video/v3/standard/image-to-video",
            {"inputs": (IMAGE,), "prompt": None},
            {"start_image_url": "https://images.example/fox.png", "duration": "5"},
        ),
        (
            "fal-ai/ltx-2.3/text-to-video",
            {"duration": 8.0, "fps": 50.0, "size": Size(width=3840, height=2160), "audio": True},
            {
                "prompt": "a fox",
                "duration": 8,
                "fps": 50,
                "resolution": "2160p",
                "aspect_ratio": "16:9",
                "generate_audio": True,
            },
        ),
        (
            "fal-ai/mochi-v1",
            {"seed": 0},
            {"prompt": "a fox", "seed": 0, "enable_prompt_expansion": False},
        ),
        (
            "fal-ai/magi",
            {"duration": 5.0, "seed": 3, "options": {"fal": {"num_inference_steps": 32}}},
            {
                "prompt": "a fox",
                "num_frames": 120,
                "resolution": "720p",
                "aspect_ratio": "16:9",
                "seed": 3,
                "num_inference_steps": 32,
            },
        ),
        (
            "fal-ai/magi/image-to-video",
            {"inputs": (IMAGE,), "seed": 3, "resolution": ResolutionTier.P480},
            {
                "prompt": "a fox",
                "image_url": "https://images.example/fox.png",
                "num_frames": 96,
                "resolution": "480p",
                "seed": 3,
            },
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_family_gets_its_own_fields(model, fields, expected):
    assert body(model, **fields) == expected


def test_continuing_a_video_asks_for_the_overlap_on_top():
    sent = body("fal-ai/magi/extend-video", inputs=(VIDEO,), duration=4.0, seed=1)

    assert sent["video_url"] == "https://videos.example/fox.mp4"
    assert sent["num_frames"] == 96 + 32
    assert "aspect_ratio" not in sent


def test_continuing_from_a_frame_that_was_named_asks_for_no_overlap():
    start = {"fal": {"input": '{"start_frame": 40}'}}

    sent = body("fal-ai/magi/extend-video", inputs=(VIDEO,), duration=4.0, options=start)

    assert (sent["start_frame"], sent["num_frames"]) == (40, 96)


def test_prompt_expansion_is_off_until_it_is_asked_for():
    asked = {"fal": {"enable_prompt_expansion": True}}

    assert body("fal-ai/mochi-v1")["enable_prompt_expansion"] is False
    assert body("fal-ai/mochi-v1", options=asked)["enable_prompt_expansion"] is True


def test_more_input_is_sent_and_the_deadline_is_not():
    options = {"fal": {"input": '{"elements": [], "cfg_scale_b": 0}', "deadline_seconds": 60}}

    sent = body("fal-ai/kling-video/v3/pro/text-to-video", options=options)

    assert (sent["duration"], sent["elements"], sent["cfg_scale_b"]) == ("5", [], 0)
    assert "deadline_seconds" not in sent
    assert "input" not in sent


@pytest.mark.parametrize(
    "field", ["duration", "resolution", "Aspect-Ratio", "generate_audio", "num_videos", "prompt"]
)
def test_more_input_may_not_say_what_was_planned_and_priced(field):
    options = {"fal": {"input": json.dumps({field: "15"})}}

    with pytest.raises(UnsupportedRequestError, match=f"'{field}' must not be set here"):
        body("fal-ai/kling-video/v3/pro/text-to-video", options=options)


@pytest.mark.parametrize("text", ["no json", "[]", "3"])
def test_more_input_that_is_no_object_is_refused(text):
    with pytest.raises(UnsupportedRequestError, match="option input"):
        body("fal-ai/mochi-v1", options={"fal": {"input": text}})


def test_audio_that_cannot_be_switched_off_is_an_adjustment_or_refused():
    model = "fal-ai/wan-25-preview/text-to-video"

    adjusted = plan(model, audio=False)
    with pytest.raises(UnsupportedRequestError, match="audio"):
        plan(model, Policy.STRICT, audio=False)

    assert ("audio", False, True) in [
        (each.field, each.asked, each.used) for each in adjusted.adjustments
    ]
    assert not any("audio" in name for name in body(model, audio=False))


def test_audio_that_no_field_switches_off_is_said_to_be_assumed():
    request = plan("fal-ai/mochi-v1", audio=False).request

    warnings = warnings_about(request, MODELS.by_id["fal-ai/mochi-v1"])

    assert "no field for audio" in warnings[0]


def ways_to_ask(model):
    """Yield the mode and the inputs of a request for each kind of work of a model."""
    known = MODELS.by_id[model]
    for mode in known.modes:
        of_mode = known.for_mode(mode)
        roles = of_mode.needed or tuple(of_mode.inputs)[:1]
        at = {InputRole.KEYFRAME: 1.0}
        media = [MediaInput(role=r, url="https://media.example/x", at=at.get(r)) for r in roles]
        implied = VideoRequest(prompt="a fox", inputs=media).infer_mode()
        if mode in (implied, VideoMode.VIDEO_EDIT):
            yield {"mode": mode, "inputs": tuple(media)}


@pytest.mark.parametrize("model", MODELS.by_id)
def test_every_size_and_ratio_that_a_model_declares_can_be_sent(model):
    for way in ways_to_ask(model):
        capabilities = describe(model).for_mode(way["mode"])
        known = MODELS.by_id[model].for_mode(way["mode"])

        for size in capabilities.sizes:
            sent = body(model, size=size, **way)
            assert known.tiers[0].value is None or "resolution" in sent
            ratios = capabilities.aspect_ratios
            assert not ratios or sent["aspect_ratio"] in ratios
        for ratio in capabilities.aspect_ratios:
            assert body(model, **{**way, "aspect_ratio": ratio})["aspect_ratio"] == ratio


@pytest.mark.parametrize("model", MODELS.by_id)
def test_every_length_that_a_model_declares_can_be_sent(model):
    for way in ways_to_ask(model):
        capabilities = describe(model).for_mode(way["mode"])
        length = MODELS.by_id[model].for_mode(way["mode"]).length
        lengths = capabilities.durations or (capabilities.min_duration, capabilities.max_duration)

        for seconds in (each for each in lengths if each):
            sent = body(model, duration=seconds, **way)
            has_no_field = isinstance(length, Fixed | Follows)
            assert {"duration", "num_frames", "transitions"} & sent.keys() or has_no_field


def test_what_a_model_cannot_do_is_refused_by_its_capabilities():
    with pytest.raises(UnsupportedRequestError) as caught:
        plan(
            "fal-ai/kling-video/v3/pro/text-to-video",
            Policy.STRICT,
            seed=1,
            duration=60.0,
            inputs=(IMAGE,),
            n=4,
            options={"fal": {"no_such_field": 1}},
        )

    named = {mismatch.field for mismatch in caught.value.mismatches}
    assert {"seed", "duration", "inputs[0].role", "n", "option no_such_field"} <= named


def test_frames_beyond_a_model_at_another_rate_are_refused_before_they_are_sent():
    with pytest.raises(UnsupportedRequestError, match="17 to 161"):
        body("fal-ai/wan/v2.2-a14b/text-to-video", duration=10.0, fps=60.0)


def test_a_missing_image_and_two_of_one_kind_are_refused():
    model = "fal-ai/magi/image-to-video"

    with pytest.raises(UnsupportedRequestError, match="starts from one first_frame; given: none"):
        body(model, mode=VideoMode.IMAGE_TO_VIDEO)
    with pytest.raises(UnsupportedRequestError, match="accepts at most 1"):
        body(model, inputs=(IMAGE, IMAGE))
    with pytest.raises(InvalidRequestError, match="needs a prompt"):
        body(model, inputs=(IMAGE,), prompt=None)


def test_a_model_that_is_not_mapped_gets_prompt_and_seed_and_nothing_is_dropped():
    assert body("acme/videos/v9", seed=0) == {"prompt": "a fox", "seed": 0}
    with pytest.raises(UnsupportedRequestError, match="size"):
        body("acme/videos/v9", size=Size(width=640, height=480))
    with pytest.raises(UnsupportedRequestError, match="cannot be translated"):
        body("acme/videos/v9", resolution=ResolutionTier.P720, aspect_ratio="16:9")


def test_a_model_that_is_not_mapped_makes_no_video_of_any_length(tmp_path):
    asked = VideoRequest(model="fal/acme/videos/v9", prompt="a fox", duration=60)
    usual = FalBackend(BackendSettings(data_dir=tmp_path))
    told = FalBackend(BackendSettings(data_dir=tmp_path, options={"max_duration": 60}))

    capabilities = usual.capabilities("acme/videos/v9")
    with pytest.raises(UnsupportedRequestError, match="0 s to 5 s at once"):
        negotiate(asked, capabilities, draw_seed=lambda: 0)
    longer = negotiate(asked, told.capabilities("acme/videos/v9"), draw_seed=lambda: 0)

    assert "5 s at once unless max_duration says more" in capabilities.description
    assert longer.request.seconds() == 60


@pytest.mark.parametrize("model", ["magi", "fal-ai//magi", "fal-ai/../admin", "a/b?x=1", "/a/b"])
def test_what_cannot_be_an_id_is_refused(model, tmp_path):
    backend = FalBackend(BackendSettings(data_dir=tmp_path))

    with pytest.raises(InvalidRequestError, match="no model") as caught:
        backend.capabilities(model)

    assert model != "magi" or "did you mean fal-ai/magi?" in caught.value.hint


def test_a_part_of_an_id_is_understood(tmp_path):
    with pytest.raises(InvalidRequestError) as caught:
        FalBackend(BackendSettings(data_dir=tmp_path)).capabilities("wan")

    assert "did you mean fal-ai/wan/v2.7/text-to-video?" in caught.value.hint


def test_a_key_that_is_missing_is_said_before_anything_is_tried(tmp_path):
    without = FalBackend(BackendSettings(data_dir=tmp_path))
    with_key = FalBackend(BackendSettings(data_dir=tmp_path, key=SecretStr(KEY)))

    unset = BackendSettings(data_dir=tmp_path, key_problem="the variable MY_KEY is not set")

    assert "a key: set key, key_env or key_file under" in without.capabilities().missing
    assert with_key.capabilities().missing is None
    assert "a key: the variable MY_KEY is not set;" in FalBackend(unset).capabilities().missing


def test_the_model_of_the_settings_is_the_default(tmp_path):
    backend = FalBackend(BackendSettings(data_dir=tmp_path, model="fal-ai/magi"))

    assert backend.capabilities().model == "fal-ai/magi"
    assert backend.capabilities().models[0] == "fal-ai/magi"
    assert sorted(backend.capabilities().models) == sorted(MODELS.by_id)


ENDLESS = [{"deadline_seconds": float("inf")}, {"max_duration": float("inf")}]


@pytest.mark.parametrize("options", [{"poll_secs": 1}, {"timeout_seconds": 0}, *ENDLESS])
def test_a_wrong_setting_is_named(tmp_path, options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        FalBackend(BackendSettings(data_dir=tmp_path, options=options))


def test_prices_are_said_where_they_are_known_with_their_source():
    catalogue = Catalogue.load({"fal": Registry.discover().specs["fal"]})
    slow = {"fal": {"num_inference_steps": 32}}
    requests = [
        plan("bytedance/seedance-2.0/text-to-video", duration=5.0).request,
        plan("fal-ai/magi", duration=8.0, resolution=ResolutionTier.P480).request,
        plan("fal-ai/magi/extend-video", duration=4.0, inputs=(VIDEO,)).request,
        plan("fal-ai/magi", duration=4.0, options=slow).request,
        plan("fal-ai/kling-video/v3/pro/text-to-video", duration=5.0).request,
        plan("fal-ai/wan/v2.7/image-to-video", duration=5.0, inputs=(IMAGE,)).request,
        plan("fal-ai/mochi-v1").request,
    ]

    costs = [
        catalogue.facts("fal", request.split_model()[1]).estimate(request) for request in requests
    ]

    assert [cost.cost_usd for cost in costs] == pytest.approx(
        [5 * 0.3034, 8 * 0.10, 1.067, 4 * 0.20 * 2, 5 * 0.336, 0.50, None]
    )
    assert all("2026-11-20" in cost.source for cost in costs[:6])


def test_what_a_model_makes_videos_from_follows_from_its_inputs():
    modes = {model: MODELS.by_id[model].modes for model in MODELS.by_id}

    assert modes["fal-ai/magi"] == (VideoMode.TEXT_TO_VIDEO,)
    assert modes["fal-ai/magi/image-to-video"] == (VideoMode.IMAGE_TO_VIDEO,)
    assert modes["fal-ai/magi/extend-video"] == (VideoMode.VIDEO_EXTEND,)
    assert VideoMode.FIRST_LAST_FRAME in modes["fal-ai/ltx-2.3/image-to-video"]


def test_the_catalogue_has_every_mapped_model_and_says_who_continues_whom():
    catalogue = Catalogue.load({"fal": Registry.discover().specs["fal"]})

    facts = {model: catalogue.facts("fal", model) for model in MODELS.by_id}

    assert all(fact.quality is not None for fact in facts.values() if fact.prices)
    assert facts["fal-ai/magi"].extend_model == "fal-ai/magi/extend-video"
    for model, fact in facts.items():
        for other in (fact.image_model, fact.extend_model):
            assert other is None or other in MODELS.by_id
        rewrites = {"enable_prompt_expansion", "prompt_optimizer", "expand_prompt", "auto_fix"}
        off = rewrites & MODELS.by_id[model].always.keys()
        assert off == (set() if fact.rewriting is None else {fact.rewriting.option})


@pytest.mark.parametrize(
    ("model", "status"),
    [
        ("fal-ai/magi", "unverified"),
        ("fal-ai/magi/extend-video", "unverified"),
        ("fal-ai/mochi-v1", "unverified"),
        ("fal-ai/sora-2/text-to-video/pro", "unverified"),
        ("fal-ai/magi-distilled", "live"),
        ("fal-ai/wan-25-preview/text-to-video", "preview"),
    ],
)
def test_what_is_probably_gone_says_so_and_since_when(model, status):
    facts = Catalogue.load({"fal": Registry.discover().specs["fal"]}).facts("fal", model)

    assert facts.status == status
    assert (facts.status_since is not None) == (status == "unverified")


@pytest.mark.parametrize(
    ("model", "fields", "usd"),
    [
        ("fal-ai/pika/v2.2/text-to-video", {"duration": 5.0, "resolution": "720p"}, 0.20),
        ("fal-ai/pika/v2.2/text-to-video", {"duration": 5.0, "resolution": "1080p"}, 0.45),
        ("fal-ai/pika/v2.2/pikaframes", {"inputs": (IMAGE, LAST)}, None),
        ("bytedance/seedance-2.5/text-to-video", {"duration": 4.0, "resolution": "480p"}, 0.882),
        ("bytedance/seedance-2.0/text-to-video", {"duration": 4.0, "resolution": "1080p"}, 2.728),
        ("minimax/h3/text-to-video", {"duration": 5.0, "resolution": "4k"}, 0.80),
        ("minimax/h3/reference-to-video", {"inputs": (SUBJECT,) * 7, "duration": 5.0}, 0.46),
        ("google/gemini-omni-flash", {"duration": 4.0}, 0.50),
        ("fal-ai/kling-video/v3/pro/text-to-video", {"duration": 5.0}, 1.68),
        ("fal-ai/magi-distilled", {"duration": 4.0}, 0.32),
        ("fal-ai/wan/v2.7/image-to-video", {"inputs": (IMAGE,), "duration": 5.0}, 0.50),
        ("fal-ai/wan/v2.7/image-to-video", {"inputs": (VIDEO,)}, None),
        ("fal-ai/veo3.1", {}, None),
    ],
)
def test_a_price_is_that_of_its_source_and_none_where_there_is_none(model, fields, usd):
    facts = Catalogue.load({"fal": Registry.discover().specs["fal"]}).facts("fal", model)

    cost = facts.estimate(plan(model, **fields).request).cost_usd

    assert cost == (None if usd is None else pytest.approx(usd))


def test_kling_gets_a_prompt_for_each_shot():
    shots = (Shot(prompt="a fox", duration=1.6), Shot(prompt="a hare", duration=3.4))

    sent = body("fal-ai/kling-video/v3/pro/text-to-video", prompt=None, shots=shots)

    assert "prompt" not in sent
    assert (sent["duration"], sent["shot_type"]) == ("5", "customize")
    assert sent["multi_prompt"] == [
        {"prompt": "a fox", "duration": "2"},
        {"prompt": "a hare", "duration": "3"},
    ]


def test_other_models_take_one_shot():
    shots = (Shot(prompt="a fox", duration=2.0), Shot(prompt="a hare", duration=3.0))

    with pytest.raises(UnsupportedRequestError, match="shots"):
        plan("fal-ai/veo3.1", prompt=None, shots=shots)


def test_pikaframes_are_sent_in_the_order_of_their_times():
    inputs = (LAST, keyframe(6.0), keyframe(2.5), IMAGE)

    sent = body("fal-ai/pika/v2.2/pikaframes", duration=10.0, inputs=inputs)

    at = "https://images.example/at-{}.png"
    assert sent["image_urls"] == [IMAGE.url, at.format(2.5), at.format(6.0), LAST.url]
    assert sent["transitions"] == [{"duration": 2.5}, {"duration": 3.5}, {"duration": 4.0}]
    assert "duration" not in sent


@pytest.mark.parametrize("times", [(0.5,), (9.5,), (12.0,), (4.0, 4.2)])
def test_pikaframes_too_close_or_outside_are_refused(times):
    inputs = (IMAGE, LAST, *map(keyframe, times))

    with pytest.raises(UnsupportedRequestError, match="from image to image"):
        body("fal-ai/pika/v2.2/pikaframes", duration=10.0, inputs=inputs)


def test_pikaframes_need_two_images():
    with pytest.raises(UnsupportedRequestError, match="starts from one last_frame"):
        body("fal-ai/pika/v2.2/pikaframes", inputs=(IMAGE, keyframe(2.0)))


def test_a_video_with_an_image_gets_another_shape_only_if_it_is_said():
    model = "fal-ai/luma-dream-machine/ray-2/reframe"
    way = {"mode": VideoMode.VIDEO_EDIT, "inputs": (VIDEO, IMAGE), "prompt": None}

    sent = body(model, aspect_ratio="9:16", **way)
    with pytest.raises(InvalidRequestError, match="needs the shape"):
        body(model, **way)

    media = {"video_url": VIDEO.url, "image_url": IMAGE.url}
    assert sent == {**media, "aspect_ratio": "9:16"}


def test_each_id_is_listed_once():
    listed = [entry["id"] for entry in load_entries(MODELS.path)]

    assert len(listed) == len(set(listed)) == len(MODELS.by_id)


def test_waiting_and_working_are_told_apart():
    waiting = event({"status": "IN_QUEUE", "queue_position": 3})
    working = event(reply("in_progress").json())

    assert (waiting.phase, waiting.message, waiting.fraction) == ("queued", "3 before it", None)
    assert (working.phase, working.message) == ("generate", "step 10/50")


def test_completed_is_no_success_where_an_error_is_beside_it():
    failed = event(reply("failed_status").json())

    assert failed.error.code == "generation_failed"
    assert "Runner disconnected" in failed.error.message
    assert event(reply("completed").json()) is None


@pytest.mark.parametrize("word", ["PAUSED", "ALMOST", "stage 2 of 3"])
def test_an_undocumented_state_is_work_that_continues_and_is_said(word):
    said = event({"status": word})

    assert said.phase == word
    assert f"{word!r}, which is not known here" in said.message


def test_the_result_tells_video_seed_and_time():
    status = read_queue(reply("completed").json(), "fal")

    done = end_of_done(answer("result", status), REF, expires_at=NOW + FalBackend.keeps)

    video = done.artifacts[0]
    assert video.uri == "https://v3.fal.media/files/b/x.mp4"
    assert (video.mime_type, video.size_bytes) == ("video/mp4", 4194304)
    assert (video.expires_at - NOW).days == 7
    assert (done.seed, done.timing.phases) == (7, {"inference": 41.2})


def test_several_videos_are_all_kept_and_none_is_a_question_to_a_person():
    videos = {"videos": [{"url": "https://a.example/1"}, {"url": "https://a.example/2"}]}
    status = Status("COMPLETED", State.DONE)
    sent = REF.model_copy(update={"data": {"seed": 0}})

    several = end_of_done(answer("result", status, body=videos), sent, expires_at=NOW)
    none = end_of_done(answer("result", status, body={"images": []}), REF, expires_at=NOW)

    assert [video.uri for video in several.artifacts] == [
        "https://a.example/1",
        "https://a.example/2",
    ]
    assert several.seed == 0
    assert (none.type, none.error.code) == ("job.outcome_unknown", "backend_response")
    assert "is it a video model?" in none.error.hint


def test_the_verdict_of_a_result_is_told_from_trouble_on_the_way():
    page = Reply(status=503, headers={"content-type": "text/html"}, content=b"<html>", host="h")

    assert verdict_of_queue(reply("failed_result"), "fal").code == "generation_failed"
    assert isinstance(verdict_of_queue(reply("moderated_result"), "fal"), ContentRejectedError)
    assert verdict_of_queue(page, "fal") is None
    assert verdict_of_queue(reply("failed_result", body={"detail": "Bad Gateway"}), "fal") is None
    broken = {"detail": [{"loc": ["body"], "msg": "broke", "type": "internal_server_error"}]}
    assert (
        "broke" in verdict_of_queue(reply("failed_result", status=500, body=broken), "fal").message
    )


def test_a_refused_prompt_does_not_show_the_prompt():
    refused = verdict_of_queue(reply("moderated_result"), "fal")

    assert "…" not in refused.message
    assert "content_policy_violation" in refused.message
    assert not refused.retryable


@pytest.mark.parametrize(
    ("status", "said", "error", "named"),
    [
        (403, {"detail": "User is locked. Reason: Exhausted balance."}, "backend_auth", "balance"),
        (404, {"detail": "Application not found"}, "invalid_request", "acme/x"),
        (422, REPLIES.read("moderated_result")["body"], "content_rejected", "content"),
        (
            422,
            {"detail": [{"loc": ["body", "duration"], "msg": "unexpected value", "type": "x"}]},
            "invalid_request",
            "duration: unexpected value",
        ),
        (422, {"detail": "no"}, "invalid_request", "no"),
    ],
)
def test_a_refused_submission_says_what_to_do(status, said, error, named):
    refused = FalBackend(BackendSettings(Path())).refusal(
        reply("result", status=status, body=said), "acme/x"
    )

    assert refused.code.startswith(error)
    assert named in refused.message
    assert refused.hint
    assert not refused.retryable


def image_bytes(kind="PNG", size=(8, 8)):
    from PIL import Image

    content = io.BytesIO()
    Image.new("RGB", size, "red").save(content, kind)
    return content.getvalue()


def bomb():
    """A whole PNG, small as a file, of more pixels than anybody wants to decode."""
    width, height = 20_000, 5_001
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + width // 8) * height))
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@pytest.mark.parametrize(
    ("kind", "mime_type"), [("PNG", "png"), ("JPEG", "jpeg"), ("WEBP", "webp")]
)
def test_an_image_goes_along_as_a_data_uri_of_its_real_type(tmp_path, kind, mime_type):
    content = image_bytes(kind)
    path = tmp_path / "image.txt"
    path.write_bytes(content)

    by_path = address_of(MediaInput(role=InputRole.FIRST_FRAME, path=str(path)))
    by_bytes = address_of(MediaInput(role=InputRole.FIRST_FRAME, data=content))

    assert by_path == by_bytes
    head, _, data = by_path.partition(",")
    assert head == f"data:image/{mime_type};base64"
    assert base64.b64decode(data) == content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"this is a text, not an image", "is no PNG"),
        (image_bytes()[:40], "is damaged"),
        (image_bytes("GIF"), "is no PNG"),
        (image_bytes("JPEG", (64, 64))[:-40], "is damaged"),
        (b"\xff\xd8\xff" + image_bytes(), "is damaged"),
        (bomb(), "more than 64 million pixels"),
        (b"a" * (LARGEST_INLINE + 1), "too large: 20.0 MiB, where 20 MiB is the limit"),
    ],
    ids=["text", "half", "gif", "half-jpeg", "mixed", "bomb", "large"],
)
def test_what_is_no_image_is_refused_before_it_is_sent(tmp_path, content, said):
    path = tmp_path / "image.png"
    path.write_bytes(content)

    with pytest.raises(InvalidRequestError, match=said) as caught:
        address_of(MediaInput(role=InputRole.FIRST_FRAME, path=str(path)))

    assert "image.png" in caught.value.message


def test_a_file_that_is_not_there_or_no_video_is_named(tmp_path):
    gone = MediaInput(role=InputRole.SOURCE_VIDEO, path=str(tmp_path / "gone.mp4"))

    with pytest.raises(InvalidRequestError, match=r"gone\.mp4 cannot be used: no such file"):
        address_of(gone)
    with pytest.raises(InvalidRequestError, match="no MP4"):
        address_of(MediaInput(role=InputRole.SOURCE_VIDEO, data=image_bytes()))


def test_an_address_without_https_is_refused_without_its_query():
    image = MediaInput(role=InputRole.FIRST_FRAME, url="http://p.example/fox.png?token=x")

    with pytest.raises(InvalidRequestError, match=r"p\.example/fox\.png is not") as caught:
        address_of(image)

    assert "token" not in caught.value.message
    assert address_of(image, allow_plain_http=True) == image.url


def backend_for(simulator, tmp_path, **options):
    settings = BackendSettings(
        data_dir=tmp_path, base_url=simulator.url, key=SecretStr(KEY), options=options
    )
    return FalBackend(settings, sleep=no_sleep)


async def run(backend, model="fal-ai/mochi-v1", **fields):
    ref = await backend.submit(plan(model, **fields).request, key="job-1")
    return await events_of(backend, ref)


async def fetched(event):
    async with httpx.AsyncClient() as client:
        return (await client.get(event.artifacts[0].uri)).content


async def test_the_whole_way_of_a_video(tmp_path):
    with FalSimulator() as simulator:
        backend = backend_for(simulator, tmp_path)
        events = await run(backend, seed=0)
        content = await fetched(events[-1])
        await backend.aclose()

    assert [event.type for event in events] == [
        "job.progressed",
        "job.started",
        *["job.progressed"] * 2,
        "job.completed",
    ]
    assert (events[-1].seed, events[-1].model) == (0, "fal-ai/mochi-v1")
    assert str(events[-1].verification) == "wire-equal"
    (tmp_path / "video.mp4").write_bytes(content)
    assert probe(tmp_path / "video.mp4").frames == 163
    assert simulator.accepted == 1
    assert {call.headers.get("authorization") for call in simulator.requests[:-1]} == {f"Key {KEY}"}


async def test_a_video_is_observed_from_another_process_with_its_reference_alone(tmp_path):
    with FalSimulator() as simulator:
        ref = await backend_for(simulator, tmp_path).submit(
            plan("fal-ai/magi").request, key="job-1"
        )
        restored = OperationRef.model_validate_json(ref.model_dump_json())
        end = (await events_of(backend_for(simulator, tmp_path), restored))[-1]

    assert end.type == "job.completed"
    assert simulator.accepted == 1
    assert KEY not in ref.model_dump_json()


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ("failed", "generation_failed"),
        ("moderated", "content_rejected"),
        ("invalid", "invalid_request"),
    ],
)
async def test_work_that_ends_badly_says_how(tmp_path, outcome, code):
    with FalSimulator(outcome=outcome) as simulator:
        events = await run(backend_for(simulator, tmp_path))

    assert events[-1].type == "job.failed"
    assert events[-1].error.code == code


async def test_a_result_without_a_video_is_asked_for_again_before_a_person_has_to_look(tmp_path):
    with FalSimulator(outcome="empty") as simulator:
        events = await run(backend_for(simulator, tmp_path))

    assert events[-1].type == "job.outcome_unknown"
    assert events[-1].error.code == "backend_response"
    assert len(simulator.calls("result")) > 5


async def test_a_model_that_is_not_mapped_makes_a_video_with_a_warning(tmp_path):
    with FalSimulator() as simulator:
        options = {"fal": {"input": '{"duration": "3"}'}}
        events = await run(backend_for(simulator, tmp_path), "acme/videos/v9", options=options)

    assert simulator.calls("submit")[0].path == "/acme/videos/v9"
    assert simulator.calls("submit")[0].json()["duration"] == "3"
    assert "not known here" in events[-1].warnings[0]


async def test_a_size_that_only_chooses_how_large_says_so_where_it_is_planned(tmp_path):
    with FalSimulator() as simulator:
        backend = backend_for(simulator, tmp_path)
        size = Size(width=1920, height=1080)
        model = "fal-ai/wan/v2.7/image-to-video"
        plan = negotiate(
            VideoRequest(prompt="a fox", inputs=(IMAGE,), size=size),
            backend.capabilities(model),
            draw_seed=lambda: 7,
        )
        events = await run(backend, model, inputs=(IMAGE,), size=size)

    assert simulator.calls("submit")[0].json()["resolution"] == "1080p"
    assert plan.warnings == (
        "the frames have the shape of the image; 1920x1080 chooses only how large",
    )
    assert events[-1].warnings == ()  # an image between two segments was not the caller's


async def test_a_video_is_continued_and_gets_longer_by_what_was_asked(tmp_path):
    import numpy as np

    source = tmp_path / "source.mp4"
    write_video(source, np.zeros((100, 32, 32, 3), np.uint8), fps=24)
    video = MediaInput(role=InputRole.SOURCE_VIDEO, path=str(source))
    with FalSimulator() as simulator:
        backend = backend_for(simulator, tmp_path)
        events = await run(backend, "fal-ai/magi/extend-video", inputs=(video,), duration=4.0)
        content = await fetched(events[-1])

    (tmp_path / "longer.mp4").write_bytes(content)
    assert probe(tmp_path / "longer.mp4").frames == 100 + 96


@pytest.mark.parametrize("kind", ["close_after_accept", "close_before_accept", "garbage", "html"])
async def test_a_submission_whose_reply_is_lost_is_not_sent_again(tmp_path, kind):
    with FalSimulator([Fault("submit", kind)]) as simulator:
        backend = backend_for(simulator, tmp_path)
        request = plan("fal-ai/magi").request

        with pytest.raises(SubmitUncertainError):
            await backend.submit(request, key="job-1")

        assert len(simulator.calls("submit")) == 1
        assert await backend.find(request, key="job-1", since=datetime.now(UTC)) is None


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("submit", "status", status=401), BackendAuthenticationError),
        (Fault("submit", "status", status=403), BackendAuthenticationError),
        (Fault("submit", "status", status=404), InvalidRequestError),
        (Fault("submit", "status", status=429, times=None), BackendRateLimitError),
        (Fault("submit", "status", status=500), SubmitUncertainError),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Fault) else "",
)
async def test_a_refused_submission_is_an_error_of_its_kind(tmp_path, fault, error):
    with FalSimulator([fault]) as simulator:
        with pytest.raises(error):
            await run(backend_for(simulator, tmp_path))

        assert simulator.accepted == 0


async def test_concurrency_is_waited_for_before_anything_was_accepted(tmp_path):
    with FalSimulator([Fault("submit", "status", status=429, times=2)]) as simulator:
        events = await run(backend_for(simulator, tmp_path))

        assert events[-1].type == "job.completed"
        assert simulator.accepted == 1


async def test_nobody_at_the_address_and_no_key_are_said(tmp_path):
    request = plan("fal-ai/magi").request
    with FalSimulator([Fault("*", "refuse")]) as simulator:
        with pytest.raises(BackendUnavailableError):
            await backend_for(simulator, tmp_path).submit(request, key="job-1")
        keyless = FalBackend(BackendSettings(data_dir=tmp_path, base_url=simulator.url))
        with pytest.raises(BackendAuthenticationError, match="needs a key"):
            await keyless.submit(request, key="job-1")

    assert simulator.requests == []


@pytest.mark.parametrize("call", ["status", "result"])
@pytest.mark.parametrize("kind", ["status", "close_after_accept", "delay", "slow_body"])
async def test_trouble_while_polling_is_not_trouble_with_the_work(tmp_path, call, kind):
    fault = Fault(call, kind, status=502, seconds=0.01, times=2)
    with FalSimulator([fault]) as simulator:
        events = await run(backend_for(simulator, tmp_path))

        assert events[-1].type == "job.completed"
        assert simulator.accepted == 1


@pytest.mark.parametrize("kind", ["garbage", "html"])
async def test_a_senseless_poll_says_nothing_about_the_work(tmp_path, kind):
    with FalSimulator([Fault("status", kind)]) as simulator:
        backend = backend_for(simulator, tmp_path)
        with pytest.raises(BackendUnavailableError, match=r"127\.0\.0\.1"):
            await run(backend)

        assert (await run(backend))[-1].type == "job.completed"
        assert simulator.accepted == 1


async def test_work_that_fal_does_not_know_is_not_found(tmp_path):
    with FalSimulator() as simulator:
        backend = backend_for(simulator, tmp_path)
        ref = await backend.submit(plan("fal-ai/magi").request, key="job-1")
        simulator.jobs.clear()

        with pytest.raises(OperationNotFoundError):
            await anext(backend.observe(ref))


async def test_accepted_work_without_a_name_is_said_in_plain_words(tmp_path):
    nameless = {**REPLIES.read("submitted")["body"], "request_id": ""}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=nameless))
    settings = BackendSettings(data_dir=tmp_path, key=SecretStr(KEY))
    backend = FalBackend(settings, transport=transport, sleep=no_sleep)

    with pytest.raises(SubmitUncertainError, match="JSON without a usable request_id"):
        await backend.submit(plan("fal-ai/magi").request, key="job-1")


async def test_addresses_of_another_origin_are_not_asked_and_named_where_ours_knows_nothing(
    tmp_path,
):
    asked = []

    def answer(request):
        asked.append(request)
        if request.method == "GET":
            return httpx.Response(404, json={"detail": "Request not found"})
        documented = REPLIES.read("submitted")["body"]
        return httpx.Response(200, json={**documented, "status_url": "https://evil.example/s"})

    settings = BackendSettings(data_dir=tmp_path, key=SecretStr(KEY))
    backend = FalBackend(settings, transport=httpx.MockTransport(answer), sleep=no_sleep)

    ref = await backend.submit(plan("fal-ai/magi").request, key="job-1")
    with pytest.raises(OperationNotFoundError, match=r"764cabcf.*evil\.example"):
        await anext(backend.observe(ref))

    assert {request.url.host for request in asked} == {"queue.fal.run"}
    assert asked[-1].url.path == "/fal-ai/magi/requests/764cabcf/status"


async def test_the_documented_conversation_is_understood(tmp_path):
    said = [REPLIES.read(name) for name in ("submitted", "in_progress", "completed", "result")]
    asked = []

    def answer(request):
        asked.append((request.method, str(request.url)))
        data = said.pop(0)
        return httpx.Response(data["status"], json=data["body"])

    settings = BackendSettings(data_dir=tmp_path, key=SecretStr(KEY))
    backend = FalBackend(settings, transport=httpx.MockTransport(answer), sleep=no_sleep)

    events = await run(backend, "bytedance/seedance-2.0/text-to-video", duration=5.0)

    base = "https://queue.fal.run/bytedance/seedance-2.0/requests/764cabcf"
    assert asked == [
        ("POST", "https://queue.fal.run/bytedance/seedance-2.0/text-to-video"),
        ("GET", f"{base}/status?logs=1"),
        ("GET", f"{base}/status?logs=1"),
        ("GET", base),
    ]
    assert events[-1].artifacts[0].uri == "https://v3.fal.media/files/b/x.mp4"


async def test_work_that_waits_can_be_stopped_and_a_finished_video_is_left_alone(tmp_path):
    with FalSimulator(queued_polls=5) as simulator:
        backend = backend_for(simulator, tmp_path)
        ref = await backend.submit(plan("fal-ai/magi").request, key="job-1")
        await backend.cancel(ref)
        stopped = (await events_of(backend, ref))[-1]
    with FalSimulator(queued_polls=0, running_polls=0) as simulator:
        backend = backend_for(simulator, tmp_path)
        ended = await run(backend)
        ref = await backend.submit(plan("fal-ai/mochi-v1").request, key="job-1")
        await backend.cancel(ref)
        await backend.cancel(ref.model_copy(update={"operation_id": "unknown"}))

    assert stopped.type == "job.cancelled"
    assert ended[-1].type == "job.completed"


async def test_a_text_in_place_of_an_image_costs_nothing(tmp_path):
    (tmp_path / "fox.png").write_text("a fox")
    image = MediaInput(role=InputRole.FIRST_FRAME, path=str(tmp_path / "fox.png"))
    with FalSimulator() as simulator:
        with pytest.raises(InvalidRequestError, match=r"fox\.png"):
            await run(
                backend_for(simulator, tmp_path), "fal-ai/magi/image-to-video", inputs=(image,)
            )

        assert simulator.requests == []


@pytest.mark.parametrize(
    ("model", "field", "longest"),
    [
        ("fal-ai/kling-video/v3/pro/text-to-video", "prompt", 2500),
        ("fal-ai/kling-video/v3/standard/text-to-video", "negative_prompt", 2500),
        ("fal-ai/wan/v2.7/text-to-video", "negative_prompt", 500),
        ("fal-ai/wan-25-preview/text-to-video", "negative_prompt", 500),
        ("fal-ai/ltx-2.3/text-to-video", "prompt", 5000),
    ],
)
def test_words_beyond_the_limit_of_a_model_are_refused_before_they_are_sent(model, field, longest):
    catalogue = Catalogue.load({"fal": Registry.discover().specs["fal"]})
    capabilities = catalogue.correct(describe(model))

    def planned(length):
        asked = VideoRequest.model_validate({"prompt": "a fox", field: "a" * length})
        return negotiate(asked, capabilities, draw_seed=lambda: 0).request

    assert len(getattr(planned(longest), field)) == longest
    with pytest.raises(UnsupportedRequestError, match=f"the limit is {longest}"):
        planned(longest + 1)


@pytest.mark.parametrize("model", ["fal-ai/magi", "fal-ai/magi/extend-video", "fal-ai/mochi-v1"])
def test_a_model_that_is_probably_retired_says_so(model):
    assert "probably retired" in describe(model).description
