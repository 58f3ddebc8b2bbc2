"""Files that are sent once and used in several calls."""

import asyncio
from datetime import UTC, datetime, timedelta
from io import BytesIO

import httpx
import openai
import pytest

from media_agent.server.access import gate
from media_agent.server.access.caller import LOCAL_CALLER
from media_agent.server.context import ServerContext
from media_agent.server.openai.inputs.file_store import keep_removing_expired, store_file
from tests.server.openai.test_videos import ALICE

pytestmark = pytest.mark.anyio


async def test_the_official_client_sends_lists_reads_and_deletes_a_file(
    official: openai.AsyncOpenAI, png: bytes
) -> None:
    first = await official.files.create(file=("a.png", png), purpose="vision")
    second = await official.files.create(
        file=("b.png", png),
        purpose="user_data",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )

    listed = [each.id async for each in official.files.list(order="asc", limit=1)]
    visions = [each.id async for each in official.files.list(purpose="vision")]
    content = await official.files.content(first.id)
    deleted = await official.files.delete(first.id)

    assert (first.bytes, first.filename, first.expires_at) == (len(png), "a.png", None)
    assert second.expires_at == second.created_at + 3600
    assert listed == [first.id, second.id]
    assert visions == [first.id]
    assert content.read() == png
    assert deleted.deleted
    with pytest.raises(openai.NotFoundError):
        await official.files.retrieve(first.id)


async def test_a_name_is_shown_and_never_a_path(
    http: httpx.AsyncClient, server: ServerContext, png: bytes
) -> None:
    names = ["../../../etc/passwd", "/etc/passwd", "a\\..\\b", "x" * 400, "a\0b", ".."]
    for name in names:
        reply = await http.post(
            "/v1/files", files={"file": (name, png)}, data={"purpose": "vision"}
        )
        assert reply.status_code == 200, name
        assert reply.json()["id"].startswith("file-")

    folder = server.settings.data_dir / "uploads"
    assert len([*folder.iterdir()]) == len(names)
    assert all(each.name.startswith("file-") for each in folder.iterdir())
    for traversal in ("..%2Fledger.sqlite", "%2e%2e", "file-..", "file-" + "0" * 32):
        assert (await http.get(f"/v1/files/{traversal}/content")).status_code == 404


async def test_a_file_of_somebody_else_is_not_there(
    monkeypatch: pytest.MonkeyPatch, http: httpx.AsyncClient, png: bytes
) -> None:
    sent = await http.post("/v1/files", files={"file": ("x", png)}, data={"purpose": "vision"})
    own = f"/v1/files/{sent.json()['id']}"

    monkeypatch.setattr(gate, "LOCAL_CALLER", ALICE)
    replies = [
        await http.get(own),
        await http.get(f"{own}/content"),
        await http.delete(own),
        await http.get("/v1/files", params={"after": sent.json()["id"]}),
    ]

    assert [reply.status_code for reply in replies] == [404] * 4
    assert (await http.get("/v1/files")).json()["data"] == []


async def test_a_file_whose_bytes_are_gone_is_not_there(
    http: httpx.AsyncClient, server: ServerContext, png: bytes
) -> None:
    sent = await http.post("/v1/files", files={"file": ("x", png)}, data={"purpose": "vision"})
    (server.settings.data_dir / "uploads" / sent.json()["id"]).unlink()

    gone = await http.get(f"/v1/files/{sent.json()['id']}/content")

    assert (gone.status_code, "gone" in gone.json()["error"]["message"]) == (404, True)


async def test_a_call_without_a_usable_file_is_refused(http: httpx.AsyncClient) -> None:
    for files, data, said in (
        ({}, {"purpose": "vision"}, "no file"),
        ({"file": ("x", b"")}, {"purpose": "vision"}, "0 bytes"),
        ({"file": ("x", b"x")}, {}, "purpose"),
        ({"file": ("x", b"x")}, {"purpose": "a b"}, "purpose"),
        ({"file": ("x", b"x")}, {"purpose": "vision", "colour": "red"}, "colour"),
        ({"file": ("x", b"x")}, {"purpose": "vision", "expires_after[seconds]": "3"}, "expires"),
    ):
        reply = await http.post(
            "/v1/files", files=files, data={"unused": "", **data} if not files else data
        )
        assert reply.status_code == 400, data
        assert said in reply.json()["error"]["message"]


async def test_a_server_removes_files_whose_time_is_over_by_itself(
    server: ServerContext, png: bytes
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for hours in (48, 1):
        await store_file(
            server,
            LOCAL_CALLER,
            BytesIO(png),
            filename="a.png",
            purpose="vision",
            expires_after=timedelta(hours=hours),
            now=lambda: yesterday,
        )
    folder = server.settings.data_dir / "uploads"
    assert len([*folder.iterdir()]) == 2

    async def stop(seconds: float) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await keep_removing_expired(server, sleep=stop)

    assert len([*folder.iterdir()]) == 1
