"""The file: transactions, threads, forks, and files that cannot be used."""

import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from media_agent.errors import ConfigurationError, LedgerBusyError, StorageError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.store import sqlite_tables
from media_agent.ledger.store.sqlite import SqliteDatabase
from media_agent.ledger.store.tables import LEDGER_VERSION, TABLES
from media_agent_schemas import JobStarted
from tests.ledger.samples import NOW, job


def test_who_only_reads_opens_a_file_that_another_process_has_locked(
    ledger: Ledger, path: Path
) -> None:
    assert ledger.jobs.list() == []
    with ledger.database.writing():
        assert Ledger(path, busy_seconds=0.0).jobs.list() == []


def test_a_file_that_stays_locked_is_said_with_a_way_out(path: Path) -> None:
    ledger = Ledger(path, busy_seconds=0.05)
    ledger.jobs.create(job())
    with sqlite3.connect(path) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(LedgerBusyError, match="is locked") as caught:
            ledger.events.append("one", JobStarted(), NOW)

    assert "stop the process" in (caught.value.hint or "")
    assert ledger.events.append("one", JobStarted(), NOW) is not None


def test_a_disk_that_is_full_is_told_from_one_that_is_broken(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(free: int) -> str:
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
        with pytest.raises(StorageError) as caught, SqliteDatabase(path).writing():
            raise error
        return caught.value.message

    assert "the disk is full" in fail(free=0)
    assert "cannot be read or written" in fail(free=2**30)


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be one" * 50])
def test_a_file_that_is_no_database_is_said_with_a_way_out(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)

    with pytest.raises(StorageError, match="is no database, or is damaged") as caught:
        Ledger(path).jobs.list()

    assert "move it away" in (caught.value.hint or "")
    assert path.read_bytes() == content


def test_a_damaged_file_is_said_with_a_way_out(ledger: Ledger, path: Path) -> None:
    for number in range(50):
        ledger.jobs.create(job(f"{number}"))
    ledger.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))

    with pytest.raises(StorageError, match="is damaged") as caught:
        ledger.jobs.list()

    assert "move it away" in (caught.value.hint or "")


def test_a_file_of_a_newer_version_is_left_alone(ledger: Ledger, path: Path) -> None:
    ledger.jobs.create(job())
    ledger.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(ConfigurationError, match="version 99, made by a newer") as caught:
        ledger.jobs.list()

    assert "upgrade media-agent" in (caught.value.hint or "")


def test_somebody_elses_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE accounts (id)")

    with pytest.raises(ConfigurationError, match="no ledger of media-agent"):
        Ledger(path).jobs.list()

    with sqlite3.connect(path) as connection:
        names = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert names == [("accounts",)]


def test_a_data_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")

    with pytest.raises(StorageError, match="data folder"):
        Ledger(tmp_path / "data" / "ledger.sqlite").jobs.list()


def test_a_data_folder_that_cannot_be_created_is_said_to_be_that() -> None:
    with pytest.raises(StorageError, match="the data folder /proc/none cannot be created"):
        Ledger(Path("/proc/none/ledger.sqlite")).jobs.list()


@pytest.mark.parametrize("version", [1, LEDGER_VERSION - 1])
def test_a_file_of_an_older_version_is_left_alone(ledger: Ledger, path: Path, version: int) -> None:
    ledger.jobs.create(job())
    ledger.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
        before = list(connection.iterdump())

    with pytest.raises(ConfigurationError, match=f"version {version}, made by an older") as caught:
        ledger.jobs.list()

    assert str(path) in caught.value.message
    assert "move the file away" in (caught.value.hint or "")
    with sqlite3.connect(path) as connection:
        assert list(connection.iterdump()) == before
        assert connection.execute("PRAGMA user_version").fetchone() == (version,)


def test_tables_that_could_not_be_made_leave_an_empty_file_that_serves_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(path)
    with monkeypatch.context() as patched:
        patched.setattr(sqlite_tables, "TABLES", (*TABLES, "SELECT missing"))
        with pytest.raises(StorageError, match="no such column: missing"):
            ledger.jobs.list()

    with sqlite3.connect(path) as connection:
        assert list(connection.iterdump()) == ["BEGIN TRANSACTION;", "COMMIT;"]
    assert ledger.jobs.list() == []
