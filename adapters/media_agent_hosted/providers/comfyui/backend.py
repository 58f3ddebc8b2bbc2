"""A ComfyUI server of your own: it runs a workflow whose slots are filled from the request.

A workflow is submitted once, under a name of ours: if the reply is lost, queue and history tell
whether it was accepted. What the queue and the history say is the truth; the websocket adds how far
it is. A server that was restarted knows nothing of its work, and says so.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime
from functools import partial
from urllib.parse import urlencode

from pydantic import JsonValue

from media_agent.backend.inputs import check_inputs
from media_agent.backend.polled import QUEUED, PolledBackend
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendResponseError,
    GenerationFailedError,
    InvalidRequestError,
    OperationNotFoundError,
    to_info,
)
from media_agent.video.probe import describe as describe_video
from media_agent_hosted.base.calls import Call
from media_agent_hosted.base.service import Connection
from media_agent_hosted.base.submit import submit
from media_agent_hosted.http.auth import written_header
from media_agent_hosted.http.client import Transport
from media_agent_hosted.parsing.lenient import trim
from media_agent_hosted.providers.comfyui.collect import collect
from media_agent_hosted.providers.comfyui.facts import describe
from media_agent_hosted.providers.comfyui.options import read_setup
from media_agent_hosted.providers.comfyui.outputs import Output, find_output
from media_agent_hosted.providers.comfyui.progress import Progress, listening
from media_agent_hosted.providers.comfyui.replies import (
    KEY_FIELD,
    Past,
    Queued,
    State,
    node_problems,
    refusal,
)
from media_agent_hosted.providers.comfyui.server import Server
from media_agent_hosted.providers.comfyui.values import build_values
from media_agent_schemas.capabilities import FALLBACK_FPS, Capabilities
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.events import (
    BackendEvent,
    Cost,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
    TerminalEvent,
)
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.request import VideoRequest

__all__ = ["ComfyBackend"]

_ADDRESS = "http://127.0.0.1:8188"
_GONE = 3  # polls in a row that do not know the work, before that is believed
_NO_PRICE = "your own server"


class ComfyBackend(PolledBackend):
    """Meets the `VideoBackend` protocol for one workflow on one server."""

    kind = "comfyui"
    bills = False
    tells_when_sending = True
    poll_seconds = 1.0
    longest_poll_seconds = 2.0

    def __init__(
        self,
        settings: BackendSettings,
        *,
        transport: Transport | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Read the settings and the workflow; nothing is sent.

        Raises:
            ConfigurationError: an option is wrong, or names what the workflow does not have.
        """
        super().__init__(settings, clock=clock, sleep=sleep)
        self._setup = read_setup(settings)
        options = self._setup.options
        connection = Connection(
            settings.base_url or _ADDRESS,
            auth=written_header(settings.key, options.auth),
            allow_plain_http=options.allow_plain_http or settings.key is None,
            timeout_seconds=options.timeout_seconds,
        )
        self._api = connection.open(settings.secrets, transport=transport, sleep=sleep)
        self._server = Server(self._api, self._setup.workflow, self.name)
        self._facts = describe(self._setup, self.kind, self.name)
        self._progress: dict[str, Progress] = {}
        self._missed: dict[str, int] = {}

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what the workflow can do, by its slots."""
        if model not in (None, self._setup.name):
            raise InvalidRequestError(
                f"{self.name} has no workflow {model!r}", hint=f"it has {self._setup.name}"
            )
        missing = self.settings.missing_key() if self.settings.names_key else None
        return self._facts.model_copy(update={"local": self._api.is_here, "missing": missing})

    def estimate(self, request: VideoRequest) -> Estimate:
        """Say that one's own hardware has no price; how long it takes nobody knows."""
        return Estimate(cost_usd=0.0, source=_NO_PRICE)

    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        """Upload the inputs, and send the filled workflow, once."""
        check_inputs(request, self._facts)
        work, workflow = _work_name(key), self._setup.workflow
        uploads = {each.role.value: await self._server.upload(each) for each in request.inputs}
        options = request.options.get(self.name, {})
        graph = workflow.fill(build_values(self._setup, request, uploads, options))
        body: dict[str, JsonValue] = {
            "prompt": graph,
            "prompt_id": work,
            "client_id": work,
            "extra_data": {KEY_FIELD: work},
        }
        name, reply = await submit(
            self._api,
            Call("POST", "/prompt", json=body),
            place="prompt_id",
            missing="without a prompt_id",
            translate=partial(refusal, workflow=workflow),
        )
        warnings = [f"left out there: {each}" for each in node_problems(reply, workflow)]
        return self._ref(request, name, work, warnings)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Look for work under our name in the queue, and in the history, where it then goes."""
        known = await super().find(request, key=key, since=since)
        if known is not None:
            return known
        work = _work_name(key)
        name = await self._server.find_name(work)
        if name is None:
            return None
        ref = self._ref(request, name, work, [])
        return self._stamped(ref, key, since.timestamp(), self._deadline(request))

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        """Poll until the end, and listen meanwhile to how far it is."""
        work = ref.operation_id
        titles = {
            name: node.title or node.kind for name, node in self._setup.workflow.nodes.items()
        }
        progress = self._progress.setdefault(work, Progress(work, titles))
        client = str(ref.data.get("client", work))
        address = f"{self._api.below_base('/ws')}?{urlencode({'clientId': client})}"
        async with (
            listening(progress, address, self._api.key_headers(), self._sleep),
            aclosing(super().observe(ref)) as events,
        ):
            async for event in events:
                if isinstance(event, TerminalEvent):
                    self._progress.pop(work, None)
                yield event

    async def status(self, ref: OperationRef) -> BackendEvent:
        """Look for work in the history and in the queue, which may be long and comes as a whole."""
        work = ref.operation_id
        past = (await self._server.history(work)).get(work)
        if past is None:
            queued = await self._server.find_queued(work)
            if queued is not None:
                self._missed.pop(work, None)
                return self._say_progress(ref, queued)
            past = (await self._server.history(work)).get(work)  # it may have ended in between
        if past is None:
            return self._say_gone(ref)
        self._missed.pop(work, None)
        return await self._end(ref, past)

    async def cancel_once(self, ref: OperationRef) -> None:
        """Take work out of the queue; interrupt it where it is what runs."""
        work = ref.operation_id
        queued = next((each for each in await self._server.queue() if each.work == work), None)
        if queued is None:
            return
        if queued.position == 0:
            await self._server.interrupt(work)
        else:
            await self._server.remove(work)
            self._missed[work] = _GONE - 1  # that it is nowhere is believed at once

    async def aclose(self) -> None:
        """Close the connections; the server continues its work."""
        await super().aclose()
        await self._api.aclose()

    def _say_progress(self, ref: OperationRef, queued: Queued) -> JobProgressed:
        if queued.position > 0:
            said = f"number {queued.position} in the queue of {self._api.host}"
            return JobProgressed(phase=QUEUED, message=said)
        progress = self._progress.get(ref.operation_id)
        if progress is None:
            return JobProgressed(phase="running")
        return JobProgressed(phase="running", fraction=progress.fraction, message=progress.message)

    def _say_gone(self, ref: OperationRef) -> JobProgressed:
        """Say that the server does not know the work, until it did so often enough.

        Raises:
            OperationNotFoundError: it is believed.
        """
        work, host = ref.operation_id, self._api.host
        self._missed[work] = self._missed.get(work, 0) + 1
        if self._missed[work] < _GONE:
            said = f"{host} has {work} neither in its queue nor in its history: it is asked again"
            return JobProgressed(phase="unknown", message=said)
        del self._missed[work]
        raise OperationNotFoundError(
            f"{host} has {work} neither in its queue nor in its history: it was restarted, or its "
            "history was cleared",
            hint="your own server charges nothing: submit it again; if it was finished by then, "
            "its file is in the output folder there",
        )

    async def _end(self, ref: OperationRef, past: Past) -> BackendEvent:
        """Return the end of work by the history; a state that is not known there is no failure."""
        if past.state is State.INTERRUPTED:
            return JobCancelled(model=ref.model, cost=_no_cost())
        if past.state is State.FAILED:
            failed = GenerationFailedError(
                f"the workflow failed on {self._api.host} at {past.why}",
                hint="the terminal of the server says more",
            )
            return JobFailed(error=to_info(failed), model=ref.model, cost=_no_cost())
        output = find_output(past.outputs, self._setup.output)
        if output is not None:
            return await self._collect(ref, output)
        if past.state is State.UNKNOWN:
            return JobProgressed(phase=trim(past.word))
        nodes = ", ".join(map(self._setup.workflow.describe, past.outputs)) or "no node"
        where = "" if self._setup.output is None else " at the node in the option output"
        missing = BackendResponseError(
            f"the workflow ended on {self._api.host} and saved no video{where}; "
            f"what saved anything: {nodes}",
            hint="let it end with a node that saves, such as SaveVideo",
        )
        return JobOutcomeUnknown(error=to_info(missing), model=ref.model, cost=_no_cost())

    async def _collect(self, ref: OperationRef, output: Output) -> JobCompleted:
        """Fetch the video, or the images that it is made of."""
        path, fps = self.video_path(ref), ref.data.get("fps")
        rate = float(fps) if isinstance(fps, int | float) else FALLBACK_FPS
        await collect(self._api, output, path, fps=rate)
        warnings = ref.data.get("warnings")
        said = tuple(map(str, warnings)) if isinstance(warnings, list) else ()
        if output.others:
            nodes = ", ".join(map(self._setup.workflow.describe, output.others))
            said += (f"the workflow saved several videos; also {nodes}: the option output chooses",)
        seed = ref.data.get("seed")
        return JobCompleted(
            artifacts=(await asyncio.to_thread(describe_video, path),),
            model=ref.model,
            seed=seed if isinstance(seed, int) else None,
            cost=_no_cost(),
            verification=self._facts.verification,
            warnings=said,
        )

    def _ref(
        self, request: VideoRequest, name: str, client: str, warnings: list[str]
    ) -> OperationRef:
        data: dict[str, JsonValue] = {
            "seed": request.seed,
            "fps": request.fps,
            "warnings": [*warnings],
            "client": client,  # whom the server tells of the work, whatever it calls it
        }
        return OperationRef(backend=self.name, model=self._setup.name, operation_id=name, data=data)


def _work_name(key: str) -> str:
    """Return the name that work under our key has on the server; the same in every process."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"media-agent:{key}"))


def _no_cost() -> Cost:
    return Cost(usd=0.0, source=_NO_PRICE)
