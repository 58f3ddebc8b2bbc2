"""What a call may name as an input, and that nothing of the server's machine is among it."""

import base64
from pathlib import Path

import httpx
import pytest

from media_agent.server.access import gate
from media_agent.server.access.caller import LOCAL_CALLER
from media_agent.server.context import ServerContext
from media_agent.server.openai.body import Value
from media_agent.server.openai.inputs.references import bring, list_references
from media_agent_schemas.media import InputRole
from tests.server.openai.conftest import SMALL, TINY
from tests.server.openai.test_videos import ALICE

pytestmark = pytest.mark.anyio

PATHS = (
    "/etc/passwd",
    "file:///etc/passwd",
    "FILE:/etc/passwd",
    "./x.png",
    "../x.png",
    "x.png",
    "~/x.png",
    "\\\\server\\share\\x.png",
    "C:\\x.png",
    "ftp://example.com/x.png",
    "//example.com/x.png",
    " /etc/passwd",
    "http:/etc/passwd",
    "\0",
)
FIELDS = ("input_reference", "input_references", "image_reference", "reference_url", "image_url")


async def test_a_path_of_the_server_is_no_input_in_any_spelling(http: httpx.AsyncClient) -> None:
    for path in PATHS:
        for value in (path, [path], {"image_url": path}, {"url": path}):
            body = {**SMALL, "prompt": "a fox", "input_reference": value}
            reply = await http.post("/v1/videos", json=body)
            assert (reply.status_code, "not one of" in reply.text) == (400, True), value
    for field in FIELDS:
        reply = await http.post("/v1/videos", json={"prompt": "a fox", field: "/etc/passwd"})
        assert field in reply.json()["error"]["message"]
    for own in (
        {"role": "first_frame", "path": "/etc/passwd"},
        {"role": "first_frame", "url": "/etc/passwd"},
    ):
        given = {"prompt": "a fox", "media_agent": {"inputs": [own]}}
        assert (await http.post("/v1/videos", json=given)).status_code == 400
    source = {"prompt": "a fox", "video": "/etc/passwd"}
    assert (await http.post("/v1/videos/extensions", json=source)).status_code == 404


async def test_an_image_is_brought_into_the_folder_of_the_job(
    http: httpx.AsyncClient, server: ServerContext, png: bytes
) -> None:
    files = {"input_reference": ("../../x.png", png, "image/png")}

    reply = await http.post("/v1/videos", data=TINY, files=files)

    video = reply.json()["id"]
    (medium,) = server.host.client.store.jobs.get(video).request.inputs
    place = server.host.client.store.jobs.folder(video) / "inputs" / "0"
    assert (medium.role, medium.path) == (InputRole.FIRST_FRAME, str(place))
    assert place.read_bytes() == png
    assert str(place.parent) not in reply.text
    await http.post(f"/v1/jobs/{video}/cancel")


async def test_every_way_to_give_bytes_gives_the_same(
    http: httpx.AsyncClient, server: ServerContext, png: bytes, tmp_path: Path
) -> None:
    data = base64.b64encode(png).decode()
    url = f"data:image/png;base64,{data}"
    sent = await http.post("/v1/files", files={"file": ("x", png)}, data={"purpose": "vision"})
    ways: list[Value] = [
        url,
        {"image_url": url},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        {"role": "last_frame", "data": data},
        {"url": url.replace("base64,", "BASE64, ")},
        {"file_id": sent.json()["id"]},
    ]
    references = list_references("input_reference", ways)

    paths = await bring(server, LOCAL_CALLER, references, tmp_path)

    assert [path.read_bytes() for path in paths] == [png] * len(ways)
    assert [each.role for each in references if each.role] == [InputRole.LAST_FRAME]


async def test_what_is_no_image_is_refused_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, http: httpx.AsyncClient, server: ServerContext, png: bytes
) -> None:
    sent = await http.post("/v1/files", files={"file": ("x", png)}, data={"purpose": "vision"})
    of_others = {"file_id": sent.json()["id"]}
    monkeypatch.setattr(gate, "LOCAL_CALLER", ALICE)
    for value in (
        "data:image/png;base64,AAAA",
        "data:image/png,AAAA",
        "data:image/png;base64,%%%",
        "data:image/png;base64,",
        {"image_url": "data:text/plain;base64,aGVsbG8="},
        {"file_id": "file-0"},
        {"file_id": "../../etc/passwd"},
        of_others,
        {"image_url": "data:,", "file_id": "x"},
        {"image_url": "data:,x", "size": 3},
        {},
        7,
        True,
    ):
        reply = await http.post("/v1/videos", json={**TINY, "input_reference": value})
        assert reply.status_code in (400, 404), value

    damaged = {"input_reference": ("x.png", png[:60], "image/png")}
    assert (await http.post("/v1/videos", data=TINY, files=damaged)).status_code == 400
    stray = {"prompt": ("x.png", png, "image/png")}
    assert (await http.post("/v1/videos", files=stray)).status_code == 400
    assert not [*server.host.client.store.jobs.folders.glob("*")]


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/jobs"])
async def test_files_named_in_one_call_share_one_limit(
    http: httpx.AsyncClient, server: ServerContext, png: bytes, path: str
) -> None:
    sent = await http.post("/v1/files", files={"file": png}, data={"purpose": "vision"})
    section = server.settings.server.model_copy(update={"max_upload_bytes": 2 * len(png) - 1})
    server.settings = server.settings.model_copy(update={"server": section})
    inputs = [{"role": "subject", "file_id": sent.json()["id"]}] * 2
    request = {"prompt": "a fox", "inputs": inputs}
    video = {**SMALL, "prompt": "a fox", "media_agent": {"inputs": inputs}}

    reply = await http.post(path, json=video if path == "/v1/videos" else {"request": request})

    assert reply.status_code == 413
    assert "allowed together" in reply.json()["error"]["message"]
    assert (await http.get("/v1/jobs")).json()["data"] == []
