"""What a run shares with other machines, so that each of them can continue or show a video."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from media_agent.errors import StorageError
from media_agent.jobs.context import JobContext
from media_agent_schemas.events import Delivery
from media_agent_schemas.jobs import VideoJob

_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds between attempts to share something


class Sharing:
    """The files of one job at the place that machines share; without such a place, nothing."""

    def __init__(self, job_id: str, context: JobContext) -> None:
        self._job_id = job_id
        self._context = context
        self._store = context.store
        self._files = context.files

    async def send_inputs(self) -> None:
        """Share the inputs that came with the job, for whichever machine works on it.

        Raises:
            StorageError: they cannot be written there.
        """
        if self._files is not None:
            inputs = dict(self._list_inputs())
            await asyncio.to_thread(self._files.publish, self._job_id, inputs)

    async def load(self) -> None:
        """Bring the inputs of the job here, and what is needed to continue its video.

        Raises:
            StorageError: it cannot be read there, or written here.
        """
        if self._files is not None:
            for name, path in self._list_inputs():
                if not path.exists():
                    await asyncio.to_thread(self._files.fetch, self._job_id, name, path)
        token = self._store.events.resume_token(self._job_id)
        last = self._store.submissions.last(self._job_id)
        if self._files is not None and token is not None and last is not None:
            work = self._context.work_folder / last.key
            load = partial(self._files.load_work, next_chunk=token.next_chunk)
            await asyncio.to_thread(load, last.key, work)

    async def save(self, key: str) -> None:
        """Share the chunks and states made so far; what cannot be shared is tried again.

        Raises:
            StorageError: it still cannot.
            OwnershipLostError: another process took the job over, and shares what it makes.
        """
        if self._files is not None:
            await self._try(partial(self._files.save_work, key, self._context.work_folder / key))

    async def publish(self, end: object) -> None:
        """Share what was delivered, with its record; raises as `save` does."""
        if self._files is None or not isinstance(end, Delivery) or not end.artifacts:
            return
        record = self._store.jobs.get(self._job_id).record_path
        named = [each.path for each in end.artifacts] + [record]
        by_name = {Path(path).name: Path(path) for path in named if path is not None}
        await self._try(partial(self._files.publish, self._job_id, by_name))

    async def clean_up(self) -> None:
        """Remove what was only needed to continue the video; raises as `save` does."""
        if self._files is not None:
            for submission in self._store.submissions.of(self._job_id):
                await self._try(partial(self._files.remove_work, submission.key))

    async def bring(self, job: VideoJob) -> VideoJob:
        """Return a finished job with its files on this machine: brought here from elsewhere.

        A video that was to go to a place is brought there, any other to the job's folder. What is
        nowhere to be found stays as it is said.

        Raises:
            StorageError: it cannot be read there, or written here.
        """
        if self._files is None or not job.status.is_terminal:
            return job
        out = self._store.jobs.terms(job.id).out

        async def here(path: str | None) -> str | None:
            if path is None or await asyncio.to_thread(Path(path).exists):
                return path
            folder = self._store.jobs.folder(job.id) if out is None else out.parent
            target = folder / Path(path).name
            if self._files is not None and not target.exists():
                await asyncio.to_thread(self._files.fetch, job.id, target.name, target)
            return str(target) if target.exists() else path

        artifacts = [
            each.model_copy(update={"path": await here(each.path)}) for each in job.artifacts
        ]
        record = await here(job.record_path)
        return job.model_copy(update={"artifacts": tuple(artifacts), "record_path": record})

    def _list_inputs(self) -> Iterator[tuple[str, Path]]:
        """Yield the inputs in folders of the job, whose paths we chose, with their shared names."""
        for text, digest in self._store.jobs.terms(self._job_id).inputs.items():
            path = Path(text)
            if self._job_id in path.parts:
                yield f"{digest}{path.suffix}", path

    async def _try(self, share: Callable[[], None]) -> None:
        for pause in _PAUSES:
            self._store.owners.check(self._job_id)
            try:
                return await asyncio.to_thread(share)
            except StorageError as error:
                self._store.jobs.warn(self._job_id, f"{error.message}; it is tried again")
                await self._context.sleep(pause)
        self._store.owners.check(self._job_id)
        return await asyncio.to_thread(share)
