"""Brings a video that a backend made to this machine, from where the backend says that it is."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from media_agent.errors import BackendError, BackendResponseError
from media_agent.jobs.context import JobContext
from media_agent.jobs.stopping import while_wanted
from media_agent_schemas.events import TerminalEvent
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import Artifact, ArtifactKind


class VideoFetcher:
    """Fetches the videos of a job into its work folder."""

    def __init__(
        self,
        job: VideoJob,
        backend: str,
        context: JobContext,
        *,
        is_unwanted: Callable[[], bool],
        ask_again: Callable[[], Awaitable[TerminalEvent | None]] | None,
    ) -> None:
        """Begin; `is_unwanted` is asked while a video is fetched.

        `ask_again` returns the end as the backend says it now: addresses of videos expire.
        """
        self._job = job
        self._backend = backend
        self._context = context
        self._is_unwanted = is_unwanted
        self._ask_again = ask_again

    async def fetch(self, video: Artifact, number: int) -> tuple[Artifact, str | None]:
        """Fetch a video; where that fails, from the address that its backend says now.

        Returns the video as a file here, and its digest if it was fetched: then it is whole, too.

        Raises:
            BackendError: it is nowhere to be had; also if nobody wants the job any longer.
        """
        try:
            return await self._fetch_from(video, number)
        except BackendError:
            fresh = await self._find_fresh(video, number)
            if fresh is None:
                raise
        return await self._fetch_from(fresh, number)

    async def _find_fresh(self, video: Artifact, number: int) -> Artifact | None:
        """Return a video at another address, if its backend says one; None: it does not."""
        if self._ask_again is None or self._is_unwanted() or video.uri is None:
            return None
        try:
            end = await self._ask_again()
        except BackendError:
            return None
        videos = [] if end is None else [file for file in end.artifacts if is_video(file)]
        fresh = videos[number - 1] if len(videos) >= number else None
        return None if fresh is None or fresh.uri == video.uri else fresh

    async def _fetch_from(self, video: Artifact, number: int) -> tuple[Artifact, str | None]:
        """Return a video that is here, and its digest if it was fetched: then it is whole, too."""
        if video.path is not None or video.uri is None:
            return video, None
        path = self._context.work_folder / self._job.id / f"fetched-{number}.mp4"
        from media_agent.ingest.download import fetch

        named_by = self._context.base_url(self._backend)
        fetching = fetch(
            video.uri,
            path,
            named_by=named_by,
            size_bytes=video.size_bytes,
            sleep=self._context.sleep,
        )
        try:
            fetched = await while_wanted(fetching, self._is_unwanted)
        except BackendError as error:
            if video.expires_at is None or video.expires_at > self._context.now():
                raise
            raise BackendResponseError(
                f"{error.message}; its address expired at {_minute(video.expires_at)}",
                hint=f"look for it at {self._backend}",
            ) from error
        if video.sha256 not in (None, fetched.sha256):
            raise BackendResponseError("the video received is not the one that was announced")
        is_kept = "://" in video.uri and self._context.without_keys(video.uri) == video.uri
        place = {"path": str(path), "uri": video.uri if is_kept else None}
        return video.model_copy(update=place), fetched.sha256

    def to_look_at(self, video: Artifact) -> Artifact:
        """Return a video that is not here, its address without keys: a later run asks for it."""
        told = self._context.without_keys(video.uri or "")
        return video.model_copy(update={"uri": told or None})


def is_video(artifact: Artifact) -> bool:
    """Return whether an artifact is a video, a part of one too."""
    return artifact.kind in (ArtifactKind.VIDEO, ArtifactKind.PARTIAL_VIDEO)


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M %Z}"
