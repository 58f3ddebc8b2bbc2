"""Jobs of callers: within their budgets, theirs alone, and without a trace of their keys."""

import asyncio
import logging
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from media_agent.config.settings import load_settings
from media_agent.server.access.sessions import COOKIE
from tests.server.access.conftest import NewKey, bearer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("whole_app")]

SHORT: Mapping[str, Any] = {
    "prompt": "a red circle",
    "num_frames": 2,
    "fps": 2,
    "size": {"width": 64, "height": 64},
}


def priced(usd: float) -> dict[str, Any]:
    return {"request": {**SHORT, "options": {"sandbox": {"price_per_second": usd}}}}


async def finish(http: httpx.AsyncClient, reply: httpx.Response, key: Mapping[str, str]) -> str:
    assert reply.status_code in (200, 201), reply.text
    job_id: str = reply.json()["id"]
    await http.get(f"/v1/jobs/{job_id}/events", headers=key)
    return job_id


async def test_a_job_over_the_budget_of_a_key_is_refused_before_it_is_kept(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    key = bearer(new_key(usd_per_day=1.0))
    await finish(http, await http.post("/v1/jobs", json=priced(0.7), headers=key), key)

    over = await http.post("/v1/jobs", json=priced(0.7), headers=key)
    listed = await http.get("/v1/jobs", headers=key)
    free = await http.post("/v1/jobs", json={"request": SHORT}, headers=key)

    assert over.status_code == 402
    said = over.json()["error"]["message"]
    assert all(amount in said for amount in ("0.70 USD", "1.00 USD", "alice"))
    assert over.json()["media_agent"]["code"] == "budget_exceeded"
    assert len(listed.json()["data"]) == 1
    await finish(http, free, key)


async def test_jobs_asked_for_at_once_stay_within_the_budget(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    key = bearer(new_key(usd_total=1.0))

    replies = await asyncio.gather(
        *(http.post("/v1/jobs", json=priced(0.4), headers=key) for _ in range(6))
    )
    begun = [await finish(http, each, key) for each in replies if each.status_code == 201]
    ended = [(await http.get(f"/v1/jobs/{each}", headers=key)).json() for each in begun]

    assert sum(each["status"] == "completed" for each in ended) == 2
    assert all(
        each["error"]["code"] == "budget_exceeded"
        for each in ended
        if each["status"] != "completed"
    )


async def test_no_more_jobs_than_a_key_allows_are_under_way(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    key = bearer(new_key(concurrent_jobs=1))
    slow = {"request": {**SHORT, "options": {"sandbox": {"latency_seconds": 30.0}}}}
    first = await http.post("/v1/jobs", json=slow, headers=key)

    second = await http.post("/v1/jobs", json={"request": SHORT}, headers=key)
    await http.post(f"/v1/jobs/{first.json()['id']}/cancel", headers=key)
    await finish(http, first, key)
    third = await http.post("/v1/jobs", json={"request": SHORT}, headers=key)

    assert second.status_code == 429
    assert second.json()["media_agent"]["code"] == "rate_limit"
    await finish(http, third, key)


OF_A_JOB = (
    ("GET", "/v1/jobs/{id}"),
    ("GET", "/v1/jobs/{id}/events"),
    ("GET", "/v1/jobs/{id}/record"),
    ("GET", "/v1/jobs/{id}/files/0"),
    ("DELETE", "/v1/jobs/{id}"),
    ("POST", "/v1/jobs/{id}/cancel"),
    ("POST", "/v1/jobs/{id}/finish"),
    ("POST", "/v1/jobs/{id}/resume"),
    ("POST", "/v1/jobs/{id}/reconcile"),
    ("GET", "/v1/jobs?after={id}"),
    ("GET", "/v1/videos/{id}"),
    ("GET", "/v1/videos/{id}/content"),
    ("DELETE", "/v1/videos/{id}"),
    ("GET", "/v1/videos?after={id}"),
)


async def test_a_job_of_another_caller_is_as_unknown_as_none(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    alice, bob = bearer(new_key()), bearer(new_key(owner="bob"))
    boss = bearer(new_key(owner="boss", scopes=frozenset({"admin"})))
    made = await http.post("/v1/jobs", json={"request": SHORT}, headers=alice)
    job_id = await finish(http, made, alice)
    forged = job_id[:-1] + ("0" if job_id[-1] != "0" else "1")

    for method, path in OF_A_JOB:
        foreign = await http.request(method, path.format(id=job_id), headers=bob)
        absent = await http.request(method, path.format(id=forged), headers=bob)

        assert foreign.status_code == absent.status_code == 404, (method, path)
        assert foreign.text.replace(job_id, "ID") == absent.text.replace(forged, "ID")
    assert (await http.get("/v1/jobs", headers=bob)).json()["data"] == []
    assert (await http.get(f"/v1/jobs/{job_id}", headers=boss)).status_code == 200
    assert (await http.get(f"/v1/jobs/{job_id}", headers=alice)).status_code == 200


async def test_a_forged_id_finds_nothing(http: httpx.AsyncClient, new_key: NewKey) -> None:
    key = bearer(new_key())
    forged = ("..", "../x", "%2e%2e%2fledger.sqlite", "a%00b", "x/../../ledger.sqlite", "'--", "é")

    for name in forged:
        reply = await http.get(f"/v1/jobs/{name}", headers=key)

        assert reply.status_code in (400, 404)
        assert str(load_settings().data_dir) not in reply.text


async def test_the_key_of_one_caller_repeats_no_job_of_another(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    made = []
    for key in [bearer(new_key(owner=owner)) for owner in ("alice", "bob")]:
        sent = {**key, "Idempotency-Key": "once"}
        made.append(
            await finish(
                http, await http.post("/v1/jobs", json={"request": SHORT}, headers=sent), key
            )
        )

    assert made[0] != made[1]


async def test_a_path_and_an_inner_address_are_refused_wherever_a_job_can_begin(
    http: httpx.AsyncClient, new_key: NewKey
) -> None:
    key = bearer(new_key())
    path = {"inputs": [{"role": "first_frame", "path": "/etc/passwd"}]}
    inner = {"inputs": [{"role": "first_frame", "url": "http://169.254.169.254/x"}]}
    option = {"options": {"sandbox": {"a": "/etc/passwd"}}}
    bodies = [{"request": {**SHORT, **each}} for each in (path, inner, option)]

    jobs = [await http.post("/v1/jobs", json=body, headers=key) for body in bodies]
    plans = [await http.post("/v1/plan", json=body, headers=key) for body in bodies[::2]]
    videos = [
        await http.post("/v1/videos", json={"prompt": "x", "input_reference": place}, headers=key)
        for place in ("/etc/passwd", "http://169.254.169.254/x", "file:///etc/passwd")
    ]

    assert [each.status_code for each in jobs] == [403, 400, 403]
    assert [each.status_code for each in plans] == [403, 403]
    assert {each.status_code for each in videos} == {400}
    assert (await http.get("/v1/jobs", headers=key)).json()["data"] == []


async def test_a_key_is_in_no_log_error_record_event_or_file(
    http: httpx.AsyncClient,
    new_key: NewKey,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = new_key()
    key = bearer(secret)
    job_id = await finish(
        http, await http.post("/v1/jobs", json={"request": SHORT}, headers=key), key
    )
    await http.post("/v1/session", headers=key)
    token = http.cookies[COOKIE]
    said = [
        (await http.get(path, headers=key)).text
        for path in (
            f"/v1/jobs/{job_id}",
            f"/v1/jobs/{job_id}/record",
            f"/v1/jobs/{job_id}/events",
            "/v1/session",
            "/v1/jobs/none",
        )
    ]
    said.append((await http.post("/v1/jobs", content=b"{", headers=key)).text)
    said.append((await http.get("/v1/probe", headers=bearer(f"{secret}x"))).text)

    kept = [each.read_bytes() for each in files_below(load_settings().data_dir)]

    for word in (secret, secret[20:], token):
        assert not any(word in each for each in said)
        assert word not in caplog.text
        assert not any(word.encode() in each for each in kept)


async def test_a_key_is_in_no_traceback(
    http: httpx.AsyncClient, new_key: NewKey, app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(look: object) -> None:
        raise RuntimeError("the ledger broke")

    secret = new_key()
    app.state.context.host.read = broken

    with pytest.raises(RuntimeError) as error:
        await http.get("/v1/probe", headers=bearer(secret))

    shown = "".join(traceback.format_exception(error.value))
    assert "the ledger broke" in shown
    assert secret not in shown + caplog.text


def files_below(folder: Path) -> list[Path]:
    return [each for each in folder.rglob("*") if each.is_file()]
