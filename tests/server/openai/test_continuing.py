"""New videos from finished ones, and from files."""

from typing import Any

import httpx
import pytest

from media_agent.server.context import ServerContext
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode
from tests.server.openai.conftest import SMALL, TINY, Finish

pytestmark = pytest.mark.anyio

NEW = {"prompt": "a blue square moving left"}


@pytest.fixture
async def tiny(http: httpx.AsyncClient, finish: Finish) -> str:
    made = await http.post("/v1/videos", json=TINY)
    video: str = (await finish(made.json()["id"]))["id"]
    return video


async def test_a_finished_video_is_extended_edited_and_remixed(
    http: httpx.AsyncClient, server: ServerContext, tiny: str
) -> None:
    by_id = {"video": {"id": tiny}}
    content = (await http.get(f"/v1/videos/{tiny}/content")).content

    extended = await http.post("/v1/videos/extensions", json={**NEW, **by_id, "seconds": "1"})
    of_form = await http.post(
        "/v1/videos/extensions", data={**NEW, "video[id]": tiny, "seconds": "1"}
    )
    of_file = await http.post(
        "/v1/videos/extensions",
        data={**NEW, "model": "magi/tiny", "seconds": "1"},
        files={"video": ("x.mp4", content, "video/mp4")},
    )
    edited = await http.post("/v1/videos/edits", json={**NEW, **by_id})
    remixed = await http.post(f"/v1/videos/{tiny}/remix", json=NEW)

    replies = (extended, of_form, of_file, edited, remixed)
    made: list[dict[str, Any]] = [reply.json() for reply in replies]
    assert [reply.status_code for reply in replies] == [200] * 5, made
    assert [each["remixed_from_video_id"] for each in made] == [tiny, tiny, None, tiny, tiny]
    assert made[0]["seconds"] == made[1]["seconds"] == "2"
    jobs = [server.host.client.store.jobs.get(each["id"]) for each in made]
    assert jobs[2].request.join_source
    for edit in jobs[3:]:
        (source,) = edit.request.inputs
        assert (edit.request.mode, source.role) == (VideoMode.VIDEO_EDIT, InputRole.SOURCE_VIDEO)
        assert source.path == str(
            server.host.client.store.jobs.folder(edit.id) / "inputs/source.mp4"
        )


async def test_a_model_that_edits_no_videos_remixes_by_the_same_request_with_another_prompt(
    http: httpx.AsyncClient, server: ServerContext, finish: Finish
) -> None:
    body = {**SMALL, "prompt": "a fox", "seed": 5, "user": "u"}
    source = await finish((await http.post("/v1/videos", json=body)).json()["id"])

    remixed = (await http.post(f"/v1/videos/{source['id']}/remix", json={"prompt": "a dog"})).json()
    longer = await http.post(
        f"/v1/videos/{source['id']}/remix", json={"prompt": "a dog", "num_frames": 8}
    )

    assert (remixed["prompt"], remixed["seconds"], remixed["size"]) == ("a dog", "1", "64x48")
    assert remixed["media_agent"]["seed"] == 5
    assert remixed["remixed_from_video_id"] == source["id"]
    request = server.host.client.store.jobs.get(longer.json()["id"]).request
    assert (request.num_frames, request.duration, request.labels["user"]) == (8, None, "u")


async def test_what_is_not_finished_or_not_a_video_cannot_be_continued(
    http: httpx.AsyncClient,
) -> None:
    slow = {**SMALL, "prompt": "a fox", "seconds": 4, "latency_seconds": 60}
    video = (await http.post("/v1/videos", json=slow)).json()["id"]
    by_id = {"prompt": "a dog", "video": {"id": video}}

    unready = [
        await http.post(f"/v1/videos/{video}/remix", json={"prompt": "a dog"}),
        await http.post("/v1/videos/edits", json=by_id),
    ]
    wrong = [
        await http.post(f"/v1/videos/{video}/remix", json={}),
        await http.post("/v1/videos/edits", json={"prompt": "a dog"}),
        await http.post("/v1/videos/edits", json={"prompt": "a dog", "video": {"id": 7}}),
        await http.post("/v1/videos/extensions", json={**by_id, "fps": 8}),
        await http.post(
            "/v1/videos/extensions", data={"prompt": "a dog"}, files={"video": ("x.mp4", b"text")}
        ),
    ]

    assert [reply.json()["error"]["code"] for reply in unready] == ["video_not_ready"] * 2
    assert unready[0].headers["x-should-retry"] == "true"
    assert [reply.status_code for reply in wrong] == [400] * 5
    await http.delete(f"/v1/videos/{video}")
