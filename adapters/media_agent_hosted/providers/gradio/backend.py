"""A Gradio app: one of its endpoints makes videos, and the settings say what its parameters get.

The call lives in this process: `gradio_client` hears the app while it works, and nobody else can
ask for it later. So what is lost is of unknown outcome, and nothing is ever sent twice.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from pathlib import Path

from pydantic import JsonValue

from media_agent.backend.declaration import find_first_frame, placeholder_values
from media_agent.backend.local import describe_missing
from media_agent.backend.polled import QUEUED, PolledBackend, sending
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendResponseError,
    BackendUnavailableError,
    ConfigurationError,
    Fault,
    InvalidRequestError,
    OperationNotFoundError,
    SubmitUncertainError,
    to_info,
)
from media_agent.redact import redact
from media_agent.storage.files import checked_key
from media_agent.storage.network import TROUBLE, reason_of
from media_agent.video.probe import describe as describe_video
from media_agent_hosted.base.service import Connection
from media_agent_hosted.http.auth import written_header
from media_agent_hosted.http.client import Transport
from media_agent_hosted.http.inputs import read_medium
from media_agent_hosted.parsing.lenient import trim
from media_agent_hosted.providers.gradio.bounds import in_daemon_thread
from media_agent_hosted.providers.gradio.caller import Caller
from media_agent_hosted.providers.gradio.errors import error_of_end
from media_agent_hosted.providers.gradio.options import GradioOptions, build_arguments
from media_agent_hosted.providers.gradio.outputs import find_video
from media_agent_hosted.providers.gradio.session import Session, file_argument
from media_agent_schemas.capabilities import CancelRule, Capabilities
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.events import (
    BackendEvent,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
)
from media_agent_schemas.facts import Verification, VerificationLevel
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.request import VideoRequest

__all__ = ["GradioBackend"]

_LARGEST_UPLOAD = 100 * 2**20  # bytes
_STOP_SECONDS = 5.0  # that an app gets to answer a cancel when this process ends
_REMEMBERED = 20  # calls whose end was told and may be asked for again


class GradioBackend(PolledBackend):
    """Meets the `VideoBackend` protocol for one endpoint of one app."""

    kind = "gradio"
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
        """Read the settings; nothing is sent.

        Raises:
            ConfigurationError: they are faulty.
        """
        super().__init__(settings, clock=clock, sleep=sleep)
        self._options = settings.read_options(GradioOptions)
        connection = Connection(
            _base_url(settings),
            auth=written_header(settings.key, self._options.auth),
            allow_plain_http=self._options.allow_plain_http or settings.key is None,
            timeout_seconds=self._options.timeout_seconds,
        )
        self._api = connection.open(settings.secrets, transport=transport, sleep=sleep)
        self._caller = Caller(self.name, self._api.host, connection, self._options, self._secrets)
        self._model = settings.model or self._options.endpoint.strip("/")
        self._absent = describe_missing("gradio", "gradio_client")
        self._sessions: dict[str, Session] = {}
        self._reached: dict[str, float] = {}
        self._told: dict[str, None] = {}  # whose end was told, in order

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what the declaration says."""
        if model not in (None, self._model):
            raise InvalidRequestError(
                f"{self.name} has no model {model!r}", hint=f"there is {self._model}"
            )
        missing = self.settings.missing_key() if self.settings.names_key else None
        facts = {
            "reads_urls": False,
            "cancel_rule": CancelRule.UNKNOWN,  # a function that runs may run to its end
            "local": self._api.is_here,
            "missing": self._absent or missing,
            "verification": _VERIFICATION,
        }
        declared = self._options.capabilities(self.kind, self.name, self._model)
        return declared.model_copy(update=facts)

    def estimate(self, request: VideoRequest) -> Estimate:
        """Return the declared price; None where none was declared."""
        return self._options.estimate(request)

    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        """Call the endpoint, once, and wait until the app says that it took the call on."""
        if self._absent is not None:
            raise BackendUnavailableError(f"{self.name} needs {self._absent}")
        arguments = await asyncio.to_thread(self._arguments, request, key)
        caller = self._caller
        session = await caller.connect(arguments)
        try:
            with sending():
                name = await caller.call(session, arguments)
        except BaseException:
            await in_daemon_thread(session.close)
            raise
        self._sessions[name] = session
        return OperationRef(
            backend=self.name, model=self._model, operation_id=name, data={"seed": request.seed}
        )

    async def status(self, ref: OperationRef) -> BackendEvent:
        """Look at the call; fetch its video once it is over.

        Raises:
            OperationNotFoundError: another process made the call.
        """
        session = self._sessions.get(ref.operation_id)
        if session is None:
            raise OperationNotFoundError(
                f"only the process that called {self._api.host} hears what becomes of it",
                hint="look at the app itself, and call it again if you want to",
            )
        if not session.is_over:
            return self._say_progress(ref.operation_id, session)
        await in_daemon_thread(session.close)
        end: JobCompleted | JobFailed | JobCancelled | JobOutcomeUnknown
        error = session.error()
        if error is not None:
            end = self._end_of(error, session, ref)
        else:
            end = await self._collect(session, ref)
        self._forget_old(ref.operation_id)
        return end

    async def cancel_once(self, ref: OperationRef) -> None:
        """Ask the app to stop; a function that runs already may run to its end there."""
        session = self._sessions.get(ref.operation_id)
        if session is None or session.is_over:
            return
        try:
            async with asyncio.timeout(self._options.timeout_seconds):
                await in_daemon_thread(session.cancel)
        except TROUBLE as error:
            raise BackendUnavailableError(
                f"{self._api.host} could not be asked to stop ({self._redact(reason_of(error))})"
            ) from None

    async def aclose(self) -> None:
        """Close the connections, and cancel what is not over: nobody can hear of it any more."""
        await super().aclose()
        for session in tuple(self._sessions.values()):
            if not session.is_over:
                with contextlib.suppress(*TROUBLE):
                    async with asyncio.timeout(_STOP_SECONDS):
                        await in_daemon_thread(session.cancel)
            await in_daemon_thread(session.close)
        await self._api.aclose()

    def _forget_old(self, work: str) -> None:
        """Forget what ended long before this work."""
        self._told[work] = None
        for old in list(self._told)[:-_REMEMBERED]:
            del self._told[old]
            self._sessions.pop(old, None)
            self._reached.pop(old, None)

    def _say_progress(self, work: str, session: Session) -> JobProgressed:
        look = session.look()
        message = None if look.message is None else trim(self._redact(look.message))
        if look.is_waiting:
            return JobProgressed(phase=QUEUED, message=message)
        if look.fraction is not None:  # an app may show several bars, one after the other
            self._reached[work] = max(look.fraction, self._reached.get(work, 0.0))
        return JobProgressed(phase="running", fraction=self._reached.get(work), message=message)

    def _end_of(
        self, error: BaseException, session: Session, ref: OperationRef
    ) -> JobFailed | JobCancelled | JobOutcomeUnknown:
        """Return the end of a call that gave nothing: only the app's own word is a failure."""
        if session.is_cancelled and isinstance(error, CancelledError):
            return JobCancelled(model=ref.model)
        why = error_of_end(error, self._api.host, self._secrets)
        if isinstance(why, SubmitUncertainError):
            return JobOutcomeUnknown(error=to_info(why), model=ref.model)
        return JobFailed(error=to_info(why), model=ref.model)

    async def _collect(
        self, session: Session, ref: OperationRef
    ) -> JobCompleted | JobOutcomeUnknown:
        """Fetch the video that the call gave; the key goes to the app's own origin only."""
        address = find_video(session.result(), self._options.result, session.files_url)
        if address is None:
            missing = BackendResponseError(
                f"{self._options.endpoint} of {self._api.host} ended and gave no video",
                hint="say with the option result which of its outputs the video is",
            )
            return JobOutcomeUnknown(error=to_info(missing), model=ref.model)
        path = self.video_path(ref)
        await self._api.download(address, path, asked="/")
        seed = ref.data.get("seed")
        return JobCompleted(
            artifacts=(await asyncio.to_thread(describe_video, path),),
            model=ref.model,
            seed=seed if isinstance(seed, int) else None,
            verification=_VERIFICATION,
        )

    def _arguments(self, request: VideoRequest, key: str) -> dict[str, JsonValue]:
        """Return the arguments of the call; an image is put where the library reads it from."""
        values = placeholder_values(request, self._model)
        values["first_frame"] = None
        medium = find_first_frame(request)
        if medium is not None:
            content, mime_type = read_medium(medium, largest=_LARGEST_UPLOAD)
            folder = self.settings.data_dir / "work" / checked_key(key)
            folder.mkdir(parents=True, exist_ok=True)
            path = Path(folder, f"first_frame.{mime_type.partition('/')[2]}")
            path.write_bytes(content)
            values["first_frame"] = file_argument(path)
        return build_arguments(self._options.parameters, values)

    @property
    def _secrets(self) -> frozenset[str]:
        keys = (*self.settings.secrets, *([self.settings.key] if self.settings.key else []))
        return frozenset(key.get_secret_value() for key in keys)

    def _redact(self, said: str) -> str:
        return redact(said, self._secrets)


_VERIFICATION = Verification(
    level=VerificationLevel.SIMULATOR, note="against a simulator, and once a Gradio 6.31 app"
)


def _base_url(settings: BackendSettings) -> str:
    if settings.base_url is None:
        fault = Fault(("backends", settings.name, "base_url"), "it is missing: where is the app?")
        raise ConfigurationError(f"{'.'.join(fault.place)}: {fault.problem}", faults=[fault])
    return settings.base_url
