"""Every error has one shape, also those that no route of ours makes."""

import json

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Scope

from media_agent.errors import BackendAuthenticationError, LedgerBusyError, StorageError
from media_agent.server.errors import answer_error


@pytest.mark.anyio
async def test_an_unknown_path_answers_in_the_shape_of_all_errors(http: httpx.AsyncClient) -> None:
    reply = await http.get("/v1/nothing")

    assert reply.status_code == 404
    assert reply.json()["error"]["type"] == "not_found_error"
    assert reply.json()["media_agent"]["code"] == "not_found"
    assert reply.json()["error"]["message"].endswith("GET /openapi.json lists the routes")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/v1/videos", "application/json", b"{"),
        ("/v1/videos/edits", "application/x-www-form-urlencoded", b"prompt=a"),
        ("/v1/files", "multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data"),
        ("/v1/webhooks/fal", "application/json", b"{"),
    ],
)
async def test_a_caller_who_hangs_up_while_sending_is_no_fault_of_the_server(
    app: FastAPI, http: httpx.AsyncClient, path: str, kind: str, body: bytes
) -> None:
    received: list[Message] = [
        {"type": "http.request", "body": body, "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"content-type", kind.encode())],
    }

    async def receive() -> Message:
        return received.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)  # which raises what breaks a route

    assert sent == []


def test_a_ledger_that_is_locked_is_tried_again() -> None:
    reply = answer_error(LedgerBusyError("the ledger is locked", hint="stop who holds it"))

    assert reply.status_code == 503
    assert (reply.headers["retry-after"], reply.headers["x-should-retry"]) == ("5", "true")
    assert json.loads(bytes(reply.body))["media_agent"]["accepted"] is False


def test_an_error_says_its_way_out_to_those_who_read_the_message_and_as_the_next_step() -> None:
    body = json.loads(bytes(answer_error(StorageError("it is full", hint="free some")).body))

    assert body["error"]["message"] == "it is full; free some"
    assert body["media_agent"]["message"] == "it is full"
    assert body["media_agent"]["next"] == "free some"
    assert "hint" not in body["media_agent"]


def test_the_code_of_the_provider_stands_beside_ours() -> None:
    error = BackendAuthenticationError("no credit").with_provider_code("insufficient_quota")

    body = json.loads(bytes(answer_error(error).body))

    assert body["error"]["code"] == "backend_authentication"
    assert body["media_agent"]["provider_code"] == "insufficient_quota"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"request": {"promt": "a fox"}}, "request.promt: unknown key; did you mean prompt?"),
        ({"request": {"options": {"seed": 1}}}, 'such as {"name": "one"}'),
        ({}, "request: it is missing"),
        ([], 'body: it should be a valid dictionary, such as {"request": {"prompt": "one"}}'),
    ],
)
async def test_a_malformed_body_names_what_was_meant(
    http: httpx.AsyncClient, body: object, said: str
) -> None:
    reply = await http.post("/v1/plan", json=body)

    assert reply.status_code == 400
    assert said in reply.json()["error"]["message"]


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/v1/videos", "/v1/jobs"])
async def test_json_that_curl_sends_as_a_form_is_told_apart(
    http: httpx.AsyncClient, path: str
) -> None:
    reply = await http.post(
        path,
        content='{"prompt": "a fox"}',
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert reply.status_code == 400
    assert "Content-Type: application/json" in reply.json()["error"]["message"]
