"""Where dbos keeps its tables: what the ledger's address means to libpq, it means to dbos."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from media_agent.cluster.engine import DbosQueue, find_system_url
from media_agent.errors import ConfigurationError
from tests.postgres import PASSWORD, PostgresServer

pytest.importorskip("dbos", reason="the extra cluster is not installed")
pytest.importorskip("psycopg", reason="the extra cluster is not installed")


@pytest.mark.parametrize(
    ("ledger", "arguments"),
    [
        (
            "postgresql://u%40x:p%2Fq@h:5432/db?sslmode=require",
            {"user": "u@x", "password": "p/q", "host": "h", "port": "5432", "sslmode": "require"},
        ),
        ("postgresql://u@h/db", {"user": "u", "host": "h"}),
        ("postgres://h1:5432,h2:5433/db", {"host": "h1,h2", "port": "5432,5433"}),
        ("postgresql://h1,h2:5433/db", {"host": "h1,h2", "port": ",5433"}),
        ("postgresql://h1,h2/db", {"host": "h1,h2", "port": ","}),
        ("postgresql:///db?host=h1,h2&port=7", {"host": "h1,h2", "port": "7,7"}),
        ("postgresql://[::1]:5432/db", {"host": "::1", "port": "5432"}),
        ("postgresql:///db?host=/run/postgresql", {"host": "/run/postgresql"}),
        ("postgresql:///db?service=media", {"service": "media"}),
        ("postgresql://h/db?tcp_user_timeout=9000", {"host": "h", "tcp_user_timeout": "9000"}),
    ],
)
def test_dbos_connects_as_the_ledger_does(ledger: str, arguments: dict[str, str]) -> None:
    from psycopg.conninfo import conninfo_to_dict
    from sqlalchemy import make_url

    from media_agent.ledger.store.postgres_connections import NETWORK

    url = make_url(find_system_url(SecretStr(ledger), Path("data")).get_secret_value())

    positional, named = url.get_dialect()().create_connect_args(url)
    assert not positional
    assert named == conninfo_to_dict(NETWORK) | arguments | {"dbname": "db"}
    assert "p%2Fq" not in str(url)


@pytest.mark.parametrize("ledger", ["postgresql://u:secret@h", "postgresql://?service=media"])
def test_without_the_name_of_a_database_the_way_out_is_said(ledger: str) -> None:
    with pytest.raises(ConfigurationError, match="needs the name of the database") as caught:
        find_system_url(SecretStr(ledger), Path("data"))

    assert "postgresql:///DATABASE?service=SERVICE" in (caught.value.hint or "")
    assert "secret" not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("form", ["hosts", "service and password file"])
async def test_turns_are_queued_at_the_first_host_that_answers_or_by_a_service(
    form: str,
    postgres_server: PostgresServer,
    postgres_url: SecretStr,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database, port = postgres_url.get_secret_value().rpartition("/")[2], postgres_server.port
    ledger = f"postgresql://media:{PASSWORD}@127.0.0.1:1,127.0.0.1:{port}/{database}"
    if form != "hosts":
        services, passwords = tmp_path / "services", tmp_path / "passwords"
        services.write_text(f"[media]\nhost=127.0.0.1\nport={port}\nuser=media\n")
        passwords.write_text(f"127.0.0.1:{port}:*:media:{PASSWORD.replace('%40', '@')}\n")
        passwords.chmod(0o600)
        monkeypatch.setenv("PGSERVICEFILE", str(services))
        monkeypatch.setenv("PGPASSFILE", str(passwords))
        ledger = f"postgresql:///{database}?service=media"
    queue = DbosQueue(find_system_url(SecretStr(ledger), tmp_path))

    await queue.add("one", 1, "fal")

    ((turn),) = await queue.list_of("one")
    await queue.aclose()
    assert (turn.job_id, turn.queue) == ("one", "fal")
