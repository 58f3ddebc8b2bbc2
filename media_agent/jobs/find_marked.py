"""Which jobs the watermarks of a video mean."""

from importlib.util import find_spec
from pathlib import Path

from media_agent.errors import StorageError
from media_agent.ledger.ledger import Ledger
from media_agent_schemas.provenance import FoundWatermark


def find_marked(store: Ledger, payload: int) -> tuple[str, ...]:
    """Return the jobs that have this payload: one, none, or by chance several.

    A job that was removed is still known. It is looked for in all of them, which takes a tenth of a
    second for 100,000.
    """
    from media_agent.provenance.watermark.payload import find_payload

    keys = store.submissions.list_keys()
    return tuple(sorted({job for key, job in keys if find_payload(key) == payload}))


def find_watermarks(path: Path, ledger: Ledger) -> tuple[FoundWatermark, ...] | None:
    """Return the watermarks of a video with their jobs, as far as a ledger is there and knows them.

    None: it cannot be looked for, as numpy is missing.
    """
    if find_spec("numpy") is None:
        return None
    from media_agent.provenance.watermark.payload import to_hex
    from media_agent.provenance.watermark.read import read_watermark

    try:
        marks = read_watermark(path)
    except StorageError:  # no video
        return ()
    store = ledger if marks and ledger.database.is_there() else None
    return tuple(
        FoundWatermark(
            payload=to_hex(mark.payload),
            jobs=() if store is None else find_marked(store, mark.payload),
            start=mark.start,
            end=mark.end,
        )
        for mark in marks
    )
