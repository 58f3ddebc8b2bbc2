"""A private Postgres server of installed binaries, for tests: start, stop, kill, databases.

`postgres_server` is its fixture; without binaries its tests are skipped, and say why.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from pydantic import SecretStr

PASSWORD = "s3cret-of-%40-tests"  # as it stands in an address; it means "@"
_PLAIN = "s3cret-of-@-tests"
_DEBIAN = Path("/usr/lib/postgresql")
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "200",
    "autovacuum": "off",
    "lc_messages": "C",
    "log_min_messages": "fatal",
}


class PostgresServer:
    """A server on a free port of this machine, with its data in a folder that goes with it."""

    def __init__(
        self, binaries: Path, *, listen: str = "127.0.0.1", hosts: str | None = None
    ) -> None:
        """Begin; others may be let in too, by the addresses of a network."""
        self._listen, self._hosts = listen, hosts
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._user = _unprivileged_user()
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        password = self._folder / "password"
        password.write_text(_PLAIN)
        password.chmod(0o644)
        self._run(
            *("initdb", "--pgdata", str(self._folder / "data"), "--username", "media"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
            *("--auth", "scram-sha-256", "--pwfile", str(password)),
        )
        if self._hosts is not None:
            with (self._folder / "data" / "pg_hba.conf").open("a") as rules:
                rules.write(f"host all all {self._hosts} scram-sha-256\n")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str = "postgres", *, password: str = PASSWORD) -> SecretStr:
        """Return the address of a database."""
        return SecretStr(f"postgresql://media:{password}@127.0.0.1:{self.port}/{database}")

    def new_database(self) -> SecretStr:
        """Make an empty database and return its address."""
        name = f"test_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop_database(self, url: SecretStr) -> None:
        """Remove a database, whoever still uses it."""
        name = url.get_secret_value().rpartition("/")[2]
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str, url: SecretStr | None = None) -> None:
        """Run a statement outside of any transaction."""
        import psycopg

        address = self.url() if url is None else url
        with psycopg.connect(address.get_secret_value(), autocommit=True) as connection:
            connection.execute(statement.encode())

    def start(self) -> None:
        """Start it and wait until it answers."""
        chosen = {**_SETTINGS, "listen_addresses": self._listen}
        settings = [part for each in chosen.items() for part in ("-c", "=".join(each))]
        data, program = str(self._folder / "data"), str(self._binaries / "postgres")
        self._process = subprocess.Popen(
            [program, "-D", data, "-p", str(self.port), "-k", str(self._folder), *settings],
            user=self._user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while not self._is_up():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the Postgres server does not start")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it at once, in order: connections are ended."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Let it crash: what was not yet on disk is replayed from its log, or lost."""
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        """Start it once more, whether it runs or not."""
        if self._process is not None:
            self.kill()
        self.start()

    def _end(self, by: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(by)
        self._process.wait(60)
        self._process = None

    def _is_up(self) -> bool:
        import psycopg

        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, name: str, *arguments: str) -> None:
        command = [str(self._binaries / name), *arguments]
        subprocess.run(command, user=self._user, check=True, capture_output=True, cwd=self._folder)


def find_binaries() -> Path | None:
    """Return the folder of the newest `initdb` and `postgres` of this machine, if any."""
    found = shutil.which("initdb")
    folders = [] if found is None else [Path(found).resolve().parent]
    folders += sorted(_DEBIAN.glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    names = ("initdb", "postgres")
    return next((each for each in folders if all((each / name).exists() for name in names)), None)


def _unprivileged_user() -> str | None:
    """Return as whom a server runs; None: as ourselves. It refuses to run as root."""
    import pwd

    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Start one server for all tests that need one."""
    pytest.importorskip("psycopg", reason="the extra cluster is not installed")
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("Postgres is not installed: initdb and postgres are not there")
    with PostgresServer(binaries) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[SecretStr]:
    """Return the address of an empty database, for one test."""
    url = postgres_server.new_database()
    yield url
    postgres_server.drop_database(url)
