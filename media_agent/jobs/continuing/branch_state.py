"""What a branch takes over from another video: the chunks before it, and the state after them.

A state that is no longer kept is made again: the video is resumed from the newest state before it,
or from its beginning, with the same prompts and the same seed.
"""

import shlex
import shutil
from pathlib import Path

from media_agent.errors import (
    JobNotFoundError,
    MediaAgentError,
    NotResumableError,
    UnsupportedRequestError,
)
from media_agent.ledger.ledger import Ledger
from media_agent.provenance.record import shots_of
from media_agent.storage.work_folder import count_chunks, link_chunks, state_name
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.events import ChunkReady
from media_agent_schemas.jobs import Replay, ResumeToken, VideoJob
from media_agent_schemas.plan import Origin
from media_agent_schemas.request import Shot, VideoRequest


def can_branch(capabilities: Capabilities) -> bool:
    """Return whether a model continues from a state, under another prompt."""
    continues = capabilities.resumable is True and capabilities.extends is True
    return continues and capabilities.max_shots != 1


def check_branches(capabilities: Capabilities, job: VideoJob | None = None) -> None:
    """Refuse a branch of a video whose model cannot go on from a state.

    Raises:
        UnsupportedRequestError: the model cannot continue from a state.
    """
    if not can_branch(capabilities):
        path = job.artifacts[0].path if job is not None and job.artifacts else None
        file = "FILE" if path is None else shlex.quote(str(path))
        raise UnsupportedRequestError(
            f"{capabilities.backend}/{capabilities.model} cannot continue from a saved state",
            hint=f"media-agent extend {file} PROMPT continues the video from its last frames, with "
            "a model that extends videos",
        )


def describe_replay(store: Ledger, origin: Origin, folder: Path) -> list[str]:
    """Say what is generated again before a branch begins; `folder` holds chunks and states."""
    token = token_of(store, origin, folder)
    if token is None or token.replay is None:
        return []
    first = 0
    while token is not None and token.replay is not None:
        token = token.replay.resume
        first = 0 if token is None else token.next_chunk
    what = "chunks" if origin.kept_chunks < origin.chunk else "the states of chunks"
    where = "the beginning" if first == 0 else f"the state kept after chunk {first}"
    return [
        f"{what} {first + 1} to {origin.chunk} are generated again, from {where}: job "
        f"{origin.job_id} no longer has the state after chunk {origin.chunk}"
    ]


def link_parent(job: VideoJob, store: Ledger, work: Path) -> None:
    """Give a branch all that it shares with another video, whatever becomes of that one.

    Raises:
        NotResumableError: it is no longer kept; nothing of it was taken.
        StorageError: it cannot be written.
    """
    origin = job.plan.origin
    if origin is None:
        return
    own = work / job.id
    try:
        parent = folder_of(store, origin.job_id, work)
        link_chunks(parent, own, origin.kept_chunks, videos=job.plan.request.n)
    except MediaAgentError:
        shutil.rmtree(own, ignore_errors=True)
        raise


def token_of(store: Ledger, origin: Origin, folder: Path) -> ResumeToken | None:
    """Return the token from which a branch continues; None: it starts from the beginning.

    `folder` holds the chunks and states that there are. Where the state is not among them, the
    token says how it is made again.

    Raises:
        NotResumableError: the video was made without tokens.
    """
    token = origin.resume or find_token(store, origin)
    if token is None or (origin.kept_chunks == origin.chunk and _is_kept(token, folder)):
        return token
    job = parent_of(store, origin)
    replay = Replay(
        request=_build_replayed(store, job),
        resume=_find_earlier(store, job, origin, folder),
        chunks=origin.kept_chunks,
    )
    return token.model_copy(update={"replay": replay})


def find_token(store: Ledger, origin: Origin) -> ResumeToken | None:
    """Return the token that a job has for a chunk, whether or not its state is kept.

    Raises:
        NotResumableError: the video was made without tokens, or was removed.
    """
    if origin.chunk == 0:
        return None
    job = parent_of(store, origin)
    tokens = _own_tokens(store, job)
    token = tokens.get(origin.chunk) or _token_between(tokens, origin.chunk)
    if token is None:
        raise NotResumableError(
            f"job {origin.job_id} has no state before chunk {origin.chunk}",
            hint="its model may not be able to continue from the middle of a video",
        )
    return token.model_copy(update={"key": token.key or _key_of(store, job)})


def parent_of(store: Ledger, origin: Origin) -> VideoJob:
    """Return the job that another one branches from.

    Raises:
        NotResumableError: it was removed.
    """
    try:
        return store.jobs.get(origin.job_id)
    except JobNotFoundError as error:
        raise NotResumableError(
            f"job {origin.job_id}, which made the first {origin.chunk} chunks, was removed",
            hint="branch at a later chunk, or generate the whole video again",
        ) from error


def is_whole(store: Ledger, job: VideoJob, work: Path) -> bool:
    """Return whether a branch has all that it shares with another video, and can do without it."""
    origin = job.plan.origin
    if origin is None or origin.resume is None:
        return origin is None
    folder = folder_of(store, job.id, work)
    return count_chunks(folder) >= origin.chunk and _is_kept(origin.resume, folder)


def folder_of(store: Ledger, job_id: str, work: Path) -> Path:
    """Return where the chunks and states of a job lie; `work` is the folder for all work."""
    return work / _key_of(store, store.jobs.get(job_id))


def count_kept(store: Ledger, job: VideoJob, at: int, work: Path) -> int:
    """Return how many of the first `at` chunks of a video are still there."""
    return min(at, count_chunks(folder_of(store, job.id, work)))


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


def sent_shots(store: Ledger, job: VideoJob, frames: int) -> list[Shot]:
    """Return the shots of the first frames of a video as they were made, also if it was steered."""
    return [
        Shot(prompt=shot.prompt_sent, duration=(shot.end or 0.0) - shot.start)
        for shot in shots_of(job, store.events.read(job.id), frames)
    ]


def _key_of(store: Ledger, job: VideoJob) -> str:
    last = store.submissions.last(job.id)
    return job.id if last is None else last.key


def _own_tokens(store: Ledger, job: VideoJob) -> dict[int, ResumeToken]:
    """Return the tokens that a job has, by the chunk after each: where it began, and its own."""
    tokens = {}
    if job.plan.origin is not None and job.plan.origin.resume is not None:
        start = job.plan.origin.resume.model_copy(update={"key": None})
        tokens[start.next_chunk] = start
    chunks = chunks_of(store, job)
    return tokens | {each.index + 1: each.resume for each in chunks if each.resume is not None}


def _token_between(tokens: dict[int, ResumeToken], chunk: int) -> ResumeToken | None:
    """Return the token of a chunk after which no state was written, where others were."""
    other = next((each for each in tokens.values() if "state" in each.data), None)
    if other is None or other.data["state"] != state_name(other.next_chunk):
        return None
    data = {**other.data, "state": state_name(chunk)}
    return other.model_copy(update={"next_chunk": chunk, "data": data, "replay": None})


def _is_kept(token: ResumeToken, folder: Path) -> bool:
    """Whether the state of a token is there; not every model needs one."""
    state = token.data.get("state")
    return not isinstance(state, str) or (folder / "states" / state).exists()


def _find_earlier(store: Ledger, job: VideoJob, origin: Origin, folder: Path) -> ResumeToken | None:
    """Return from where a job's video is resumed to make a later state again; None: its start."""
    last = min(origin.kept_chunks, origin.chunk - 1)
    tokens = _own_tokens(store, job)
    usable = (at for at in tokens if at <= last and _is_kept(tokens[at], folder))
    newest = max(usable, default=None)
    if newest is not None:
        return tokens[newest]
    base = job.plan.origin
    if base is None or base.chunk == 0:
        return None
    kept = min(origin.kept_chunks, base.chunk)
    return token_of(store, base.model_copy(update={"kept_chunks": kept}), folder)


def _build_replayed(store: Ledger, job: VideoJob) -> VideoRequest:
    """Return the request of a video as it was made, also where it was steered."""
    sent = job.plan.request
    frames = sent.num_frames or job.frames_ready
    shots = sent_shots(store, job, frames)
    if sent.endless:
        shots[-1] = shots[-1].model_copy(update={"duration": None})
    changes: dict[str, object] = {"prompt": None, "shots": tuple(shots), "duration": None}
    return VideoRequest.model_validate(dict(sent) | changes)
