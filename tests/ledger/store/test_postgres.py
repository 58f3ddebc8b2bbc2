"""What only Postgres has: addresses, a server that goes away, many who begin at once."""

import asyncio
import contextlib
import multiprocessing
import multiprocessing.synchronize
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from media_agent.errors import ConfigurationError, LedgerBusyError, MediaAgentError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.store.address import Address
from media_agent.ledger.store.database import BUSY_SECONDS, DuplicateError, UndecidedError
from media_agent.ledger.store.statements import as_named
from media_agent.ledger.store.tables import LEDGER_VERSION
from tests.ledger.samples import NOW, append_all, job, progress
from tests.postgres import PASSWORD, PostgresServer

psycopg = pytest.importorskip("psycopg", reason="the extra cluster is not installed")
postgres_connections = pytest.importorskip("media_agent.ledger.store.postgres_connections")

Open = Callable[..., Ledger]


@pytest.fixture
def open_ledger(postgres_url: SecretStr, tmp_path: Path) -> Iterator[Open]:
    opened: list[Ledger] = []

    def begin(url: SecretStr = postgres_url, **options: object) -> Ledger:
        opened.append(Ledger(tmp_path / "ledger.sqlite", url=url, **options))  # type: ignore[arg-type]  # as named
        return opened[-1]

    yield begin
    for ledger in opened:
        ledger.close()


@pytest.fixture
def changed_server(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """Return the server for a test that stops it."""
    yield postgres_server
    postgres_server.restart()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("h:5/d", "postgresql://h:5/d"),
        ("[::1]:40595/", "postgresql://[::1]:40595/"),
        ("h1:5,[fe80::1]:6/d", "postgresql://h1:5,[fe80::1]:6/d"),
        ("h1,h2:6/d", "postgresql://h1,h2:6/d"),
        ("/d?host=h1,h2&port=7", "postgresql://h1:7,h2:7/d"),
        ("", "postgresql://localhost/"),
        ("/d?service=media", "postgresql:///d?service=media"),
    ],
)
def test_people_read_where_a_database_is(address: str, name: str) -> None:
    assert Address.parse(SecretStr(f"postgresql://u:p@{address}")).name == name


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("SELECT :a, b FROM t WHERE c = :a_1", "SELECT %(a)s, b FROM t WHERE c = %(a_1)s"),
        ("SELECT ':a', \":b\" -- :c", "SELECT ':a', \":b\" -- :c"),
        ("SELECT 'it''s :a' || :a", "SELECT 'it''s :a' || %(a)s"),
        ("SELECT x::text LIKE 'a%'", "SELECT x::text LIKE 'a%%'"),
        ("SELECT 5 % :a", "SELECT 5 %% %(a)s"),
    ],
)
def test_values_are_named_where_they_stand_and_nowhere_else(statement: str, named: str) -> None:
    assert as_named(statement) == named


def make_job(path: Path, url: SecretStr, barrier: multiprocessing.synchronize.Barrier) -> None:
    ledger = Ledger(path, url=url)
    barrier.wait(30)
    ledger.jobs.create(job(f"by-{multiprocessing.current_process().name}"))
    ledger.close()


def test_processes_that_make_the_tables_at_once_make_them_once(
    open_ledger: Open, postgres_url: SecretStr, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(6)
    processes = [
        context.Process(target=make_job, args=(tmp_path / "x", postgres_url, barrier))
        for _ in range(6)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0] * 6
    assert len(open_ledger().jobs.list()) == 6


@pytest.mark.parametrize(
    ("version", "said"), [(99, "made by a newer"), (LEDGER_VERSION - 1, "made by an older")]
)
def test_tables_of_another_version_are_left_alone(
    open_ledger: Open,
    postgres_server: PostgresServer,
    postgres_url: SecretStr,
    version: int,
    said: str,
) -> None:
    open_ledger().jobs.create(job())
    postgres_server.execute(f"UPDATE media_agent.ledger SET version = {version}", postgres_url)

    with pytest.raises(ConfigurationError, match=f"version {version}, {said}"):
        open_ledger().jobs.list()


def test_a_schema_of_somebody_else_is_left_alone(
    open_ledger: Open, postgres_server: PostgresServer, postgres_url: SecretStr
) -> None:
    postgres_server.execute("CREATE SCHEMA media_agent", postgres_url)
    postgres_server.execute("CREATE TABLE media_agent.jobs (x int)", postgres_url)

    with pytest.raises(ConfigurationError, match="is no ledger of media-agent"):
        open_ledger().jobs.list()


def test_a_user_who_may_make_no_tables_is_told_what_is_needed(
    open_ledger: Open, postgres_server: PostgresServer, postgres_url: SecretStr
) -> None:
    with contextlib.suppress(Exception):  # another test had made it
        postgres_server.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    url = postgres_url.get_secret_value().replace(f"media:{PASSWORD}", "guest:guest")

    with pytest.raises(ConfigurationError, match="permission denied") as caught:
        open_ledger(SecretStr(url)).jobs.list()

    assert "CREATE" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("s3cret", "wr0ng"), "password authentication failed"),
        (("/test_", "/nowhere_"), "does not exist"),
        (("postgresql://", "http://"), "is no address"),
        (("127.0.0.1:", "127.0.0.1:a"), "invalid integer value"),
        (("/test_", "/test_?sslmode=a&dbname=test_"), "invalid sslmode"),
        (("/test_", "/test_?options=-cnosuch%3D1&dbname=test_"), "unrecognized configuration"),
        (("/test_", "/test_?service=nowhere&dbname=test_"), "definition of service"),
    ],
)
def test_an_address_that_lets_nobody_in_is_said_at_once_without_its_password(
    open_ledger: Open, postgres_url: SecretStr, change: tuple[str, str], said: str
) -> None:
    began = time.monotonic()
    url = SecretStr(postgres_url.get_secret_value().replace(*change))

    with pytest.raises(ConfigurationError, match=said) as caught:
        open_ledger(url).jobs.list()

    assert time.monotonic() - began < BUSY_SECONDS
    for error in (caught.value, caught.value.__cause__, caught.value.__context__):
        assert "s3cret" not in repr(error)
        assert "wr0ng" not in repr(error)


def test_a_server_that_is_away_is_waited_for_and_then_said(
    open_ledger: Open, changed_server: PostgresServer
) -> None:
    ledger = open_ledger(busy_seconds=1.0)
    ledger.jobs.create(job())
    changed_server.stop()

    began = time.monotonic()
    with pytest.raises(LedgerBusyError, match="cannot be reached") as caught:
        ledger.jobs.create(job("two"))
    waited = time.monotonic() - began
    changed_server.start()
    ledger.jobs.create(job("three"))

    assert waited >= 1.0
    assert "s3cret" not in str(caught.value)
    assert {kept.id for kept in ledger.jobs.list()} == {"one", "three"}


def test_a_server_that_was_waited_for_in_vain_holds_up_no_further_call_until_it_is_back(
    open_ledger: Open, changed_server: PostgresServer
) -> None:
    ledger = open_ledger(busy_seconds=1.0)
    ledger.jobs.create(job())
    changed_server.stop()
    with pytest.raises(LedgerBusyError):
        ledger.jobs.get("one")

    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(LedgerBusyError, match="cannot be reached"):
            ledger.jobs.get("one")
    waited = time.monotonic() - began
    changed_server.start()

    assert waited < 20 * 1.0
    time.sleep(0.05)  # it may just have been looked for
    assert ledger.jobs.get("one") == job()
    changed_server.kill()
    threading.Timer(0.5, changed_server.start).start()
    assert ledger.jobs.get("one") == job(), "it is waited for again"


def test_a_write_waits_until_the_server_is_back(
    open_ledger: Open, changed_server: PostgresServer
) -> None:
    ledger = open_ledger()
    ledger.jobs.create(job())
    changed_server.kill()
    threading.Timer(1.0, changed_server.start).start()

    assert append_all(ledger, progress(1)) == [0]


def test_a_process_that_may_open_no_more_files_connects_once_it_may(
    open_ledger: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, trouble = postgres_connections.Client.connect, OSError(24, "Too many open files")
    failures = [trouble] * 2

    def connect_later(*words: Any, **named: Any) -> Any:
        if failures:
            raise failures.pop()
        return connect(*words, **named)

    monkeypatch.setattr(postgres_connections.Client, "connect", connect_later)

    assert open_ledger().jobs.list() == []
    failures += [trouble] * 100
    with pytest.raises(LedgerBusyError, match="Too many open files"):
        open_ledger(busy_seconds=0.1).jobs.list()


def test_a_transaction_that_is_cut_is_done_again_as_a_whole(
    open_ledger: Open, changed_server: PostgresServer
) -> None:
    ledger = open_ledger()
    ledger.jobs.create(job())

    with ledger.database.writing() as transaction:
        transaction.change("UPDATE jobs SET phase = 'half'")
        (before,) = transaction.rows("SELECT phase, label FROM jobs")
        changed_server.restart()
        transaction.change("UPDATE jobs SET label = phase || ' and half'")
        changed_server.stop()
        threading.Timer(1.0, changed_server.start).start()

    with open_ledger().database.reading() as transaction:
        (kept,) = transaction.rows("SELECT phase, label FROM jobs")
        changed_server.restart()
        assert transaction.rows("SELECT phase, label FROM jobs") == [kept]
        changed_server.restart()

    assert (before["phase"], before["label"]) == ("half", None)
    assert (kept["phase"], kept["label"]) == ("half", "half and half")


def cut(server: PostgresServer, url: SecretStr) -> None:
    """End the connections of others, as a network or an administrator does."""
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid != pg_backend_pid()",
        url,
    )


@pytest.mark.parametrize("is_writing", [True, False])
def test_what_was_decided_by_rows_that_are_others_now_is_not_kept(
    open_ledger: Open, postgres_server: PostgresServer, postgres_url: SecretStr, is_writing: bool
) -> None:
    ledger, other = open_ledger(), open_ledger()
    ledger.jobs.create(job())
    begin = ledger.database.writing if is_writing else ledger.database.reading

    def decide() -> None:
        with begin() as transaction:
            transaction.rows("SELECT label FROM jobs")
            cut(postgres_server, postgres_url)
            with other.database.writing() as others:
                others.change("UPDATE jobs SET label = 'theirs'")
            transaction.rows("SELECT 1 AS one")

    with pytest.raises(LedgerBusyError):
        decide()

    assert ledger.jobs.get("one").label == "theirs"


def test_an_intent_whose_transaction_is_cut_after_each_statement_is_kept_once(
    open_ledger: Open,
    postgres_server: PostgresServer,
    postgres_url: SecretStr,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = open_ledger()
    ledger.jobs.create(job(cost=0.5))
    execute: Any = psycopg.Connection.execute
    cuts: list[object] = []

    def cut_once_before_each(connection: Any, query: Any, *rest: Any) -> object:
        if query not in cuts:
            cuts.append(query)
            monkeypatch.setattr(psycopg.Connection, "execute", execute)
            cut(postgres_server, postgres_url)
            monkeypatch.setattr(psycopg.Connection, "execute", cut_once_before_each)
        return execute(connection, query, *rest)

    monkeypatch.setattr(psycopg.Connection, "execute", cut_once_before_each)
    intent = ledger.submissions.record_intent("one", 0, NOW, per_day=0.5)
    monkeypatch.setattr(psycopg.Connection, "execute", execute)

    assert len(cuts) > 5
    assert b"COMMIT" in cuts
    assert list(ledger.submissions.of("one")) == [intent]
    assert ledger.submissions.spent(NOW) == 0.5


def test_heartbeats_that_go_on_meanwhile_keep_no_transaction_from_being_done_again(
    open_ledger: Open, postgres_server: PostgresServer, postgres_url: SecretStr
) -> None:
    ledger = open_ledger()
    ledger.jobs.create(job())

    with ledger.database.writing() as transaction:
        assert ledger.owners.own_row(transaction, "one")["seen"] is not None
        cut(postgres_server, postgres_url)
        postgres_server.execute("UPDATE media_agent.owners SET seen = seen + 2", postgres_url)
        transaction.change("UPDATE jobs SET label = 'kept'")

    assert ledger.jobs.get("one").label == "kept"


def test_whatever_is_cut_every_event_is_kept_once(
    open_ledger: Open, postgres_server: PostgresServer, postgres_url: SecretStr
) -> None:
    ledger, has_ended = open_ledger(), threading.Event()
    ledger.jobs.create(job())

    def cut_on() -> None:
        while not has_ended.wait(0.02):
            cut(postgres_server, postgres_url)

    cutting = threading.Thread(target=cut_on)
    cutting.start()
    try:
        kept = append_all(ledger, *map(progress, range(60)))
    finally:
        has_ended.set()
        cutting.join()

    assert kept == [*range(60)]
    assert [event.sequence for event in ledger.events.read("one")] == kept


@pytest.mark.parametrize("is_kept", [True, False])
def test_what_was_committed_as_the_connection_broke_is_looked_up_and_kept_once(
    open_ledger: Open, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    ledger = open_ledger()
    ledger.jobs.create(job())
    execute: Any = psycopg.Connection.execute

    def break_off(connection: Any, query: Any, *rest: Any) -> object:
        if query != b"COMMIT":
            return execute(connection, query, *rest)
        monkeypatch.setattr(psycopg.Connection, "execute", execute)
        if is_kept:
            execute(connection, query)
        connection.close()
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(psycopg.Connection, "execute", break_off)
    ledger.events.append("one", progress(1), NOW)

    assert [event.sequence for event in ledger.events.read("one")] == [0]


def test_what_nobody_can_look_up_is_said_to_be_unknown(
    open_ledger: Open, changed_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_ledger(busy_seconds=0.5)
    ledger.jobs.create(job())
    execute: Any = psycopg.Connection.execute

    def break_off(connection: Any, query: Any, *rest: Any) -> object:
        if query == b"COMMIT":
            changed_server.kill()
        return execute(connection, query, *rest)

    monkeypatch.setattr(psycopg.Connection, "execute", break_off)
    with pytest.raises(UndecidedError, match="nobody knows whether"):
        ledger.jobs.warn("one", "dark")


def test_words_of_processes_that_are_long_gone_are_forgotten(
    open_ledger: Open, postgres_url: SecretStr
) -> None:
    open_ledger().jobs.create(job())
    with psycopg.connect(postgres_url.get_secret_value(), autocommit=True) as connection:
        connection.execute("UPDATE media_agent.commits SET at = now() - interval '8 days'")

        open_ledger().jobs.create(job("two"))

        ((words,),) = connection.execute("SELECT count(*) FROM media_agent.commits")
    assert words == 1


def test_whoever_holds_the_lock_too_long_keeps_nobody_waiting_for_ever(
    open_ledger: Open,
) -> None:
    patient, other = open_ledger(), open_ledger(busy_seconds=0.2)

    with patient.database.writing():
        with pytest.raises(LedgerBusyError, match="is locked"):
            other.jobs.create(job())
        assert other.jobs.list() == []


def test_a_thread_that_waits_for_another_one_is_told_so(open_ledger: Open) -> None:
    ledger = open_ledger(busy_seconds=0.1)

    with ledger.database.writing():
        with pytest.raises(LedgerBusyError, match="another thread of this process"):
            ledger.jobs.create(job())
        assert ledger.jobs.list() == []


def test_whoever_is_silent_after_reading_has_what_was_read(
    open_ledger: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        postgres_connections._SESSION, "idle_in_transaction_session_timeout", "0.1s"
    )
    ledger = open_ledger()
    ledger.jobs.create(job())

    with ledger.database.reading() as transaction:
        (row,) = transaction.rows("SELECT id FROM jobs")
        time.sleep(0.5)  # as one that has much to make of it

    assert row["id"] == "one"
    assert ledger.jobs.get("one") == job()


def test_a_server_that_is_frozen_keeps_nobody_waiting_for_ever(
    open_ledger: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connections, "_SILENCE", 1)
    monkeypatch.setattr(postgres_connections, "_MOST_APART", 0.1)
    ledger = open_ledger(busy_seconds=0.5)
    ledger.jobs.create(job())
    with ledger.database.reading() as transaction:
        (row,) = transaction.rows("SELECT pg_backend_pid() AS process")

    os.kill(row["process"], signal.SIGSTOP)  # TCP goes on
    try:
        began = time.monotonic()
        with pytest.raises(LedgerBusyError, match="was silent for 2 seconds"):
            ledger.jobs.get("one")
        waited = time.monotonic() - began
        time.sleep(0.2)  # in which nobody asks
        assert ledger.jobs.get("one") == job(), "another process of the server answers"
    finally:
        os.kill(row["process"], signal.SIGCONT)

    assert waited >= 1.5


def test_whoever_waits_for_a_server_is_told_once_which_and_how_long(
    open_ledger: Open,
    changed_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = open_ledger()
    ledger.jobs.create(job())
    ledger.jobs.get("one")
    caplog.clear()
    monkeypatch.setattr("media_agent.ledger.store.patience._QUIET", 0.2)
    changed_server.stop()
    threading.Timer(1.5, changed_server.start).start()

    assert ledger.jobs.get("one") == job()

    (said,) = caplog.messages
    assert said.startswith(f"postgresql://127.0.0.1:{changed_server.port}/test_")
    assert said.endswith("does not answer: waiting for it for up to 30 seconds")


def test_a_server_that_lets_nobody_in_is_not_said_to_be_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Refused(postgres_connections.Client):  # type: ignore[misc,name-defined]
        @classmethod
        def connect(cls, *_: object, **__: object) -> Any:
            raise psycopg.OperationalError("password authentication failed")

    monkeypatch.setattr("media_agent.ledger.store.patience._QUIET", 0.1)
    monkeypatch.setattr(postgres_connections, "Client", Refused)
    address = Address.parse(SecretStr("postgresql://user@host/database"))

    with pytest.raises(psycopg.OperationalError):
        postgres_connections.Connections(address, 30.0).begin("BEGIN")

    time.sleep(0.3)
    assert not caplog.messages


def test_what_libpq_says_on_many_lines_is_one(open_ledger: Open, free_port: int) -> None:
    url = SecretStr(f"postgresql://u:p@127.0.0.1:{free_port},[::1]:{free_port}/m")

    with pytest.raises(LedgerBusyError, match="cannot be reached") as caught:
        open_ledger(url, busy_seconds=0.1).jobs.list()

    assert str(caught.value).startswith(
        f"postgresql://127.0.0.1:{free_port},[::1]:{free_port}/m cannot be reached: "
    )
    assert "\n" not in str(caught.value)


def test_one_process_at_a_time_tends(open_ledger: Open) -> None:
    one, two = open_ledger(), open_ledger()

    with one.owners.tending() as first, two.owners.tending() as second:
        pass
    with two.owners.tending() as third:
        pass

    assert (first, second, third) == (True, False, True)


def test_what_is_written_twice_is_a_duplicate(open_ledger: Open) -> None:
    ledger = open_ledger()
    ledger.jobs.create(job())

    with pytest.raises(DuplicateError), ledger.database.writing() as transaction:
        transaction.change("INSERT INTO jobs SELECT * FROM jobs")


def test_jobs_that_are_kept_without_waiting_survive_a_crash_once_they_are_flushed(
    open_ledger: Open, changed_server: PostgresServer
) -> None:
    async def keep(ledger: Ledger) -> None:
        ledger.jobs.create(job(), durably=False)
        await ledger.flushed()

    ledger = open_ledger()
    asyncio.run(keep(ledger))
    changed_server.kill()
    changed_server.start()

    assert ledger.jobs.get("one") == job()


def test_a_text_with_a_character_that_no_text_can_have_gets_a_mark(open_ledger: Open) -> None:
    ledger = open_ledger()
    ledger.jobs.create(job())

    ledger.events.append("one", progress(0).model_copy(update={"phase": "a\0b"}), NOW)

    assert ledger.jobs.get("one").phase == "a\ufffdb"


def test_an_error_of_a_value_does_not_tell_the_value(open_ledger: Open) -> None:
    ledger = open_ledger()
    ledger.jobs.create(job())

    with pytest.raises(MediaAgentError) as caught, ledger.database.writing() as transaction:
        transaction.change("UPDATE jobs SET chunks_ready = :value", value="a prompt")

    assert "postgresql://127.0.0.1" in str(caught.value)


def test_a_process_ends_though_it_lets_go_of_a_job_at_its_very_end(
    postgres_url: SecretStr, tmp_path: Path
) -> None:
    code = """
import sys
from pathlib import Path
from pydantic import SecretStr
from media_agent.ledger.ledger import Ledger
from tests.ledger.samples import job
ledger = Ledger(Path(sys.argv[1]), url=SecretStr(sys.argv[2]))
ledger.jobs.create(job())
claim = ledger.owners.claim("one")
claim.__enter__()
ledger.close()
"""
    words = [str(tmp_path / "ledger.sqlite"), postgres_url.get_secret_value()]

    assert subprocess.run([sys.executable, "-c", code, *words], timeout=120).returncode == 0
