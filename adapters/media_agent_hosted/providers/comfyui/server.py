"""The routes of a ComfyUI server that cost nothing: its queue, its history, its input folder."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from urllib.parse import quote

from media_agent.errors import BackendResponseError
from media_agent_hosted.http.client import HttpApi
from media_agent_hosted.http.inputs import read_medium
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.parsing.lenient import text
from media_agent_hosted.providers.comfyui.replies import (
    Past,
    Queued,
    is_queue,
    read_history,
    read_queue,
)
from media_agent_hosted.providers.comfyui.workflow import Workflow
from media_agent_schemas.media import MediaInput

_LARGEST_UPLOAD = 100 * 2**20  # bytes; what a server takes unless it was started otherwise
_NEWEST = 32  # entries of the history
_MOST_PARTS = 2**21  # of an answer in which each entry has its whole workflow, for the editor too
_LEVELS_TO_NAMES = 4  # the lists, the entries, the fields of each, and what those hold
_RESTS = 20  # times as long as it took, a queue is not asked again


class Server:
    """One server, asked about one workflow; `name` is the section of the settings it is from."""

    def __init__(
        self,
        api: HttpApi,
        workflow: Workflow,
        name: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._workflow = workflow
        self._name = name
        self._clock = clock
        self._queue: list[Queued] = []
        self._rests_until = 0.0

    async def find_queued(self, work: str) -> Queued | None:
        """Return some work in the queue, None: it is not there.

        A long queue takes seconds, and polls are many: where it was known to have this work, it is
        asked again only after some time.
        """
        known = next((each for each in self._queue if each.work == work), None)
        if known is not None and self._clock() < self._rests_until:
            return known
        return next((each for each in await self.queue() if each.work == work), None)

    async def queue(self) -> list[Queued]:
        """Return what runs and what waits; each entry comes with its workflow, which is dropped.

        Raises:
            BackendResponseError: it answers something else.
        """
        began = self._clock()
        reply = await self._api.send(
            "GET",
            "/queue",
            translate=self._not_comfyui,
            most_parts=_MOST_PARTS,
            most_levels=_LEVELS_TO_NAMES,
        )
        body = await asyncio.to_thread(reply.json)
        if not is_queue(body):
            raise reply.senseless("no queue of a ComfyUI server")
        now, self._queue = self._clock(), read_queue(body)
        self._rests_until = now + _RESTS * (now - began)
        return self._queue

    async def find_name(self, work: str) -> str | None:
        """Return what the server calls work under our name, which it may have changed; None: none.

        It is looked for in its history, in the queue, and among the newest of the history, where it
        then goes.
        """
        found: list[Queued | Past] = [*(await self.history(work)).values()]
        if not found:
            found += await self.queue()
        if not any(work in (each.work, each.key) for each in found):
            found += (await self.history()).values()
        return next((each.work for each in found if work in (each.work, each.key)), None)

    async def history(self, work: str | None = None) -> dict[str, Past]:
        """Return the entry of some work in the history, if it has one.

        None: the newest entries; only their names are for use.
        """
        path = f"?max_items={_NEWEST}" if work is None else f"/{quote(work, safe='')}"
        reply = await self._api.send(
            "GET",
            f"/history{path}",
            translate=self._not_comfyui,
            most_parts=_MOST_PARTS,
            most_levels=_LEVELS_TO_NAMES if work is None else None,
        )
        return read_history(await asyncio.to_thread(reply.json), self._workflow)

    async def remove(self, work: str) -> None:
        """Take waiting work out of the queue."""
        await self._api.send("POST", "/queue", json={"delete": [work]})

    async def interrupt(self, work: str) -> None:
        """Interrupt work that runs; an old server interrupts whatever runs."""
        await self._api.send("POST", "/interrupt", json={"prompt_id": work})

    async def upload(self, medium: MediaInput) -> str:
        """Put an input into the server's input folder; return what its nodes call it."""
        content, mime_type = await asyncio.to_thread(read_medium, medium, largest=_LARGEST_UPLOAD)
        name = f"media-agent-{hashlib.sha256(content).hexdigest()[:16]}.{mime_type.split('/')[1]}"
        reply = await self._api.send(
            "POST",
            "/upload/image",
            files={
                "image": (name, content, mime_type),
                "type": (None, b"input", None),
                "overwrite": (None, b"true", None),
            },
            translate=self._not_comfyui,
        )
        said = reply.object()
        stored, subfolder = text(said.get("name")), text(said.get("subfolder"))
        if stored is None:
            raise reply.senseless("no name of the file that was uploaded")
        return f"{subfolder}/{stored}" if subfolder else stored

    def _not_comfyui(self, reply: Reply) -> BackendResponseError | None:
        """Say what 404 means at an address that every server has: something else answers there."""
        if reply.status != 404:
            return None
        return BackendResponseError(
            f"{reply.host} does not answer as a ComfyUI server",
            hint=f"check backends.{self._name}.base_url",
        )
