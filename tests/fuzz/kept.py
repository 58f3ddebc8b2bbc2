"""What is kept between runs, changed by others: ledger, job folders, states, records, lists."""

import asyncio
import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from media_agent.client import VideoClient
from media_agent.config.settings import Settings, load_settings
from media_agent.config.stored_keys import StoredKey, StoredKeys
from media_agent.errors import NotResumableError
from media_agent.jobs.housekeeping.usage import read_disk_use
from media_agent.provenance.job_sheet import captions
from media_agent.registry.model_folders import ModelFolders
from media_agent.routing.refresh.stored import UpdateStore
from media_agent_schemas.media import Size
from media_agent_schemas.request import VideoRequest
from tests.fuzz.odd import VALUES, odd_bytes, odd_json
from tests.fuzz.rules import CANARY, named, ruled

DONE, STOPPED = "done", "stopped"
REQUEST = VideoRequest(
    prompt="a fox", num_frames=8, fps=4, size=Size(width=32, height=32), seed=1, model="sandbox"
)
Use = Callable[[VideoClient], Any]


def settings_of(data: Path) -> Settings:
    """Return settings with everything in one folder."""
    return load_settings(data_dir=data, default_backend="sandbox")


async def fill(data: Path) -> None:
    """Make a finished video, and one that was interrupted after its first chunk."""
    async with VideoClient(settings=settings_of(data)) as client:
        done = await client.generate(REQUEST, job_id=DONE, out=data / "v.mp4")
        assert done.status == "completed", done.error
        asked = REQUEST.model_copy(update={"options": {"sandbox": {"fail_at": "chunk:1"}}})
        stopped = await client.generate(asked, job_id=STOPPED)
        assert stopped.status == "failed"
    with contextlib.closing(sqlite3.connect(data / "ledger.sqlite")) as ledger, ledger:
        ledger.execute(
            "UPDATE jobs SET status = 'in_progress', owner = NULL WHERE id = ?", [STOPPED]
        )
        ledger.execute(
            "DELETE FROM events WHERE job_id = ? AND event LIKE '%job.failed%'", [STOPPED]
        )
    (data / "models.json").write_text('{"models": []}')
    StoredKeys(data / "keys.json").set("fal", StoredKey(key=CANARY))


USES: dict[str, Use] = {
    "get": lambda client: client.get(DONE),
    "get the other": lambda client: client.get(STOPPED),
    "list": lambda client: client.list(),
    "find": lambda client: client.find(DONE[:3]),
    "events": lambda client: client.events(STOPPED),
    "orphans": lambda client: client.orphans(),
    "reconcile": lambda client: client.reconcile(STOPPED),
    "plan_branch": lambda client: client.plan_branch(DONE, at=1),
    "plan_extension": lambda client: client.plan_extension(DONE, prompt="a dog", duration=1),
    "repeat": lambda client: client.generate(REQUEST, idempotency_key="key"),
    "finish": lambda client: client.finish(STOPPED),
    "resume": lambda client: client.resume(STOPPED),
    "cancel": lambda client: client.cancel(STOPPED),
    "remove": lambda client: client.remove(STOPPED, force=True, videos=True),
    "remove the other": lambda client: client.remove(DONE, videos=True),
}


def _read_with(client: VideoClient) -> dict[str, Callable[[], object]]:
    """Return what is read without waiting."""
    store, now = client.store, datetime(2026, 1, 1, tzinfo=UTC)
    return {
        "costs": lambda: store.costs.since(now, "label"),
        "total": lambda: store.costs.total(now),
        "commands": lambda: store.commands.read(STOPPED),
        "uploads": lambda: [*store.uploads.expired()],
        "api_keys": lambda: store.api_keys.list(),
        "deliveries": lambda: store.deliveries.list(limit=5),
        "disk": lambda: read_disk_use(store, client.settings.work_folder),
        "terms": lambda: store.jobs.terms(STOPPED),
        "count": lambda: store.jobs.count(),
        "captions": lambda: captions(store.jobs.get(DONE)),
    }


def change_row(dice: Random, path: Path) -> None:
    """Change one value of one row, where the file can still be read and allows it."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as ledger:
        tables = ledger.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        full = [each for (each,) in tables if ledger.execute(f"SELECT 1 FROM {each}").fetchone()]
        if full:
            table = dice.choice(sorted(full))
            columns = [row[1] for row in ledger.execute(f"PRAGMA table_info({table})")]
            column = dice.choice(columns)
            old = dice.choice(ledger.execute(f"SELECT {column} FROM {table}").fetchall())[0]
            new = _odd_column(dice, old)
            ledger.execute(f"UPDATE {table} SET {column} = ? WHERE {column} IS ?", [new, old])
            ledger.commit()


def _odd_column(dice: Random, old: Any) -> Any:
    if isinstance(old, str) and old[:1] in "{[" and dice.choice((True, False)):
        return json.dumps(odd_json(dice, json.loads(old)))
    value = dice.choice([*VALUES, b"\xff\x00", b"", old])
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value) if value < 10**40 else "9" * 40
    if isinstance(value, list | dict):
        return json.dumps(value)
    return value


def change_file(dice: Random, data: Path) -> None:
    """Change, remove, cut or replace one of all files."""
    files = sorted(each for each in data.rglob("*") if each.is_file())
    path = dice.choice(files)
    content = path.read_bytes()
    match dice.choice(("bytes", "json", "gone", "empty", "folder", "another")):
        case "bytes":
            path.write_bytes(odd_bytes(dice, content) if content else b"\0")
        case "json" if content[:1] in (b"{", b"["):
            path.write_text(json.dumps(odd_json(dice, json.loads(content))))
        case "empty":
            path.write_bytes(b"")
        case "another":
            path.write_bytes(dice.choice(files).read_bytes())
        case "folder":
            path.unlink()
            path.mkdir()
        case _:
            path.unlink()


@contextlib.contextmanager
def kept(folder: Path) -> Iterator[Callable[[Random], None]]:
    """Yield what changes one thing and uses all of them."""
    sound, data = folder / "sound", folder / "changed"
    for each in (sound, data):
        shutil.rmtree(each, ignore_errors=True)
    asyncio.run(fill(data))  # which keeps whole paths
    shutil.copytree(data, sound)
    states = [*_states(folder)]

    def example(dice: Random) -> None:
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(sound, data)
        for _ in range(dice.randint(1, 2)):
            if dice.choice((True, False)):
                change_row(dice, data / "ledger.sqlite")
            else:
                change_file(dice, data)
        chosen = dice.sample([*USES], 5)
        _use_client(data, chosen)
        _use_files(data)
        if states:
            path, content, read = dice.choice(states)
            path.write_bytes(odd_bytes(dice, content))
            with named(path.name), ruled(folder):
                read(path)

    yield example


def _use_client(data: Path, chosen: list[str]) -> None:
    async def use(call: Use) -> None:
        async with asyncio.timeout(60), VideoClient(settings=settings_of(data)) as client:
            await call(client)

    with named("opening"), ruled(data):
        client = VideoClient(settings=settings_of(data))
        for name, read in _read_with(client).items():
            with named(name), ruled(data):
                read()
        client.store.close()
    for name in chosen:
        with named(name), ruled(data):
            asyncio.run(use(USES[name]))


def _use_files(data: Path) -> None:
    from media_agent.cli.commands.videos.inspect import _find_recorded

    uses: dict[str, Callable[[], object]] = {
        "keys": lambda: StoredKeys(data / "keys.json").read(),
        "models": lambda: ModelFolders(data).list(),
        "catalogue": lambda: UpdateStore(data).get(),
        "record": lambda: _find_recorded(data / "v.mp4"),
    }
    for name, use in uses.items():
        with named(name), ruled(data):
            use()


def _states(folder: Path) -> Iterator[tuple[Path, bytes, Callable[[Path], object]]]:
    """Yield a state of each engine that is installed, and how it is read."""
    path = folder / "windows.safetensors"
    with contextlib.suppress(ImportError):
        import numpy as np

        from media_agent_diffusers.generating.states import read_state, write_state
        from media_agent_diffusers.generating.windows import Made
        from media_agent_schemas.events import Computation

        made = Made(1, 8, np.zeros((2, 8, 8, 3), np.uint8))
        write_state(
            path,
            made,
            digest="d",
            computation=Computation(device="cpu", dtype="float32", library="none"),
        )
        yield path, path.read_bytes(), lambda path: read_state(path, digest="d")
    path = folder / "engine.safetensors"
    with contextlib.suppress(ImportError):
        import torch

        from media_agent_magi.engine.state_io import (
            SamplerState,
            StateError,
            load_state,
            save_state,
        )

        a, b, c, d = torch.zeros(4, 2, 2).unbind()
        state = SamplerState(
            1, 2, 8, 0, 0, 0, 0, {0: a.clone()}, {}, {0: 1}, {0: b.clone()}, c.clone(), d.clone()
        )
        save_state(path, state, {"a": 1})

        def read(path: Path) -> None:
            try:
                load_state(path, {"a": 1})
            except StateError as error:
                raise NotResumableError(str(error)) from error

        yield path, path.read_bytes(), read
