"""Which jobs the watermarks of a video mean."""

from pathlib import Path

from media_agent.errors import InvalidRequestError
from media_agent.ledger.ledger import Ledger
from media_agent_schemas.media import FoundWatermark


def find_marked(store: Ledger, payload: int) -> tuple[str, ...]:
    """Return the jobs that have this payload: one, none, or by chance several.

    A job that was removed is still known. It is looked for in all of them, which takes a tenth of a
    second for 100,000.
    """
    from media_agent.provenance.watermark.payload import find_payload

    keys = store.submissions.list_keys()
    return tuple(sorted({job for key, job in keys if find_payload(key) == payload}))


def find_watermarks(path: Path, store: Ledger | None) -> tuple[FoundWatermark, ...]:
    """Return the watermarks of a video, with their jobs as far as a ledger knows them.

    Raises:
        InvalidRequestError: numpy is missing.
        StorageError: the file is missing or not a readable video.
    """
    try:
        from media_agent.provenance.watermark.payload import to_hex
        from media_agent.provenance.watermark.read import read_watermark
    except ImportError as error:
        from media_agent.distribution import install_hint

        hint = install_hint("local")
        raise InvalidRequestError("reading a watermark needs numpy", hint=hint) from error
    return tuple(
        FoundWatermark(
            payload=to_hex(mark.payload),
            jobs=() if store is None else find_marked(store, mark.payload),
            start=mark.start,
            end=mark.end,
        )
        for mark in read_watermark(path)
    )


def watermark_in_words(mark: FoundWatermark) -> str:
    """Return whose mark it is, for people."""
    if not mark.jobs:
        return f"of an unknown job: {mark.payload}"
    either = "one of the jobs" if len(mark.jobs) > 1 else "job"
    return f"{either} {', '.join(mark.jobs)}"
