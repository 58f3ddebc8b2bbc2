"""What the ledger asks of its database: transactions over rows; SQLite or Postgres is behind it.

The statements are the same for both: what they cannot say in the same words stands in a column, or
in a method of the transaction.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeAlias, TypeVar

from media_agent.errors import InvalidRequestError, StorageError

BUSY_SECONDS = 30.0
"""How long a transaction waits for its turn, or for a server that is away."""

Column: TypeAlias = str | int | float | None


class Row(Protocol):
    """A row that was read: each value by the name of its column."""

    def __getitem__(self, name: str, /) -> Any: ...

    def keys(self) -> Iterable[str]:
        """Return the names of its columns."""
        ...


class DuplicateError(Exception):
    """A value that can be there once was there already; the transaction can only be left."""


class UndecidedError(StorageError):
    """The server went away during a COMMIT and stayed away: what was written may stand there."""


class DamagedRowError(Exception):
    """What a row keeps cannot be read back; a transaction says it as a StorageError."""


_Rest = ParamSpec("_Rest")
_Read = TypeVar("_Read")


def reads_row(
    read: Callable[Concatenate[Row, _Rest], _Read],
) -> Callable[Concatenate[Row, _Rest], _Read]:
    """Decorate what makes an object of a row: whatever is wrong in it is a DamagedRowError."""

    @wraps(read)
    def read_checked(row: Row, /, *rest: _Rest.args, **named: _Rest.kwargs) -> _Read:
        try:
            return read(row, *rest, **named)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            raise DamagedRowError(_name_of(row)) from error

    return read_checked


def _name_of(row: Row) -> str:
    columns = row.keys()
    if "job_id" in columns:
        return f"job {row['job_id']}"
    return f"job {row['id']}" if {"id", "status"} <= {*columns} else "a row"


class Transaction(ABC):
    """Reads and changes rows; a value stands in a statement as `:name`."""

    @abstractmethod
    def rows(self, query: str, **values: Column) -> list[Row]:
        """Return the rows that a query finds."""

    @abstractmethod
    def change(self, statement: str, **values: Column) -> None:
        """Change rows.

        Raises:
            DuplicateError: a unique value was there already.
        """

    @abstractmethod
    def now(self) -> float:
        """Return the time by the clock that all who use the database share, in epoch seconds."""

    def row(self, query: str, **values: Column) -> Row | None:
        """Return the first row that a query finds."""
        return next(iter(self.rows(query, **values)), None)

    def insert(self, table: str, values: Mapping[str, Column]) -> None:
        """Put a row into a table; raises as `change` does."""
        columns, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
        self.change(f"INSERT INTO {table} ({columns}) VALUES ({marks})", **values)

    def update(self, table: str, key: Mapping[str, str], values: Mapping[str, Column]) -> None:
        """Change columns of the row of a key; raises as `change` does."""
        settings = ", ".join(f"{name} = :{name}" for name in values)
        (column,) = key
        self.change(f"UPDATE {table} SET {settings} WHERE {column} = :{column}", **values, **key)


class Database(ABC):
    """Connects at first use, makes the tables, and hands out transactions."""

    folder: Path
    """The data folder: files beside the rows lie there."""
    name: str
    """What messages call it; never with a secret."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Transaction]:
        """Give a view in which nothing changes.

        Raises:
            StorageError: the database is locked, damaged or out of reach.
            ConfigurationError: another version of media-agent made it, it is something else, or it
                lets nobody in with the settings there are.
            InvalidRequestError: what is looked for is not valid text.
        """

    @abstractmethod
    def writing(self, *, durably: bool = True) -> AbstractContextManager[Transaction]:
        """Give a transaction that is alone in writing, on disk at its end if `durably`.

        Else it is on disk soon, and once `flushed` was waited for.

        Raises:
            LedgerBusyError: nothing was written, and it can be tried again.
            UndecidedError: nobody knows whether it was written.
            StorageError: as `reading`, or the disk is full.
            ConfigurationError, InvalidRequestError: as `reading`.
            DuplicateError: a unique value was there already.
        """

    @abstractmethod
    def only_one(self, name: str) -> AbstractContextManager[bool]:
        """Do what one process at a time does; yields whether it is this one.

        Raises:
            StorageError, ConfigurationError: as `reading`.
        """

    @abstractmethod
    async def flushed(self) -> None:
        """Return when all that was written before this call is on disk.

        Raises:
            StorageError: nobody knows whether it is.
        """

    @abstractmethod
    def close(self) -> None:
        """Close all connections; the next use opens others."""

    @abstractmethod
    def is_there(self) -> bool:
        """Return whether there can be anything in it; a file is made at its first use."""

    @abstractmethod
    def again(self) -> Self:
        """Return another one over the same place, for another event loop."""

    @contextlib.contextmanager
    def _reading_errors(self) -> Iterator[None]:
        """Say in words what is wrong with what is kept, or with what is to be."""
        try:
            yield
        except DamagedRowError as error:
            raise StorageError(
                f"{error} cannot be read from {self.name}",
                hint="another version of media-agent may have written it",
            ) from error.__cause__
        except UnicodeEncodeError as error:  # databases take UTF-8 only
            raise InvalidRequestError(
                f"{error.object!r} is not valid text: it has bytes that are not UTF-8"
            ) from error
