"""The record of an ended job, written beside its video."""

from collections.abc import Iterable, Iterator

from media_agent.jobs.context import JobContext
from media_agent.jobs.delivering.checks import ResultChecks
from media_agent.jobs.delivering.quality import QualityChecks
from media_agent.jobs.delivering.remake import Remaker
from media_agent.ledger.state import Submission
from media_agent.ledger.store.kept_text import text_that_reads_back
from media_agent.provenance.quality.spread import measure_spread
from media_agent.provenance.record import build_record
from media_agent.provenance.seams import measure_seams
from media_agent.storage.destination import Destination
from media_agent.storage.files import storage_errors, write_atomically
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.events import ChunkReady, JobCompleted, JobEvent, TerminalEvent
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.records import Refusal


def write_record(
    job: VideoJob,
    end: TerminalEvent,
    capabilities: Capabilities,
    *,
    destination: Destination,
    context: JobContext,
    checks: ResultChecks,
    quality: QualityChecks,
    remaker: Remaker | None,
    resumed_from: int | None,
) -> None:
    """Write what was asked, planned, done and delivered, and tell the ledger where it is.

    Raises:
        StorageError: It cannot be written there.
        OwnershipLostError: The job is another process's by now.
    """
    store = context.store
    submissions = store.submissions.of(job.id)
    record = build_record(
        store.jobs.get(job.id),  # with the warnings of its way
        end,
        capabilities=capabilities,
        events=store.events.read(job.id),
        finished_at=context.now(),
        inputs=store.jobs.terms(job.id).inputs,
        cost=store.costs.of(job.id).as_cost(
            job.plan.estimate.source, None if end.cost is None else end.cost.source
        ),
        resumed_from=resumed_from,
        resumed_exactly=_find_exactness(store.events.read(job.id), resumed_from),
        seams=measure_seams(job, end.artifacts, store.events.read(job.id)),
        quality=next(iter(quality.reports.values()), None),
        spread=measure_spread(tuple(quality.reports.values())),
        remakes=() if remaker is None else tuple(remaker.remakes),
        policies=checks.notes,
        key_name=next((each.ref.key_name for each in submissions if each.ref is not None), None),
        refused=tuple(_list_refusals(submissions)),
    )
    is_complete = isinstance(end, JobCompleted)
    if is_complete:
        destination.remove_partial(job.id)
    place = destination.record_of(is_complete)
    with storage_errors(str(place)):
        write_atomically(place, text_that_reads_back(record, indent=2).encode() + b"\n")
    changes = {"record_path": str(place)}
    store.jobs.update(job.id, lambda job: job.model_copy(update=changes))


def _find_exactness(events: Iterable[JobEvent], resumed_from: int | None) -> bool | None:
    """Return what the token says with which a job was resumed; None: it was not."""
    tokens = (each.event.resume for each in events if isinstance(each.event, ChunkReady))
    used = (token for token in tokens if token is not None and token.next_chunk == resumed_from)
    return next((token.exact for token in used), None)


def _list_refusals(submissions: Iterable[Submission]) -> Iterator[Refusal]:
    """Yield who refused a job before somebody accepted it: backends, and keys of the last one."""
    for each in submissions:
        if each.error is not None:
            yield Refusal(backend=each.backend, model=each.model, error=each.error)
        for refused in () if each.ref is None else each.ref.refused_keys:
            yield Refusal(
                backend=each.backend,
                model=each.model,
                key_name=refused.key_name,
                error=refused.error,
            )
