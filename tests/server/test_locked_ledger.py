"""What is only read is answered while another process holds the ledger, and jobs wait for it."""

import asyncio
import sqlite3

import httpx
import pytest
from fastapi import FastAPI

from media_agent.client import VideoClient

pytestmark = pytest.mark.anyio


async def write(client: VideoClient) -> None:
    """Write to the ledger, as jobs do in the loop of the client."""
    with client.store.database.writing():
        pass


async def test_no_number_of_probes_holds_up_who_reads_a_locked_ledger(
    app: FastAPI, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_agent.server.operation.health._PATIENCE", 0.001)
    host = app.state.context.host
    other = sqlite3.connect(host.client.settings.ledger_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    try:
        probes = [(await http.get("/ready")).status_code for _ in range(40)]
        async with asyncio.timeout(20):  # a probe ends when the ledger is given up, after 30
            listed = await http.get("/v1/jobs")
    finally:
        other.execute("ROLLBACK")
        other.close()

    assert set(probes) == {503}
    assert listed.status_code == 200


async def test_lists_and_models_are_answered_while_another_process_holds_the_ledger(
    app: FastAPI, http: httpx.AsyncClient
) -> None:
    host = app.state.context.host
    other = sqlite3.connect(host.client.settings.ledger_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = host.begin(write)

    try:
        async with asyncio.timeout(60):
            replies = [
                await http.get(path)
                for path in (
                    "/v1/jobs",
                    "/v1/videos",
                    "/v1/models",
                    "/v1/models/sandbox",
                    "/v1/backends",
                )
            ]
        is_held_up = not writing.done()
    finally:
        other.execute("ROLLBACK")
        other.close()
    await asyncio.wrap_future(writing)

    assert [reply.status_code for reply in replies] == [200] * 5
    assert is_held_up
