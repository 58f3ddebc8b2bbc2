"""What is sent and what answers mean, without any network: against the documented replies."""

import json
from pathlib import Path

import pytest

from media_agent.errors import (
    InvalidRequestError,
    OperationNotFoundError,
    UnsupportedRequestError,
)
from media_agent_hosted.base.identity import fits_a_path
from media_agent_hosted.base.outcomes import event_of
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.parsing.states import State
from media_agent_hosted.providers.openai_compatible.errors import refusal_of_video
from media_agent_hosted.providers.openai_compatible.form import (
    build_form,
    build_image_url,
    form_parts,
)
from media_agent_hosted.providers.openai_compatible.lookup import echoes, is_prompt_of
from media_agent_hosted.providers.openai_compatible.minimax_h3 import h3_form, is_h3
from media_agent_hosted.providers.openai_compatible.video import (
    Server,
    Video,
    completed,
    failure,
    parse_list,
    parse_models,
    parse_status,
    parse_video,
)
from media_agent_schemas import (
    Artifact,
    JobFailed,
    JobProgressed,
    OperationRef,
    Shot,
    Size,
    Verification,
    VerificationLevel,
    VideoRequest,
)

REPLIES = Path(__file__).parent / "replies"
CHECKED = Verification(level=VerificationLevel.SIMULATOR)


def reply(name):
    return json.loads((REPLIES / f"{name}.json").read_text("utf-8"))


def words_of(body):
    return Reply(400, {}, json.dumps(body).encode(), host="here").words()


def video(name, **changes):
    return Video.model_validate(reply(name) | changes)


def request(**fields):
    given = {"prompt": "a fox in snow", "num_frames": 81, "fps": 16, "seed": 0}
    return VideoRequest.model_validate(given | {"size": Size(width=832, height=480)} | fields)


def form(options=None, *, model=None, server=Server.AUTO, **fields):
    return build_form(request(**fields), options or {}, model=model, server=server)


def test_every_value_of_the_form_is_text_and_zero_is_a_value():
    assert form({"num_inference_steps": 30, "guidance_scale": 4.5, "enhance_prompt": False}) == {
        "prompt": "a fox in snow",
        "size": "832x480",
        "num_frames": "81",
        "fps": "16",
        "seconds": "5",
        "seed": "0",
        "num_inference_steps": "30",
        "guidance_scale": "4.5",
        "enhance_prompt": "false",
    }


def test_all_of_a_request_is_sent():
    sent = form(model="wan", negative_prompt="rain", audio=True)

    assert sent["model"] == "wan"
    assert sent["negative_prompt"] == "rain"
    assert sent["generate_sound"] == "true"


def test_a_single_shot_is_its_prompt_and_several_are_refused():
    shots = (Shot(prompt="a fox"), Shot(prompt="a hare", duration=1))

    assert form(prompt=None, shots=shots[:1])["prompt"] == "a fox"
    with pytest.raises(InvalidRequestError, match="2 prompts"):
        form(prompt=None, shots=shots)


def test_frames_are_sent_and_the_seconds_too_where_the_server_is_not_known():
    assert form()["seconds"] == "5"
    assert "seconds" not in form(server=Server.SGLANG) | form(server=Server.VLLM_OMNI)
    assert form(num_frames=2)["seconds"] == "1"
    assert form(num_frames=None, duration=5)["num_frames"] == "80"
    assert form(num_frames=None, duration=5, fps=None)["seconds"] == "5"
    with pytest.raises(InvalidRequestError, match=r"2\.5 s"):
        form(num_frames=None, duration=2.5, fps=None)


def test_a_broken_frame_rate_is_sent_as_it_is_except_to_sglang():
    assert form(fps=23.976)["fps"] == "23.976"
    assert form(fps=24.0, server=Server.SGLANG)["fps"] == "24"
    with pytest.raises(UnsupportedRequestError, match="whole frames per second"):
        form(fps=23.976, server=Server.SGLANG)


def test_json_options_are_objects_as_text():
    assert form({"extra_params": '{"a": 1}', "lora": {"name": "ink"}})["lora"] == '{"name": "ink"}'
    for broken in ("not json", "[1]"):
        with pytest.raises(InvalidRequestError, match="extra_params"):
            form({"extra_params": broken})


def test_an_image_by_its_address_goes_into_the_field_that_each_server_reads():
    url = "https://example.com/fox.png"

    assert build_image_url(url, Server.SGLANG) == {"reference_url": url}
    assert build_image_url(url, Server.VLLM_OMNI) == {
        "image_reference": '{"image_url": "https://example.com/fox.png"}'
    }
    assert len(build_image_url(url, Server.AUTO)) == 2


def test_the_form_has_plain_fields_and_the_image_as_a_file():
    parts = form_parts({"prompt": "ein Fuchs"}, ("first_frame.png", b"png", "image/png"))

    assert parts["prompt"] == (None, b"ein Fuchs", None)
    assert parts["input_reference"] == ("first_frame.png", b"png", "image/png")


def event_of_poll(video):
    """Return what a poll means that says this of a video; None: it can be fetched."""
    return event_of(parse_status(video), {}, "the server", None)


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("sglang_in_progress", Server.SGLANG),
        ("vllm_omni_failed_http_400", Server.VLLM_OMNI),
        ("openai_completed", Server.AUTO),
    ],
)
def test_a_reply_shows_which_server_wrote_it(name, server):
    assert video(name).server is server


@pytest.mark.parametrize(
    ("name", "fraction"), [("sglang_in_progress", 0.42), ("openai_in_progress", 0.33)]
)
def test_work_in_progress_says_how_far_it_is(name, fraction):
    assert event_of_poll(video(name)) == JobProgressed(phase="in_progress", fraction=fraction)


def test_the_zero_that_vllm_omni_always_says_is_no_progress():
    event = event_of_poll(video("vllm_omni_failed_http_400", status="in_progress"))

    assert event == JobProgressed(phase="in_progress", fraction=None)


@pytest.mark.parametrize("word", ["preparing", "QUEUED", "Task-Submitted"])
def test_a_word_of_the_trade_for_waiting_is_waiting(word):
    assert event_of_poll(video("sglang_in_progress", status=word)).phase == "queued"


@pytest.mark.parametrize("word", ["warming the oven", "half_done", "phase 3"])
def test_an_unknown_word_is_progress_and_is_said(word):
    event = event_of_poll(video("sglang_in_progress", status=word))

    assert (event.phase, event.fraction) == (word, 0.42)
    assert f"{word!r}, which is not known here" in event.message


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("vllm_omni_failed_http_400", "invalid_request", "num_frames must be 4n+1"),
        ("sglang_failed", "generation_failed", "CUDA out of memory"),
        ("openai_failed", "generation_failed", "Video generation failed."),
    ],
)
def test_a_failed_video_says_why_in_the_words_of_its_server(name, code, said):
    event = event_of_poll(video(name))

    assert isinstance(event, JobFailed)
    assert event.error.code == code
    assert said in event.error.message


def test_an_error_without_anything_is_still_a_failure():
    for error in (None, {}, "it broke"):
        assert failure(video("sglang_failed", error=error)).code == "generation_failed"


def test_a_deleted_video_is_lost_and_not_failed():
    with pytest.raises(OperationNotFoundError) as caught:
        event_of_poll(video("sglang_deleted"))

    assert "output folder" in caught.value.hint


@pytest.mark.parametrize("name", ["sglang_completed", "openai_completed"])
def test_a_completed_video_tells_what_it_knows(name):
    ref = OperationRef(backend="b", model="m", operation_id="1", data={"seed": 0})
    done = video(name)

    event = completed(done, Artifact(path="/video.mp4"), ref, CHECKED)

    assert event_of_poll(done) is None
    assert event.seed == 0
    assert event.timing.total_seconds == 90
    assert event.model == done.model


def test_a_rewritten_prompt_is_the_prompt_sent():
    ref = OperationRef(backend="b", operation_id="1")
    done = video("sglang_completed", revised_prompt="a red fox")

    assert completed(done, Artifact(path="/a"), ref, CHECKED).prompts_sent == ("a red fox",)


@pytest.mark.parametrize(
    ("said", "addresses"),
    [
        ({"urls": [None], "url": None}, ()),
        ({"url": "s3://videos/1.mp4"}, ()),
        ({"url": "", "urls": [""]}, ()),
        ({"url": 7, "urls": {"odd": 1}}, ()),
        ({"urls": ["s3://a", "https://b/1.mp4"]}, ("https://b/1.mp4",)),
        ({"url": "https://b/1.mp4", "urls": ["https://b/1.mp4"]}, ("https://b/1.mp4",)),
        ({"data": [{"url": "https://b/1.mp4"}]}, ("https://b/1.mp4",)),
        ({"video": {"url": "/files/1.mp4"}}, ("/files/1.mp4",)),
    ],
)
def test_only_what_can_be_fetched_is_an_address(said, addresses):
    found = parse_video(reply("sglang_completed") | said)

    assert (found.addresses, found.state) == (addresses, State.DONE)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("openai_rejected_http_400", "Your request was blocked by our moderation system."),
        ("sglang_content_http_404", "Generation is still in-progress"),
    ],
)
def test_complaints_are_read_in_every_envelope(name, said):
    assert words_of(reply(name)) == said


def test_the_complaint_about_a_form_names_its_fields():
    fault = {"type": "missing", "loc": ["body", "prompt"], "msg": "Field required", "input": None}

    assert words_of({"detail": [fault]}) == "prompt: Field required"
    assert words_of([1, 2]) == ""


def test_what_is_no_video_is_none():
    for body in (None, [], {}, "<html>", reply("vllm_omni_deleted"), {"object": "video"}):
        assert parse_video(body) is None


def test_ids_that_climb_out_of_their_path_are_not_used():
    assert fits_a_path(video("sglang_in_progress").id)
    for bad in ("", ".", "..", "a\nb", "x" * 501):
        assert not fits_a_path(bad)


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("id", 12345, "12345"),
        ("seconds", "5s", None),
        ("created_at", 1763600000123, 1763600000.123),
        ("created_at", "2025-11-20T00:53:20Z", 1763600000.0),
        ("completed_at", "soon", None),
        ("expires_at", [], None),
        ("inference_time_s", "fast", None),
        ("size", {"width": 1}, None),
        ("model", False, None),
        ("fps", "16", 16.0),
    ],
)
def test_a_field_of_another_type_is_read_as_far_as_it_can_be(field, value, read):
    found = parse_video(reply("sglang_completed") | {field: value})

    assert (getattr(found, field), found.state) == (read, State.DONE)


@pytest.mark.parametrize(
    ("said", "fraction"),
    [
        ("10%", 0.1),
        (0.25, 0.25),
        (1, 0.01),
        (250, 1.0),
        (-3, None),
        ("most of it", None),
        ([], None),
    ],
)
def test_progress_is_percent_or_a_share_or_unknown(said, fraction):
    assert event_of_poll(video("sglang_in_progress", progress=said)).fraction == fraction


def test_a_list_is_read_with_and_without_has_more():
    entry = reply("sglang_in_progress")

    videos, unreadable, has_more = parse_list({"data": [entry, {"odd": 1}, None]})

    assert ([video.status for video in videos], unreadable) == (["in_progress"], 2)
    assert has_more is None
    assert parse_list({"data": [entry], "has_more": True})[2] is True
    assert len(parse_list([entry])[0]) == 1
    assert parse_models({"data": [{"id": "wan"}, 3]}) == ("wan",)
    assert parse_models({"data": None}) == ()


def sent_for_vllm(**changes):
    prompt = {"prompt": "a fox in snow", "size": "1280x720", "num_frames": "80", "fps": "16"}
    return prompt | changes


@pytest.mark.parametrize(
    "other",
    [{"size": "832x480"}, {"model": "other"}],
)
def test_a_listed_video_must_not_speak_against_what_was_sent(other):
    listed = video("vllm_omni_failed_http_400")

    assert echoes(listed, sent_for_vllm())
    assert not echoes(listed, sent_for_vllm(**other))
    assert not echoes(video("vllm_omni_failed_http_400", num_frames=200), sent_for_vllm())
    whole_seconds = {"prompt": "a fox in snow", "size": "1280x720", "seconds": "4"}
    assert not echoes(listed, whole_seconds)
    assert echoes(listed, whole_seconds | {"seconds": "5"})


@pytest.mark.parametrize("size", ["1280X720", " 1280 x 720 ", "1280*720", "1280×720", "720p", None])
def test_a_size_is_compared_however_it_is_written(size):
    assert echoes(video("vllm_omni_failed_http_400", size=size), sent_for_vllm())


def test_only_the_whole_prompt_says_that_a_video_is_ours():
    listed = video("vllm_omni_failed_http_400", prompt=" a fox\n in  snow ")

    assert is_prompt_of(listed, sent_for_vllm())
    for other in ("a fox", "a fox in snow, at night", "", None):
        assert not is_prompt_of(listed.model_copy(update={"prompt": other}), sent_for_vllm())


def test_sglang_says_the_length_in_whole_seconds():
    listed = video("sglang_in_progress")
    sent = {"prompt": "a fox", "size": "832x480", "fps": "16"}

    assert echoes(listed, sent | {"num_frames": "81"})
    assert not echoes(listed, sent | {"num_frames": "161"})


@pytest.mark.parametrize(
    ("name", "server", "state"),
    [
        ("fastvideo_queued", Server.FASTVIDEO, State.QUEUED),
        ("fastvideo_completed", Server.FASTVIDEO, State.DONE),
        ("fastvideo_failed", Server.FASTVIDEO, State.FAILED),
        ("sglang_completed", Server.SGLANG, State.DONE),
        ("vllm_omni_completed", Server.VLLM_OMNI, State.DONE),
        ("vllm_omni_failed_http_500", Server.VLLM_OMNI, State.FAILED),
    ],
)
def test_a_recorded_reply_shows_which_server_it_is_and_how_far(name, server, state):
    found = parse_video(reply(name))

    assert found is not None
    assert (found.server, found.state) == (server, state)


def test_a_failure_of_fastvideo_is_told_in_its_words_though_it_names_a_file():
    found = parse_video(reply("fastvideo_failed"))

    assert found is not None
    assert "CUDA out of memory" in str(parse_status(found).error)
    assert found.addresses == ()


def test_fastvideo_says_no_progress_before_it_is_done():
    found = parse_video(reply("fastvideo_queued"))

    assert found is not None
    assert parse_status(found).fraction is None


def test_a_list_of_fastvideo_does_not_say_whether_there_is_more():
    videos, unreadable, has_more = parse_list(reply("fastvideo_list"))

    assert [video.server for video in videos] == [Server.FASTVIDEO]
    assert (unreadable, has_more) == (0, None)


def test_a_listed_video_of_fastvideo_of_another_length_is_another_one():
    made = video("fastvideo_completed", seconds=30.0, size="832x480")

    assert not echoes(made, form())
    assert echoes(made.model_copy(update={"seconds": 5.0}), form())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sglang_rejected_http_400", "num_frames must be positive"),
        ("vllm_omni_model_mismatch_http_400", "Model mismatch"),
    ],
)
@pytest.mark.parametrize("envelope", ["fastapi", "vllm"])
def test_a_refusal_is_told_in_the_servers_words_in_either_envelope(name, said, envelope):
    body = reply(name)
    if envelope == "vllm":
        error = {"message": body["detail"], "type": "Bad Request", "param": None, "code": 400}
        body = {"error": error}
    refusal = refusal_of_video(Reply(400, {}, json.dumps(body).encode(), host="here"))

    assert isinstance(refusal, InvalidRequestError)
    assert said in str(refusal)


@pytest.mark.parametrize(
    ("size", "ratio"),
    [
        ((1344, 768), "16:9"),
        ((768, 1344), "9:16"),
        ((1024, 768), "4:3"),
        ((768, 1024), "3:4"),
        ((768, 768), "1:1"),
        ((1792, 768), "21:9"),
    ],
)
def test_minimax_h3_is_told_the_nearest_named_aspect_ratio(size, ratio):
    width, height = size
    wanted = request(size=Size(width=width, height=height), num_frames=124, fps=24)
    target = json.loads(h3_form({"prompt": "x"}, wanted, Server.SGLANG)["target"])

    assert (target["aspect_ratio"], target["short_edge"]) == (ratio, 768)


def test_minimax_h3_takes_no_frames_on_sglang_and_keeps_a_duration():
    wanted = VideoRequest(prompt="a fox", duration=6.0)
    asked = h3_form({"prompt": "a fox", "seconds": "6", "fps": "24"}, wanted, Server.SGLANG)

    assert json.loads(asked["target"])["duration_seconds"] == 6.0
    assert asked.keys() == {"prompt", "task", "target"}


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("MiniMaxAI/MiniMax-H3", True),
        ("minimax/minimax-h3", True),
        ("FastVideo/FastVideo-Minimax-FastH3-Preview-v0.2", True),
        ("MiniMaxAI/MiniMax-M2", False),
        ("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", False),
    ],
)
def test_minimax_h3_is_known_by_its_name(model, known):
    assert is_h3(model) is known
