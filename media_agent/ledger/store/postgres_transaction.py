"""A transaction on Postgres that outlives its connection.

Where the connection breaks before COMMIT was sent, nothing was kept. So the statements are run
again in a new transaction, and the work goes on if the rows they find are the same: then whoever
decides by those rows would decide so again. (Oracle calls this Application Continuity.) An `id`
that the database counts is another one then, so whoever inserts a row does not read it. Times of
the server, and heartbeats, stay those of before.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg

from media_agent.ledger.store.database import Column, DuplicateError, Row, Transaction
from media_agent.ledger.store.postgres_connections import Connection, Connections
from media_agent.ledger.store.postgres_errors import is_broken
from media_agent.ledger.store.statements import as_named

_MOVING = frozenset({"seen"})  # columns of heartbeats, which go on meanwhile


@dataclass(frozen=True, slots=True)
class _Done:
    """A statement that was run, and what it found."""

    statement: str
    values: Mapping[str, Column]
    rows: list[Row] | None


class PostgresTransaction(Transaction):
    """A transaction that is begun on a connection, and again on another should that one break."""

    def __init__(self, connections: Connections, begin: str) -> None:
        """Begin.

        Raises:
            psycopg.Error: nobody is let in, or the server stayed away.
        """
        self._connections = connections
        self._begin = begin
        self._done: list[_Done] = []
        self._deadline: float | None = None  # for all repetitions together
        self._connection = connections.begin(begin)

    def rows(self, query: str, **values: Column) -> list[Row]:
        """Return the rows that a query finds."""
        kept = _kept(values)
        found = self._run(query, kept).fetchall()
        self._done.append(_Done(query, kept, found))
        return found

    def change(self, statement: str, **values: Column) -> None:
        """Change rows; raises as said there."""
        kept = _kept(values)
        try:
            self._run(statement, kept)
        except psycopg.IntegrityError as error:
            raise DuplicateError(error.diag.message_primary or "a duplicate") from error
        self._done.append(_Done(statement, kept, None))

    def now(self) -> float:
        """Return the time of the server; after a repetition an earlier answer stays good."""
        (row,) = self._run("SELECT extract(epoch FROM clock_timestamp()) AS now", {}).fetchall()
        return float(row["now"])

    def end(self, statement: str) -> None:
        """Run what ends it; no break is made up for here.

        Raises:
            psycopg.Error: it broke, or was refused.
        """
        self._connection.execute(statement.encode())

    def repeat(self, broken: psycopg.Error) -> None:
        """Begin again on another connection and do all that was done.

        Raises:
            psycopg.Error: the break, if it goes on for too long or other rows were found now; or
                what keeps it from beginning.
        """
        if self._deadline is None:
            self._deadline = time.monotonic() + self._connections.busy_seconds
        while time.monotonic() < self._deadline:
            self._connection.close()
            self._connection = self._connections.begin(self._begin, self._deadline)
            try:
                is_same = all(self._finds_again(each) for each in self._done)
            except psycopg.Error as error:
                if not is_broken(error):
                    raise broken from error
            else:
                if is_same:
                    return
                break
        raise broken

    def leave(self, *, is_whole: bool) -> None:
        """Hand the connection back; one that is not whole is closed, which undoes the rest."""
        if is_whole:
            self._connections.give_back(self._connection)
        else:
            self._connection.close()

    def _run(self, statement: str, values: Mapping[str, Column]) -> "psycopg.Cursor[Row]":
        while True:
            try:
                return _execute(self._connection, statement, values)
            except psycopg.Error as error:
                if not is_broken(error):
                    raise
                self.repeat(error)

    def _finds_again(self, done: _Done) -> bool:
        cursor = _execute(self._connection, done.statement, done.values)
        return done.rows is None or _lasting(cursor.fetchall()) == _lasting(done.rows)


@contextlib.contextmanager
def begun(connections: Connections, begin: str) -> Iterator[PostgresTransaction]:
    """Give a transaction, and its connection back at the end; raises as it does."""
    transaction = PostgresTransaction(connections, begin)
    try:
        yield transaction
    except BaseException:
        transaction.leave(is_whole=False)
        raise
    transaction.leave(is_whole=True)


def _execute(
    connection: Connection, statement: str, values: Mapping[str, Column]
) -> "psycopg.Cursor[Row]":
    return connection.execute(as_named(statement), values)


def _lasting(rows: list[Row]) -> list[dict[str, object]]:
    """Return rows as far as they are the same unless somebody decided otherwise."""
    return [{name: row[name] for name in set(row.keys()) - _MOVING} for row in rows]


def _kept(values: Mapping[str, Column]) -> dict[str, Column]:
    """Return values as texts can hold them: Postgres has no NUL, so that it becomes a mark."""
    return {
        name: value.replace("\0", "\ufffd") if isinstance(value, str) else value
        for name, value in values.items()
    }
