"""The simulator of Luma answers as documented: same fields, types and status codes."""

from typing import Any

import httpx
import pytest

from media_agent_hosted.providers.luma.simulator import LumaSimulator
from tests.hosted.provider_kit import Replies

REPLIES = Replies(__file__)
HEADERS = {"Authorization": "Bearer some-key"}
FRAME = {"url": "https://example.com/f.jpg"}
REQUEST: dict[str, Any] = {
    "model": "ray-3.2",
    "type": "video",
    "prompt": "a fox runs through snow",
    "aspect_ratio": "16:9",
    "video": {"resolution": "720p", "duration": "5s", "start_frame": FRAME},
}


def submit(simulator: LumaSimulator, **more: Any) -> httpx.Response:
    url = f"{simulator.url}/v1/generations"
    return httpx.post(url, **({"headers": HEADERS, "json": REQUEST} | more))


@pytest.mark.parametrize("outcome", ["completed", "failed", "moderated", "exhausted", "corrupt"])
def test_every_answer_has_the_documented_shape(outcome: str) -> None:
    with LumaSimulator(outcome=outcome) as simulator:
        answers = [submit(simulator)]
        url = f"{simulator.url}/v1/generations/{answers[0].json()['id']}"
        answers += [httpx.get(url, headers=HEADERS) for _ in range(4)]

    shown = ("submitted", "queued", "processing", "processing", outcome)
    assert all(map(REPLIES.has_shape, answers, shown))
    assert answers[-1].json().get("failure_code") == (
        REPLIES.read(outcome)["body"].get("failure_code")
    )


@pytest.mark.parametrize("outcome", ["no_credit", "limited"])
def test_a_refusal_has_its_status(outcome: str) -> None:
    with LumaSimulator(outcome=outcome) as simulator:
        answer = submit(simulator)

        assert REPLIES.has_shape(answer, outcome)
        assert simulator.accepted == 0


def test_a_file_is_ready_some_time_after_it_is_there() -> None:
    asked = {"mime_type": "video/mp4", "size_bytes": 3, "filename": "a.mp4", "purpose": "input"}
    with LumaSimulator() as simulator:
        here = f"{simulator.url}/v1/files"
        made = httpx.post(here, json={**asked, "expires_at": "2026-11-21"}, headers=HEADERS)
        named, place = f"{here}/{made.json()['id']}", made.json()["upload"]["url"]
        early = httpx.post(f"{named}/complete", headers=HEADERS)
        with_key = httpx.put(place, content=b"abc", headers=HEADERS)
        stored = httpx.put(place, content=b"abc")
        too_early = submit(simulator, json=REQUEST | {"video": {"start_frame": {"file_id": "f"}}})
        after = [httpx.post(f"{named}/complete", headers=HEADERS)]
        after += [httpx.get(named, headers=HEADERS) for _ in range(2)]

    assert REPLIES.has_shape(made, "upload")
    assert [each.status_code for each in (early, with_key, stored)] == [409, 403, 200]
    assert "file" in too_early.json()["detail"]
    assert [each.json()["state"] for each in after] == ["pending", "pending", "ready"]
    assert REPLIES.has_shape(after[1], "pending")
    assert REPLIES.has_shape(after[2], "ready")


def test_a_key_is_wanted_and_unknown_work_is_not_found() -> None:
    with LumaSimulator() as simulator:
        unknown = httpx.get(f"{simulator.url}/v1/generations/x", headers=HEADERS)

        assert REPLIES.has_shape(submit(simulator, headers={}), "wrong_key")
        assert REPLIES.has_shape(unknown, "not_found")
        assert simulator.accepted == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": ""}, "prompt"),
        ({"model": None}, "model"),
        ({"type": "image"}, "type"),
        ({"aspect_ratio": "2:1"}, "aspect_ratio"),
        ({"video": {"resolution": "720P"}}, "resolution"),
        ({"video": {"duration": 5}}, "duration"),
        ({"video": {"duration": "10s", "start_frame": FRAME}}, "5s without hdr"),
        ({"video": {"duration": "10s", "loop": True}}, "loop"),
        ({"video": {"exr_export": True}}, "hdr"),
        ({"video": {"start_frame": {**FRAME, "file_id": "f"}}}, "exactly one"),
        ({"video": {"start_frame": {"data": "AAAA"}}}, "media_type"),
        ({"video": {"keyframes": [FRAME], "keyframe_indexes": [121]}}, "keyframe_indexes"),
        ({"video": {"keyframes": [FRAME] * 2, "keyframe_indexes": [1, 1]}}, "keyframe_indexes"),
        ({"video": {"keyframes": [FRAME]}}, "belong together"),
        (
            {"video": {"keyframes": [FRAME], "keyframe_indexes": [1], "end_frame": FRAME}},
            "exclude",
        ),
        ({"video": {"edit": {}}}, "video_edit"),
        ({"type": "video_edit", "source": FRAME}, "media_type"),
        ({"type": "video_edit", "video": {}}, "exactly one"),
        ({"type": "video_reframe", "aspect_ratio": "7:1"}, "aspect_ratio"),
    ],
)
def test_a_senseless_field_is_refused_by_name(change: Any, said: str) -> None:
    with LumaSimulator() as simulator:
        refused = submit(simulator, json=REQUEST | change)

        assert refused.status_code == 400
        assert said in refused.json()["detail"]
        assert simulator.accepted == 0
