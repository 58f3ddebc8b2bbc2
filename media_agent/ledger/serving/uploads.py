"""Files that callers of a server sent, to be used in requests: whose they are, and until when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from media_agent.errors import InvalidRequestError, JobNotFoundError
from media_agent.ledger.rows import text_of
from media_agent.ledger.store.database import Database, Row, Transaction, reads_row

_NEWEST_FIRST = "ORDER BY created_at DESC, id DESC"
_OLDEST_FIRST = "ORDER BY created_at, id"


@dataclass(frozen=True, slots=True)
class Upload:
    """What is known of a file; its bytes lie in a folder of the server."""

    id: str
    caller: str
    filename: str
    """As the caller said; it is shown, and never a path."""
    purpose: str
    size_bytes: int
    sha256: str
    created_at: datetime
    expires_at: datetime | None = None

    def is_over(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


class Uploads:
    """The part of the ledger that knows files that were sent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, upload: Upload, *, most_files: int, most_bytes: int) -> None:
        """Keep a file, unless its caller has too many, or too much.

        Raises:
            InvalidRequestError: that is so.
        """
        sums = "SELECT count(*) AS files, coalesce(sum(size_bytes), 0) AS bytes"
        sums += " FROM uploads WHERE caller = :c"
        with self._database.writing() as transaction:
            held = transaction.row(sums, c=upload.caller)
            files, size = (0, 0.0) if held is None else (held["files"], held["bytes"])
            if files >= most_files or size + upload.size_bytes > most_bytes:
                raise InvalidRequestError(
                    f"there are {files} files of {size / 2**30:.1f} GiB; the limit is {most_files} "
                    f"files and {most_bytes / 2**30:.1f} GiB",
                    hint="DELETE /v1/files/{id} removes those that are not needed",
                )
            transaction.insert("uploads", _row_of(upload))

    def find(self, upload_id: str) -> Upload | None:
        """Return a file, None if there is none of this id."""
        with self._database.reading() as transaction:
            row = transaction.row("SELECT * FROM uploads WHERE id = :id", id=upload_id)
        return None if row is None else _upload_of(row)

    def list(
        self,
        *,
        caller: str | None,
        purpose: str | None,
        after: str | None,
        limit: int,
        oldest_first: bool,
    ) -> Sequence[Upload]:
        """Return a page of the files of a caller, or of all, that have not expired.

        Raises:
            JobNotFoundError: there is no file `after` of this caller.
        """
        conditions = ["(expires_at IS NULL OR expires_at > :now)"]
        values: dict[str, str | int] = {"now": text_of(datetime.now(UTC)), "limit": limit}
        if caller is not None:
            conditions.append("caller = :caller")
            values["caller"] = caller
        if purpose is not None:
            conditions.append("purpose = :purpose")
            values["purpose"] = purpose
        order = _OLDEST_FIRST if oldest_first else _NEWEST_FIRST
        with self._database.reading() as transaction:
            if after is not None:
                conditions.append(
                    f"(created_at, id) {'>' if oldest_first else '<'} (:time, :after)"
                )
                values |= {"time": _time_of(transaction, after, caller), "after": after}
            query = f"SELECT * FROM uploads WHERE {' AND '.join(conditions)} {order} LIMIT :limit"
            return [_upload_of(row) for row in transaction.rows(query, **values)]

    def remove(self, upload_id: str) -> None:
        """Forget a file."""
        with self._database.writing() as transaction:
            transaction.change("DELETE FROM uploads WHERE id = :id", id=upload_id)

    def expired(self) -> Sequence[str]:
        """Return the ids of the files whose time is over."""
        query = "SELECT id FROM uploads WHERE expires_at <= :now"
        with self._database.reading() as transaction:
            rows = transaction.rows(query, now=text_of(datetime.now(UTC)))
        return [row["id"] for row in rows]


def _time_of(transaction: Transaction, upload_id: str, caller: str | None) -> str:
    row = transaction.row("SELECT created_at, caller FROM uploads WHERE id = :id", id=upload_id)
    if row is None or caller not in (None, row["caller"]):
        raise JobNotFoundError(f"unknown file {upload_id!r:.100}")
    return str(row["created_at"])


def _row_of(upload: Upload) -> dict[str, str | int | None]:
    return {
        "id": upload.id,
        "caller": upload.caller,
        "filename": upload.filename,
        "purpose": upload.purpose,
        "size_bytes": upload.size_bytes,
        "sha256": upload.sha256,
        "created_at": text_of(upload.created_at),
        "expires_at": None if upload.expires_at is None else text_of(upload.expires_at),
    }


@reads_row
def _upload_of(row: Row) -> Upload:
    over = row["expires_at"]
    return Upload(
        id=row["id"],
        caller=row["caller"],
        filename=row["filename"],
        purpose=row["purpose"],
        size_bytes=row["size_bytes"],
        sha256=row["sha256"],
        created_at=datetime.fromisoformat(row["created_at"]),
        expires_at=None if over is None else datetime.fromisoformat(over),
    )
