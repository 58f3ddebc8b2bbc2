"""The simulated servers answer with the shapes of the documented replies."""

import json
from pathlib import Path

import httpx
import pytest

from media_agent.errors import InvalidRequestError
from media_agent.testing import Fault
from media_agent_hosted.providers.openai_compatible.simulator import OpenAISimulator

REPLIES = Path(__file__).parent / "replies"
FORM = {"prompt": "a fox in snow", "size": "64x48", "num_frames": "9", "fps": "8"}


def reply(name):
    return json.loads((REPLIES / f"{name}.json").read_text("utf-8"))


def as_parts(form):
    return {name: (None, value) for name, value in form.items()}


def create(simulator, form=FORM):
    return httpx.post(f"{simulator.url}/v1/videos", files=as_parts(form))


def poll(simulator, video, times):
    for _ in range(times):
        answer = httpx.get(f"{simulator.url}/v1/videos/{video['id']}")
    return answer


def kinds(value):
    return {name: type(each) for name, each in value.items()}


def test_sglang_in_progress_and_completed_have_the_documented_fields():
    with OpenAISimulator(flavour="sglang") as simulator:
        video = create(simulator).json()
        running = poll(simulator, video, 2).json()
        done = poll(simulator, video, 3).json()

    assert kinds(running) == kinds(reply("sglang_in_progress"))
    assert running["status"] == "in_progress"
    assert running["progress"] == 42
    assert kinds(done) == kinds(reply("sglang_completed"))


def test_sglang_with_an_upload_has_the_documented_fields():
    with OpenAISimulator(cloud_url="https://bucket.example.com/6d0e.mp4") as simulator:
        done = poll(simulator, create(simulator).json(), 4).json()

    assert kinds(done) == kinds(reply("sglang_completed_in_cloud"))
    assert (done["urls"], done["file_paths"]) == ([done["url"]], [None])


def test_sglang_without_an_upload_names_an_address_that_is_none():
    with OpenAISimulator() as simulator:
        done = poll(simulator, create(simulator).json(), 4).json()

    assert (done["url"], done["urls"]) == (None, [None])
    assert done["file_paths"] == [done["file_path"]]


def test_sglang_failed_and_deleted_have_the_documented_fields():
    with OpenAISimulator(flavour="sglang", fails_with="CUDA out of memory") as simulator:
        video = create(simulator).json()
        failed = poll(simulator, video, 4)
        deleted = httpx.delete(f"{simulator.url}/v1/videos/{video['id']}").json()

    assert failed.status_code == 200
    assert kinds(failed.json()) == kinds(reply("sglang_failed"))
    assert failed.json()["error"] == reply("sglang_failed")["error"]
    assert deleted.keys() == reply("sglang_deleted").keys()
    assert deleted["status"] == "deleted"


def test_vllm_omni_failed_is_an_http_error_with_the_documented_fields():
    with OpenAISimulator(flavour="vllm-omni") as simulator:
        video = create(simulator, FORM | {"num_frames": "8"}).json()
        failed = poll(simulator, video, 4)

    assert failed.status_code == 400
    assert kinds(failed.json()) == kinds(reply("vllm_omni_failed_http_400"))
    assert failed.json()["error"] == reply("vllm_omni_failed_http_400")["error"]


def test_vllm_omni_deleted_has_the_documented_fields_and_the_video_is_gone():
    with OpenAISimulator(flavour="vllm-omni") as simulator:
        video = create(simulator).json()
        deleted = httpx.delete(f"{simulator.url}/v1/videos/{video['id']}").json()
        gone = poll(simulator, video, 1)

    assert deleted == reply("vllm_omni_deleted") | {"id": video["id"]}
    assert gone.status_code == 404


@pytest.mark.parametrize(
    ("flavour", "status"), [("sglang", 200), ("fastvideo", 200), ("vllm-omni", 400)]
)
def test_vllm_omni_takes_no_json(flavour, status):
    with OpenAISimulator(flavour=flavour) as simulator:
        answer = httpx.post(f"{simulator.url}/v1/videos", json=FORM)

    assert answer.status_code == status
    assert simulator.accepted == (status == 200)


def test_sglang_reads_a_form_that_is_not_multipart_as_json():
    with OpenAISimulator(flavour="sglang") as simulator:
        answer = httpx.post(f"{simulator.url}/v1/videos", data=FORM)

    assert answer.status_code == 400
    assert simulator.accepted == 0


@pytest.mark.parametrize(
    ("flavour", "field", "value"),
    [
        ("sglang", "fps", "23.976"),
        ("sglang", "seconds", "four"),
        ("fastvideo", "fps", "23.976"),
    ],
)
def test_a_field_that_the_server_does_not_take_is_named(flavour, field, value):
    with OpenAISimulator(flavour=flavour) as simulator:
        answer = create(simulator, FORM | {field: value})

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", field]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("num_frames", "-5", "num_frames must be positive"),
        ("num_frames", "0", "num_frames must be positive"),
        ("size", "0x48", "size must be formatted as positive WIDTHxHEIGHT"),
        ("size", "wide", "size must be formatted as positive WIDTHxHEIGHT"),
    ],
)
def test_sglang_takes_positive_frames_and_sizes_only(field, value, said):
    with OpenAISimulator(flavour="sglang") as simulator:
        answer = create(simulator, FORM | {field: value})

    assert (answer.status_code, answer.json()) == (400, {"detail": said})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", "wide"),
        ("seconds", "0"),
        ("num_inference_steps", "201"),
        ("guidance_scale", "high"),
    ],
)
def test_vllm_omni_names_a_field_in_the_envelope_of_vllm(field, value):
    with OpenAISimulator(flavour="vllm-omni") as simulator:
        answer = create(simulator, FORM | {field: value})

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == f"body.{field}"


def test_vllm_omni_refuses_another_model():
    with OpenAISimulator(flavour="vllm-omni") as simulator:
        answer = create(simulator, FORM | {"model": "acme/other"})

    assert answer.status_code == 400
    assert "acme/other" in answer.json()["error"]["message"]


def test_a_failure_of_vllm_omni_that_is_nobodys_fault_is_polled_with_500():
    with OpenAISimulator(flavour="vllm-omni", fails_with="CUDA out of memory") as simulator:
        failed = poll(simulator, create(simulator).json(), 4)

    assert failed.status_code == 500
    assert failed.json()["status"] == "failed"
    assert failed.json()["error"] == {"code": 500, "message": "CUDA out of memory"}


def test_fastvideo_is_queued_until_it_is_done_and_has_the_recorded_fields():
    with OpenAISimulator(flavour="fastvideo") as simulator:
        video = create(simulator).json()
        running = poll(simulator, video, 2).json()
        done = poll(simulator, video, 3).json()
        page = httpx.get(f"{simulator.url}/v1/videos").json()

    assert kinds(running) == kinds(reply("fastvideo_queued"))
    assert (running["status"], running["progress"]) == ("queued", 0)
    assert kinds(done).keys() == kinds(reply("fastvideo_completed")).keys()
    assert page.keys() == {"object", "data"}


def test_fastvideo_failed_has_the_recorded_fields():
    with OpenAISimulator(flavour="fastvideo", fails_with="CUDA out of memory") as simulator:
        failed = poll(simulator, create(simulator).json(), 4)

    assert failed.status_code == 200
    assert kinds(failed.json()) == kinds(reply("fastvideo_failed"))


def test_content_has_its_own_statuses():
    with OpenAISimulator(flavour="sglang") as simulator:
        video = create(simulator).json()
        content = f"{simulator.url}/v1/videos/{video['id']}/content"
        early = httpx.get(content)
        poll(simulator, video, 4)
        late = httpx.get(content)
        named = httpx.get(content, params={"variant": "video"})

    assert early.status_code == 404
    assert early.json() == reply("sglang_content_http_404")
    assert late.headers["content-type"] == "video/mp4"
    assert late.content[4:8] == b"ftyp"
    assert named.status_code == 404


def test_vllm_omni_gives_no_video_of_a_failed_video():
    with OpenAISimulator(flavour="vllm-omni", fails_with="no") as simulator:
        video = create(simulator).json()
        poll(simulator, video, 4)
        answer = httpx.get(f"{simulator.url}/v1/videos/{video['id']}/content")

    assert answer.status_code == 422


@pytest.mark.parametrize("flavour", ["sglang", "vllm-omni"])
def test_the_list_continues_after_an_id(flavour):
    with OpenAISimulator(flavour=flavour) as simulator:
        ids = [create(simulator).json()["id"] for _ in range(3)]
        where = f"{simulator.url}/v1/videos"
        first = httpx.get(where, params={"limit": 2}).json()
        rest = httpx.get(where, params={"after": first["data"][-1]["id"]}).json()
        unknown = httpx.get(where, params={"after": "nobody"}).json()

    assert [video["id"] for video in first["data"] + rest["data"]] == ids[::-1]
    assert unknown["data"] == []
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert (first["first_id"], first["last_id"]) == (ids[2], ids[1])


@pytest.mark.parametrize("call", ["file", "counts"])
def test_a_fault_in_a_call_that_is_never_made_is_refused(call):
    with pytest.raises(InvalidRequestError, match=f"has no call '{call}'") as caught:
        OpenAISimulator([Fault(call, "html")])

    assert "content" in caught.value.hint


def test_a_flavour_that_is_not_known_is_refused():
    with pytest.raises(InvalidRequestError, match="tgi"):
        OpenAISimulator(flavour="tgi")
