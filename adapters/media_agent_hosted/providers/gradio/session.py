"""One call of a Gradio app through `gradio_client`, which works in threads of its own.

The library is kept from what it would do by itself: send the token of Hugging Face that this
machine has stored, tell Hugging Face which app is called, follow an app to another origin, and
download files.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from pydantic import JsonValue

from media_agent_hosted.providers.gradio.bounds import BoundedOrigin, DaemonExecutor

_LOOK = 0.02  # seconds between two looks whether a call was taken on
_WAITING = ("STARTING", "JOINING_QUEUE", "IN_QUEUE", "SENDING_DATA")


class _Unit(Protocol):
    index: float | None
    length: float | None
    progress: float | None
    desc: str | None


class _Update(Protocol):
    code: Enum
    rank: int | None
    queue_size: int | None
    progress_data: Sequence[_Unit] | None


class _Communicator(Protocol):
    event_id: str | None


class _Job(Protocol):
    """What is used of a job of gradio_client."""

    communicator: _Communicator

    def done(self) -> bool: ...
    def status(self) -> _Update: ...
    def result(self, timeout: float | None = None) -> JsonValue: ...
    def exception(self, timeout: float | None = None) -> BaseException | None: ...
    def cancel(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Look:
    """How far a call is."""

    is_waiting: bool
    fraction: float | None
    message: str | None


class Session:
    """A connection to an app, and the one call that is made over it; every method may block."""

    def __init__(self, base_url: str, origin: BoundedOrigin) -> None:
        """Connect: read what the app is and which endpoints it has.

        Raises:
            Exception: what the library and httpx raise.
        """
        from gradio_client import Client

        class QuietClient(Client):  # type: ignore[misc]  # the library has no types
            def _telemetry_thread(self) -> None:
                """Tell nobody which app is called."""

        self._client = QuietClient(
            base_url,
            token=False,
            verbose=False,
            download_files=False,
            analytics_enabled=False,
            httpx_kwargs={"auth": origin, "timeout": origin.timeout_seconds},
        )
        for pool in ("executor", "helper_executor", "stream_executor"):
            setattr(self._client, pool, DaemonExecutor())
        self._origin = origin
        self._job: _Job | None = None
        self.is_cancelled = False

    @property
    def files_url(self) -> str:
        """What stands before the path of a file in the address that gives it."""
        return f"{self._client.src_prefixed}file="

    def read_api(self) -> JsonValue:
        """Return what the app says of its endpoints and their parameters."""
        api: JsonValue = self._client.view_api(print_info=False, return_format="dict")
        return api

    def call(self, endpoint: str, arguments: Mapping[str, JsonValue]) -> None:
        """Start the call; whether it was accepted shows later."""
        self._job = self._client.submit(api_name=endpoint, **arguments)

    def wait_for_name(self, seconds: float) -> str | None:
        """Return the app's name for the call, once it took it on; None: it did not say so."""
        ends_at = time.monotonic() + seconds
        while not self._known.communicator.event_id and not self.is_over:
            if time.monotonic() >= ends_at:
                break
            time.sleep(_LOOK)
        return self._known.communicator.event_id

    @property
    def is_over(self) -> bool:
        """Whether it ended, in whatever way."""
        return self._known.done()

    def look(self) -> Look:
        """Return how far the call is."""
        update = self._known.status()
        units = update.progress_data or ()
        unit = units[-1] if units else None
        if update.code.name in _WAITING:
            return Look(True, None, _place(update))
        return Look(False, _fraction(unit), None if unit is None else unit.desc)

    def error(self) -> BaseException | None:
        """Return why a call that is over gave nothing; None: it gave something."""
        try:
            return self._known.exception(timeout=0)
        except CancelledError as error:
            return error

    def result(self) -> JsonValue:
        """Return what a call that is over gave."""
        return self._known.result(timeout=0)

    def cancel(self) -> None:
        """Ask the app to stop."""
        self.is_cancelled = True
        self._known.cancel()

    def close(self) -> None:
        """End the threads that do not end by themselves."""
        self._origin.is_closed = True
        self._client.close()

    @property
    def _known(self) -> _Job:
        assert self._job is not None, "call first"
        return self._job


def file_argument(path: Path) -> JsonValue:
    """Return what stands for a file in the arguments; it is uploaded when the call is made."""
    from gradio_client import handle_file

    found: dict[str, JsonValue] = handle_file(str(path))
    return found


def _place(update: _Update) -> str | None:
    if update.rank is None:
        return None
    total = f" of {update.queue_size}" if update.queue_size else ""
    return f"number {update.rank + 1}{total} in the queue"


def _fraction(unit: _Unit | None) -> float | None:
    """Return how far a progress bar is; one without a known end tells nothing."""
    if unit is None:
        return None
    share = unit.progress
    if share is None and unit.index is not None and unit.length:
        share = unit.index / unit.length
    return None if share is None else min(1.0, max(0.0, share))
