"""One rule on all surfaces: what a caller elsewhere may name, keys of calls, what is sent back."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect

from media_agent.config.settings import load_settings
from media_agent.errors import InvalidRequestError
from media_agent.ledger.ledger import Ledger
from media_agent.server.access import keyring
from media_agent.server.access.public_network import check_public
from media_agent.video.images import as_png
from tests.server.access.conftest import NewKey, bearer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("whole_app")]

SMALL: Mapping[str, Any] = {"num_frames": 2, "size": {"width": 32, "height": 32}}
INNER = "http://inner.example/a.png"
PICTURE = "http://public.example/a.png"
_MCP = {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2025-06-18",
    "Content-Type": "application/json",
}

Call = Callable[..., Any]


async def use_tool(
    http: httpx.AsyncClient, key: Mapping[str, str], tool: str, **arguments: Any
) -> dict[str, Any]:
    """Return what a tool answers to a client that sends single calls."""
    params = {"name": tool, "arguments": arguments}
    sent = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    reply = await http.post("/mcp", json=sent, headers={**_MCP, **key})
    line = next(each for each in reply.text.splitlines() if each.startswith("data: {"))
    answer: dict[str, Any] = json.loads(
        json.loads(line.removeprefix("data: "))["result"]["content"][0]["text"]
    )
    return answer


def _keep(folder: Path, picture: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "a.png"
    path.write_bytes(picture)
    return path


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let one name mean a public address with an image, and the other an inner one."""
    from av.video.frame import VideoFrame

    asked: list[str] = []
    picture = as_png(VideoFrame(32, 32, "rgb24"))

    async def fetch(url: str, folder: Path, *, max_bytes: int) -> Path:
        asked.append(url)
        if url != PICTURE:
            await check_public("http://127.0.0.1/")
        return await asyncio.to_thread(_keep, folder, picture)

    async def judge(url: str) -> httpx.URL:
        asked.append(url)
        if url == INNER:
            raise InvalidRequestError("it cannot be reached at a public address")
        return httpx.URL(url)

    monkeypatch.setattr("media_agent.server.access.inputs.fetch_input", fetch)
    monkeypatch.setattr("media_agent.server.access.requests.check_public", judge)
    return asked


@pytest.mark.parametrize("tool", ["create_video", "plan_video", "extend_video"])
async def test_tools_fetch_addresses_as_all_routes_do(
    http: httpx.AsyncClient, new_key: NewKey, network: list[str], tool: str
) -> None:
    key = bearer(new_key())
    field = "file" if tool == "extend_video" else "first_frame"

    answer = await use_tool(http, key, tool, prompt="a", **{field: INNER})

    assert network == [INNER]
    assert "public address" in answer["error"]["message"]


async def test_a_plan_fetches_addresses_and_keeps_nothing(
    http: httpx.AsyncClient, new_key: NewKey, network: list[str]
) -> None:
    key = bearer(new_key())
    inner, public = (
        {"request": {**SMALL, "prompt": "a", "inputs": [{"role": "first_frame", "url": url}]}}
        for url in (INNER, PICTURE)
    )

    refused = await http.post("/v1/plan", json=inner, headers=key)
    planned = await http.post("/v1/plan", json=public, headers=key)

    assert (refused.status_code, planned.status_code) == (400, 200)
    assert planned.json()["request"]["inputs"][0]["url"] == PICTURE
    assert network == [INNER, PICTURE]
    assert not list((load_settings().data_dir / "jobs").glob("*"))


@pytest.mark.parametrize(
    ("option", "said"), [("/etc/passwd", "file of the server"), (INNER, "public address")]
)
@pytest.mark.parametrize("tool", ["create_video", "plan_video", "extend_video"])
async def test_options_of_tools_name_no_file_and_no_inner_address(
    http: httpx.AsyncClient,
    new_key: NewKey,
    network: list[str],
    tool: str,
    option: str,
    said: str,
) -> None:
    key = bearer(new_key())
    source = {"file": PICTURE} if tool == "extend_video" else {}
    wish = {"prompt": "a", "model": "sandbox/slate", "options": [f"fail_at={option}"]}

    answer = await use_tool(http, key, tool, **wish, **source)

    assert said in answer["error"]["message"]
    assert (await http.get("/v1/jobs", headers=key)).json()["data"] == []


async def test_a_tool_call_with_an_address_that_is_repeated_is_one_job_and_fetches_once(
    http: httpx.AsyncClient, new_key: NewKey, network: list[str]
) -> None:
    key = bearer(new_key())
    wish = {"prompt": "a red circle", "first_frame": PICTURE, "model": "magi/tiny"}

    made = [await use_tool(http, key, "create_video", **wish) for _ in range(3)]
    named = {**wish, "idempotency_key": "one"}
    once = await use_tool(http, key, "create_video", **named)
    other = await use_tool(http, key, "create_video", **{**named, "prompt": "a blue circle"})
    for each in (made[0], once):
        await use_tool(http, key, "cancel_video", job_id=each["job_id"])

    assert len({each["job_id"] for each in made}) == 1
    assert network == [PICTURE, PICTURE]
    assert once["job_id"] != made[0]["job_id"]
    assert other["error"]["code"] == "idempotency_conflict"


async def test_an_idempotency_key_is_one_on_all_routes(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    key = bearer(new_key())
    sent = {**key, "Idempotency-Key": "one"}
    job = {"request": {**SMALL, "prompt": "a"}}
    made = (await http.post("/v1/jobs", json=job, headers=sent)).json()["id"]
    await http.get(f"/v1/jobs/{made}/events", headers=key)

    again = await http.post("/v1/jobs", json=job, headers=sent)
    others = [
        await http.post(path, json={"prompt": "a"}, headers=sent)
        for path in (
            "/v1/videos",
            f"/v1/videos/{made}/remix",
            f"/v1/jobs/{made}/extend",
            f"/v1/jobs/{made}/branch",
        )
    ]

    assert (again.status_code, again.json()["id"]) == (200, made)
    assert [each.status_code for each in others] == [409] * 4
    assert {each.json()["error"]["code"] for each in others} == {"idempotency_conflict"}


@pytest.mark.parametrize("route", ["extend", "branch"])
async def test_a_continuation_that_is_repeated_is_one_job_also_at_once(
    http: httpx.AsyncClient, route: str
) -> None:
    request = {"prompt": "a", "num_frames": 2, "fps": 2, "size": {"width": 32, "height": 32}}
    made = (await http.post("/v1/jobs", json={"request": request})).json()["id"]
    await http.get(f"/v1/jobs/{made}/events")
    keyed = {"Idempotency-Key": "two"}

    async def ask(prompt: str) -> httpx.Response:
        body = {"prompt": prompt, "duration": 1}
        return await http.post(f"/v1/jobs/{made}/{route}", json=body, headers=keyed)

    replies = await asyncio.gather(*(ask("b") for _ in range(4)))
    other = await ask("c")

    assert len({each.json()["id"] for each in replies}) == 1
    assert {each.status_code for each in replies} <= {200, 201}
    assert other.status_code == 409


@pytest.mark.parametrize(
    "name", ['"\\ud800x"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\u001b[31m\\n"']
)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/jobs", '{{"request": {{"prompt": "x", "options": {{{0}: {{}}}}}}}}'),
        ("/v1/jobs", '{{"request": {{"prompt": {0}}}}}'),
        ("/v1/jobs", '{{"request": {{"prompt": "x"}}, {0}: 1}}'),
        ("/v1/plan", '{{"request": {{"prompt": "x", "model": {0}}}}}'),
        ("/v1/videos", '{{"prompt": "x", "media_agent": {{{0}: 1}}}}'),
        ("/v1/videos", '{{"prompt": "x", {0}: 1}}'),
        ("/v1/videos", '{{"prompt": "x", "input_reference": {{{0}: 1}}}}'),
    ],
)
async def test_half_a_character_is_refused_wherever_it_stands(
    http: httpx.AsyncClient, path: str, body: str, name: str
) -> None:
    sent = body.format(name).encode()

    reply = await http.post(path, content=sent, headers={"Content-Type": "application/json"})

    assert reply.status_code != 500
    if reply.is_error:
        assert reply.json()["error"]["message"]


async def test_a_form_of_a_million_fields_is_refused(http: httpx.AsyncClient) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}

    reply = await http.post("/v1/videos", content=b"a&" * 1_000_000, headers=kind)

    assert reply.status_code == 400
    assert "Too many fields" in reply.json()["error"]["message"]


@pytest.fixture
async def streaming(app: FastAPI) -> AsyncIterator[FastAPI]:
    from starlette.responses import StreamingResponse

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x"
            await asyncio.sleep(0.005)

    @app.get("/v1/stream", include_in_schema=False)
    async def stream() -> StreamingResponse:
        return StreamingResponse(pieces())

    async with app.router.lifespan_context(app):
        yield app


async def test_a_stream_ends_with_its_key(
    streaming: FastAPI, ledger: Ledger, new_key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "FRESH_SECONDS", 0.0)
    secret, sent = new_key(), 0
    (key,) = ledger.api_keys.list()
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/stream",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {secret}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
        "raw_path": b"/v1/stream",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))
        if sent == 3:
            await asyncio.to_thread(ledger.api_keys.revoke, key.id, datetime.now(UTC))

    with pytest.raises(ClientDisconnect):
        await streaming(scope, receive, send)  # type: ignore[arg-type]  # as ASGI has it

    assert sent == 3
