"""The commands about jobs: show, resume, reconcile, settle, cancel, rm; others have own files."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cyclopts import App

from media_agent.cli.arguments import Flag, Number, Yes
from media_agent.cli.commands.jobs.fetch_job import fetch_job
from media_agent.cli.commands.jobs.job_list import format_status, list_jobs
from media_agent.cli.screen import write_facts, write_json, write_stdout
from media_agent.cli.store import find_job, open_ledger
from media_agent.shorten import shorten

if TYPE_CHECKING:
    from datetime import datetime

    from media_agent.ledger.ledger import Ledger
    from media_agent_schemas.jobs import VideoJob
    from media_agent_schemas.records import SeamRecord


def build_jobs_app() -> App:
    """Return the commands about jobs."""
    app = App(
        name="jobs", help="List, show, fetch, resume, reconcile, settle, cancel or remove jobs."
    )
    app.command(list_jobs, name="list")
    app.command(show_job, name="show")
    app.command(fetch_job, name="fetch")
    app.command(resume_job, name="resume")
    app.command(reconcile_jobs, name="reconcile")
    app.command(settle_job, name="settle")
    app.command(cancel_job, name="cancel")
    app.command(remove_jobs, name="rm")
    return app


def show_job(job_id: str, /, *, json: Flag = False) -> int:
    """Show one job.

    Args:
        job_id: As shown by jobs list; or the beginning of one, or last.
        json: Print the job as JSON.
    """
    store = open_ledger()
    job = store.jobs.get(store.jobs.find(job_id))
    if json:
        write_json(job)
        return 0
    write_facts(_list_facts(job, store))
    return 0


def _list_facts(job: "VideoJob", store: "Ledger") -> "Iterator[tuple[str, object]]":
    """Yield what is known of a job, in the order of its life."""
    from media_agent.provenance.c2pa.words import describe_signature
    from media_agent.provenance.record import read_record
    from media_agent.routing.explain import describe_change
    from media_agent_schemas.events import PromptChanged

    yield "job", job.id
    yield "status", format_status(job, store)
    yield "created", _local(job.created_at)
    for sent in store.submissions.of(job.id):
        key = None if sent.ref is None else sent.ref.key_name
        ref = "" if sent.ref is None else f" as {sent.ref.operation_id}"
        with_key = "" if key is None else f" with the key {key}"
        yield "sent", f"{_local(sent.created_at)} to {sent.backend}: {sent.state}{ref}{with_key}"
        for refusal in () if sent.ref is None else sent.ref.refused_keys:
            yield "refused", f"the key {refusal.key_name}: {refusal.error.message}"
    yield "model", f"{job.plan.backend}/{job.plan.model}"
    if job.plan.origin is not None:
        yield "branched from", f"{job.plan.origin.job_id}, up to chunk {job.plan.origin.chunk}"
    for shot in job.plan.request.storyboard():
        length = "" if shot.duration is None else f"{shot.duration:.2f} s "
        yield "shot", f"{length}{shorten(shot.prompt, 200)}"
    events = [numbered.event for numbered in store.events.read(job.id)]
    steered = {each.chunk: each.prompt for each in events if isinstance(each, PromptChanged)}
    for chunk, prompt in sorted(steered.items()):  # of those for one chunk the last holds
        yield "steered", f"from chunk {chunk + 1} on: {shorten(prompt, 200)}"
    yield "price", _price(job)
    if job.plan.estimate.has_old_price(job.created_at.date()):
        yield "price of", f"{job.plan.estimate.priced_on}: read long before it was planned"
    if job.label is not None:
        yield "label", job.label
    if job.chunks_ready:
        yield "ready", f"{job.frames_ready} frames in {job.chunks_ready} chunks"
    if job.cancellation is not None:
        yield "cancelled", job.cancellation.said
    for change in job.plan.adjustments:
        yield "adjusted", describe_change(change)
    for warning in job.warnings:
        yield "warning", warning
    if job.artifacts and (video := job.artifacts[0].metadata) is not None:
        yield "length", f"{video.duration:.2f} s{', with audio' if video.has_audio else ''}"
    elsewhere = _describe_elsewhere(job)
    for artifact in job.artifacts:
        path = artifact.path
        yield str(artifact.kind), artifact.uri if path is None else path + elsewhere.get(path, "")
    record = read_record(job)
    if record is not None and record.seams:
        yield "seams", _describe_seams(record.seams)
    signature = job.artifacts[0].signature if job.artifacts else None
    if signature is not None:
        yield "signed", describe_signature(signature)
    if job.record_path is not None:
        yield "record", job.record_path + elsewhere.get(job.record_path, "")
    if job.error is not None:
        yield "error", f"{job.error.code}: {job.error.message}"
        if job.error.hint is not None:
            yield "next", job.error.hint


def _describe_seams(seams: "Sequence[SeamRecord]") -> str:
    """Return how many there are, and which of them shows most."""
    counted = "1 seam" if len(seams) == 1 else f"{len(seams)} seams"
    scored = [(seam.score, seam.seconds) for seam in seams if seam.score is not None]
    if not scored:
        return f"{counted}, not measured"
    score, seconds = max(scored)
    return f"{counted}; most visible at {seconds:.2f} s: {score:.2g} times the change beside it"


def _describe_elsewhere(job: "VideoJob") -> dict[str, str]:
    import asyncio

    from media_agent.cli.whereabouts import describe_elsewhere
    from media_agent.config.settings import load_settings

    return asyncio.run(describe_elsewhere(job, load_settings()))


def _local(time: "datetime") -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def _price(job: "VideoJob") -> str:
    from media_agent_schemas.base import format_usd

    quote = "unknown" if job.quote_usd is None else f"{format_usd(job.quote_usd)} USD"
    held = f"{format_usd(job.held_usd)} USD held in the budgets"
    if job.held_usd and not job.plan.segments:  # whose cost has segments that are over
        return f"quoted {quote}; 0.00 USD spent, {held}"
    if job.cost_usd is None:
        return f"quoted {quote}; cost unknown"
    if job.cost_source in (None, "free"):
        return f"quoted {quote}; nothing spent" if job.quote_usd else "free"
    cost = f"cost {format_usd(job.cost_usd)} USD ({job.cost_source})"
    return f"quoted {quote}; {cost}" + (f", with what is held: {held}" if job.held_usd else "")


def resume_job(
    job_id: str | None = None, /, *, take_over: Flag = False, yes: Yes = False, json: Flag = False
) -> int:
    """Resume a job whose process is gone; without an ID, resume all such jobs, one by one.

    Nothing is paid for twice: work that a backend accepted is found again, never resubmitted.

    Args:
        job_id: As shown by jobs list; may have an unknown outcome.
        take_over: Take over a job whose process is running but hung.
        yes: Do not ask before what is left costs much.
        json: Print JSON: {"data": [job, ...]}.
    """
    import asyncio

    from media_agent.cli.job_actions import resume_jobs

    return asyncio.run(resume_jobs(_find(job_id), take_over=take_over, yes=yes, json=json))


def reconcile_jobs(job_id: str | None = None, /, *, json: Flag = False) -> int:
    """Ask the backends about work whose reply was lost and report what they know; costs nothing.

    Args:
        job_id: As shown by jobs list. Default: all with an unknown outcome.
        json: Print JSON: {"data": [{"job", "status", "ref", "said"}, ...]}.
    """
    import asyncio

    from media_agent.cli.job_actions import reconcile

    return asyncio.run(reconcile(_find(job_id), json=json))


def settle_job(job_id: str, /, *, usd: Number, json: Flag = False) -> int:
    """Settle what a job of unknown outcome cost, as its provider's own page says.

    What the budgets hold for it is free again, but for that amount. Nothing else changes: the job
    can still be resumed.

    Args:
        job_id: As shown by jobs list; or the beginning of one, or last.
        usd: What the provider billed, in USD; 0: it never accepted it, or bills nothing.
        json: Print the job as JSON.
    """
    from datetime import UTC, datetime

    from media_agent.cli.arguments import read_number
    from media_agent_schemas.base import format_usd

    store = open_ledger()
    name = store.jobs.find(job_id)
    amount = read_number("usd", usd) or 0.0
    store.submissions.settle(name, amount, datetime.now(UTC))
    if json:
        write_json(store.jobs.get(name))
    else:
        write_stdout(f"{name}: settled with {format_usd(amount)} USD")
    return 0


def cancel_job(job_id: str, /, *, json: Flag = False) -> int:
    """Stop a job, in whichever process runs it, and at its backend.

    Args:
        job_id: As shown by jobs list; or the beginning of one, or last.
        json: Print JSON: {"data": [{"job", "status", "said"}]}.
    """
    import asyncio

    from media_agent.cli.job_actions import cancel

    return asyncio.run(cancel(find_job(job_id), json=json))


def remove_jobs(
    *job_ids: str, force: Flag = False, videos: Flag = False, json: Flag = False
) -> int:
    """Remove jobs from the list, with all their work files; what they cost still counts.

    Delivered videos and their records stay, unless --videos is given.

    Args:
        job_ids: As shown by jobs list; or the beginning of one, or last.
        force: Also jobs that could be resumed, and settled jobs of unknown outcome.
        videos: Remove their videos and records, too, if nobody has changed them.
        json: Print JSON: {"data": [{"job", "freed_bytes", "removed", "kept"}, ...]}.
    """
    import asyncio

    from media_agent.cli.job_actions import remove
    from media_agent.errors import InvalidRequestError

    if not job_ids:
        raise InvalidRequestError("no job to remove", hint="media-agent jobs rm JOB ...")
    found = tuple(dict.fromkeys(map(find_job, job_ids)))
    return asyncio.run(remove(found, force=force, videos=videos, json=json))


def _find(job_id: str | None) -> str | None:
    return None if job_id is None else find_job(job_id)
