"""Videos as OpenAI's clients make, look at, list and delete them."""

from typing import Any

import httpx
import openai
import pytest
from fastapi import FastAPI

from media_agent.server.access import gate
from media_agent.server.access.caller import Caller
from media_agent.server.context import ServerContext
from tests.server.openai.conftest import SMALL, Finish

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

SLOW = {**SMALL, "prompt": "a fox", "seconds": 4, "latency_seconds": 60}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"sed": 1}, "did you mean seed?"),
    ({"media_agent": {"polcy": "strict"}}, "did you mean"),
    ({"media_agent": {"inputs": [{"role": "hero", "url": "https://a.b/c"}]}}, "first_frame"),
    ({"media_agent": []}, "media_agent is not an object"),
    ({"seconds": "four"}, "seconds"),
    ({"seconds": -1}, "above zero"),
    ({"seconds": True}, "seconds"),
    ({"size": "big"}, "WIDTHxHEIGHT"),
    ({"seed": -1}, "seed -1"),
    ({"n": 99}, "n"),
    ({"width": 64, "height": None, "size": None}, "width and height"),
    ({"size": "32x32"}, "size is given twice"),
    ({"media_agent": {"duration": 2}}, "duration is given twice"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": 7}, "prompt"),
    ({"model": "sandbox/nothing"}, "no model 'nothing'"),
    ({"model": "sora-2"}, "[server] models"),
    ({"latency_seconds": "long"}, "latency_seconds"),
]
MALFORMED = [
    (b'{"prompt": "a"', "application/json"),
    (b"[1]", "application/json"),
    (b'{"seed": NaN}', "application/json"),
    (b"[" * 100_000, "application/json"),
    (b"\xff", "application/json"),
    (b"prompt", "text/plain"),
    (b"", ""),
    (b"nothing", "multipart/form-data"),
    (b"nothing", "multipart/form-data; boundary=x"),
    (
        b'--x\r\nContent-Disposition: form-data; name="a[b"\r\n\r\n1\r\n--x--',
        "multipart/form-data; boundary=x",
    ),
    (b"prompt=a&media_agent[a][b][c][d][e][f][g][h][i]=1", "application/x-www-form-urlencoded"),
    (b"media_agent=1&media_agent[policy]=strict", "application/x-www-form-urlencoded"),
    (b"prompt=a&media_agent={", "application/x-www-form-urlencoded"),
]
ALICE = Caller("alice", frozenset({"videos:read", "videos:write"}))


async def test_the_official_client_makes_downloads_lists_and_deletes_a_video(
    official: openai.AsyncOpenAI,
) -> None:
    video = await official.videos.create_and_poll(
        prompt="a fox",
        extra_body={**SMALL, "seed": 7, "media_agent": {"label": "first", "policy": "strict"}},
        poll_interval_ms=50,
    )
    content = await official.videos.download_content(video.id)
    listed = [each.id async for each in official.videos.list()]
    deleted = await official.videos.delete(video.id)

    assert (video.status, video.progress) == ("completed", 100)
    assert (video.size, video.seconds, video.prompt) == ("64x48", "1", "a fox")
    own: Any = video.model_extra
    assert own["media_agent"]["seed"] == 7
    assert own["media_agent"]["label"] == "first"
    assert content.read()[4:8] == b"ftyp"
    assert listed == [video.id]
    assert deleted.deleted
    with pytest.raises(openai.NotFoundError):
        await official.videos.retrieve(video.id)


@pytest.mark.parametrize(
    "form",
    [
        {"json": {**SMALL, "prompt": "a fox", "seconds": "1", "seed": 3}},
        {"data": {"prompt": "a fox", "size": "64x48", "seconds": "1", "fps": "4", "seed": "3"}},
        {
            "files": [(None, b"")][:0]
            + [
                (name, (None, value))
                for name, value in (
                    ("prompt", "a fox"),
                    ("seconds", "1"),
                    ("media_agent[size][width]", "64"),
                    ("media_agent[size][height]", "48"),
                    ("media_agent[fps]", "4"),
                    ("extra_body", '{"seed": 3}'),
                )
            ]
        },
    ],
    ids=["json", "form", "multipart"],
)
async def test_every_kind_of_body_makes_the_same_request(
    app: FastAPI, http: httpx.AsyncClient, form: dict[str, Any]
) -> None:
    video = (await http.post("/v1/videos", **form)).json()

    server: ServerContext = app.state.context
    request = server.host.client.store.jobs.get(video["id"]).request
    assert (request.prompt, str(request.size), request.duration) == ("a fox", "64x48", 1)
    assert (request.fps, request.seed, request.model) == (4, 3, None)


async def test_what_cannot_be_used_is_refused_with_its_name_and_nothing_is_made(
    http: httpx.AsyncClient,
) -> None:
    for fields, said in REFUSED:
        reply = await http.post("/v1/videos", json={**SMALL, "prompt": "a fox", **fields})

        assert reply.status_code in (400, 422), fields
        error = reply.json()
        assert said in error["error"]["message"], fields
        assert error["error"]["type"] == "invalid_request_error"
        assert error["media_agent"]["accepted"] is False
        assert error["media_agent"]["next"]
    assert (await http.get("/v1/videos")).json()["data"] == []


async def test_a_malformed_body_is_an_error_of_the_caller(
    http: httpx.AsyncClient,
) -> None:
    for content, kind in MALFORMED:
        reply = await http.post("/v1/videos", content=content, headers={"Content-Type": kind})

        assert reply.status_code == 400, content[:60]
        assert reply.json()["error"]["code"] == "invalid_request"


async def test_pages_go_on_behind_a_video_in_both_orders(http: httpx.AsyncClient) -> None:
    made = []
    for seed in range(3):
        body = {**SMALL, "prompt": "a fox", "seed": seed}
        made.append((await http.post("/v1/videos", json=body)).json()["id"])

    first = (await http.get("/v1/videos", params={"limit": 2, "order": "asc"})).json()
    rest = {"limit": 2, "order": "asc", "after": first["last_id"]}
    second = (await http.get("/v1/videos", params=rest)).json()
    none = (await http.get("/v1/videos", params={"limit": 0})).json()

    ids = [each["id"] for each in first["data"] + second["data"]]
    assert sorted(ids) == sorted(made)
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert (none["data"], none["last_id"], none["has_more"]) == ([], None, True)
    assert (await http.get("/v1/videos", params={"limit": 101})).status_code == 400
    assert (await http.get("/v1/videos", params={"after": "nothing"})).status_code == 404


async def test_a_field_of_ours_beside_the_prompt_is_sent_to_its_place(
    http: httpx.AsyncClient,
) -> None:
    form = {"prompt": "a fox", "model": "sandbox", "seconds": "1"}

    refused = await http.post("/v1/videos", data={**form, "consent": "form 7"})
    taken = await http.post("/v1/videos", data={**form, "media_agent[consent]": "form 7"})

    assert refused.status_code == 400
    way_out = "write it as media_agent.consent; in a form, media_agent[consent]"
    assert refused.json()["media_agent"]["next"] == way_out
    assert taken.status_code == 200


async def test_a_video_of_somebody_else_is_not_there(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = (await http.post("/v1/videos", json={**SMALL, "prompt": "a fox"})).json()["id"]
    unknown = (await http.get("/v1/videos/nothing")).json()

    monkeypatch.setattr(gate, "LOCAL_CALLER", ALICE)
    replies = [
        await http.get(f"/v1/videos/{video}"),
        await http.get(f"/v1/videos/{video}/content"),
        await http.delete(f"/v1/videos/{video}"),
        await http.post(f"/v1/videos/{video}/remix", json={"prompt": "a dog"}),
        await http.post("/v1/videos/edits", json={"prompt": "a dog", "video": {"id": video}}),
        await http.post("/v1/videos/extensions", json={"prompt": "a dog", "video": {"id": video}}),
        await http.get("/v1/videos", params={"after": video}),
    ]

    assert [reply.status_code for reply in replies] == [404] * 7
    assert replies[0].json() == {
        part: {
            key: value.replace("nothing", video) if isinstance(value, str) else value
            for key, value in unknown[part].items()
        }
        for part in unknown
    }
    assert (await http.get("/v1/videos")).json()["data"] == []


async def test_a_running_video_is_stopped_and_deleted(http: httpx.AsyncClient) -> None:
    reply = await http.post("/v1/videos", json=SLOW)
    video = reply.json()["id"]

    deleted = await http.delete(f"/v1/videos/{video}")

    assert reply.headers["openai-poll-after-ms"].isdecimal()
    assert deleted.json() == {"id": video, "object": "video.deleted", "deleted": True}
    assert (await http.get(f"/v1/videos/{video}")).status_code == 404


async def test_a_stopped_video_is_failed_on_the_wire_and_cancelled_for_us(
    http: httpx.AsyncClient, finish: Finish
) -> None:
    video = (await http.post("/v1/videos", json=SLOW)).json()["id"]

    await http.post(f"/v1/jobs/{video}/cancel")
    stopped = await finish(video)

    assert (stopped["status"], stopped["error"]["code"]) == ("failed", "job_cancelled")
    assert stopped["media_agent"]["status"] == "cancelled"


async def test_a_failure_says_whether_it_was_accepted_and_billed(
    http: httpx.AsyncClient, finish: Finish
) -> None:
    body = {**SMALL, "prompt": "a fox", "fail_at": "chunk:0", "fault": "content_rejected"}

    failed = await finish((await http.post("/v1/videos", json=body)).json()["id"])

    assert (failed["status"], failed["error"]["code"]) == ("failed", "content_rejected")
    own = failed["media_agent"]
    assert (own["accepted"], own["billed"], own["retryable"]) == (True, False, False)


async def test_a_name_of_openai_means_what_the_settings_say(
    app: FastAPI, http: httpx.AsyncClient
) -> None:
    server: ServerContext = app.state.context
    section = server.settings.server.model_copy(update={"models": {"sora-2": "sandbox/slate"}})
    server.settings = server.settings.model_copy(update={"server": section})

    made = await http.post("/v1/videos", json={**SMALL, "prompt": "a fox", "model": "sora-2"})

    assert made.json()["model"] == "sandbox/slate"
