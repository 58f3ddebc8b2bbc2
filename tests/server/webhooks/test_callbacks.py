"""Callbacks of providers: a hint to look, never more, and none from whoever forges them."""

import json
from collections.abc import Mapping

import httpx
import pytest
from fastapi import FastAPI

from media_agent.backend.protocol import CallbackSigning
from media_agent.server.webhooks.callbacks import LARGEST_BODY, Callbacks, operation_ids
from media_agent.server.webhooks.checks import check_for
from media_agent.server.webhooks.routes import router
from media_agent.server.webhooks.signing import read_secrets, sign

SECRETS = read_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "the secret")
NOW = 1_000_000
BODY = json.dumps({"id": "rrr4z55o", "status": "succeeded"}).encode()

pytestmark = pytest.mark.anyio


class Looked:
    """Remembers which work was looked at."""

    def __init__(self) -> None:
        self.at = list[tuple[str, str]]()

    async def __call__(self, backend: str, operation_id: str) -> None:
        self.at.append((backend, operation_id))


@pytest.fixture
def looked() -> Looked:
    return Looked()


@pytest.fixture
def api(looked: Looked) -> httpx.AsyncClient:
    signed = check_for(CallbackSigning("standard-webhooks"), SECRETS, fetch=pytest.fail)
    checks = {"replicate": signed, "kling": None}
    app = FastAPI()
    app.include_router(router)
    app.state.callbacks = Callbacks(lambda: checks, looked, clock=lambda: NOW)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")


def signed(message_id: str = "msg_1", *, body: bytes = BODY, at: int = NOW) -> dict[str, str]:
    return sign(SECRETS, message_id=message_id, time=at, body=body)


async def post(
    api: httpx.AsyncClient, backend: str, body: bytes, headers: Mapping[str, str] | None = None
) -> int:
    return (await api.post(f"/v1/webhooks/{backend}", content=body, headers=headers)).status_code


async def test_a_signed_callback_lets_its_work_be_looked_at(
    api: httpx.AsyncClient, looked: Looked
) -> None:
    assert await post(api, "replicate", BODY, signed()) == 204
    assert looked.at == [("replicate", "rrr4z55o")]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(body=BODY + b" "),
        signed(at=NOW - 301),
        signed(at=NOW + 301),
        signed() | {"webhook-id": "msg_2"},
    ],
)
async def test_a_forged_callback_does_nothing(
    api: httpx.AsyncClient, looked: Looked, headers: dict[str, str]
) -> None:
    assert await post(api, "replicate", BODY, headers) == 401
    assert looked.at == []


async def test_a_callback_that_is_repeated_is_taken_and_does_no_more(
    api: httpx.AsyncClient, looked: Looked
) -> None:
    for message_id in ("msg_1", "msg_1", "msg_2"):
        assert await post(api, "replicate", BODY, signed(message_id)) == 204

    assert len(looked.at) == 2


async def test_a_callback_that_is_not_signed_is_a_hint(
    api: httpx.AsyncClient, looked: Looked
) -> None:
    assert await post(api, "kling", b'{"task_id": "t1", "task_status": "succeed"}') == 204
    assert looked.at == [("kling", "t1")]


async def test_nobody_learns_which_work_there_is(api: httpx.AsyncClient) -> None:
    answers = [
        await api.post("/v1/webhooks/kling", content=json.dumps({"id": name}))
        for name in ("there", "not there")
    ]

    assert {(each.status_code, each.content) for each in answers} == {(204, b"")}


async def test_a_backend_that_is_not_there_takes_nothing(
    api: httpx.AsyncClient, looked: Looked
) -> None:
    assert await post(api, "nobody", BODY) == 404
    assert looked.at == []


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    api: httpx.AsyncClient, looked: Looked
) -> None:
    fits = BODY + b" " * (LARGEST_BODY - len(BODY))

    assert await post(api, "kling", fits + b" ") == 413
    assert looked.at == []
    assert await post(api, "kling", fits) == 204
    assert looked.at != []


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (b'{"request_id": "r", "gateway_request_id": "g", "payload": {"id": "x"}}', ("r", "g")),
        (b'{"id": "evt", "data": {"id": "video_1"}}', ("evt", "video_1")),
        (b'{"code": 0, "data": {"task_id": "t"}}', ("t",)),
        (b'{"output": {"task_id": "t"}, "request_id": "t"}', ("t",)),
        (b'{"id": 7, "data": [], "task_id": null, "job_id": ""}', ()),
        (b'{"id": "' + b"x" * 301 + b'"}', ()),
        (b"[]", ()),
        (b"", ()),
        (b"\xff", ()),
        (b"[" * 100_000, ()),
    ],
)
def test_the_work_is_found_where_providers_name_it(body: bytes, ids: tuple[str, ...]) -> None:
    assert operation_ids(body) == ids


def test_a_service_that_signs_nothing_or_has_no_secret_here_only_hints() -> None:
    assert check_for(None, SECRETS, fetch=pytest.fail) is None
    assert check_for(CallbackSigning("standard-webhooks"), (), fetch=pytest.fail) is None
