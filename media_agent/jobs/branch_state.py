"""What a branch takes over from another video: the chunks before it, and the state after them."""

import shutil
from pathlib import Path

from media_agent.errors import MediaAgentError, NotResumableError, UnsupportedRequestError
from media_agent.ledger.ledger import Ledger
from media_agent.storage.files import numbered
from media_agent.storage.work_folder import link_chunks
from media_agent_schemas.capabilities import Capabilities, Origin
from media_agent_schemas.events import ChunkReady
from media_agent_schemas.jobs import ResumeToken, VideoJob


def check_origin(store: Ledger, origin: Origin, capabilities: Capabilities, work: Path) -> None:
    """Refuse a branch whose state cannot be had any more; `work` is the folder for all work.

    Raises:
        UnsupportedRequestError: the model cannot continue from a state.
        NotResumableError: the state is no longer kept.
    """
    if capabilities.resumable is not True or capabilities.extends is not True:
        raise UnsupportedRequestError(
            f"{capabilities.backend}/{capabilities.model} cannot continue from mid-video",
            hint="media-agent extend FILE continues any video from its end",
        )
    token = token_of(store, origin)
    state, folder = token.data.get("state"), work / str(token.key) / "states"
    if not isinstance(state, str) or (folder / state).exists():
        return
    last = whole_chunks(store, store.jobs.get(origin.job_id), capabilities)
    kept = [chunk for chunk in numbered(folder, ".safetensors") if chunk <= last]
    ways = ", ".join(map(str, kept)) or "none"
    raise NotResumableError(
        f"the state of job {origin.job_id} before chunk {origin.chunk} is no longer kept",
        hint=f"available: {ways}; the option keep_states keeps more",
    )


def link_parent(job: VideoJob, store: Ledger, work: Path) -> None:
    """Give a branch all that it shares with another video, whatever becomes of that one.

    Raises:
        NotResumableError: it is no longer kept; nothing of it was taken.
        StorageError: it cannot be written.
    """
    origin = job.plan.origin
    if origin is None:
        return
    token = token_of(store, origin)
    parent, own, state = work / str(token.key), work / job.id, token.data.get("state")
    try:
        link_chunks(parent, own, origin.chunk, videos=job.plan.request.n)
        if isinstance(state, str) and not (own / "states" / state).exists():
            raise NotResumableError(
                f"the state of job {origin.job_id} before chunk {origin.chunk} was just discarded",
                hint="branch at a later chunk",
            )
    except MediaAgentError:
        shutil.rmtree(own, ignore_errors=True)
        raise


def token_of(store: Ledger, origin: Origin) -> ResumeToken:
    """Return the token from which a branch continues; it names where chunks and state lie.

    Raises:
        NotResumableError: the video was made without tokens.
    """
    for event in chunks_of(store, store.jobs.get(origin.job_id)):
        if event.index == origin.chunk - 1 and event.resume is not None:
            key = event.resume.key or store.submissions.of(origin.job_id)[-1].key
            return event.resume.model_copy(update={"key": key})
    raise NotResumableError(
        f"job {origin.job_id} has no state before chunk {origin.chunk}",
        hint="its model may not be able to continue from the middle of a video",
    )


def chunks_of(store: Ledger, job: VideoJob) -> list[ChunkReady]:
    """Return the chunks that a job made itself, oldest first."""
    return [each.event for each in store.events.read(job.id) if isinstance(each.event, ChunkReady)]


def whole_chunks(store: Ledger, job: VideoJob, capabilities: Capabilities) -> int:
    """Return after how many chunks a video can be continued: not a last one that was cut."""
    lengths = [each.frames for each in chunks_of(store, job)]
    whole = max(lengths, default=0)
    if capabilities.chunk_seconds is not None and job.plan.request.fps is not None:
        whole = round(capabilities.chunk_seconds * job.plan.request.fps)
    return job.chunks_ready - (1 if lengths and lengths[-1] < whole else 0)
