"""The client for programs without an event loop."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from media_agent.client import VideoClient
from media_agent.config import Settings
from media_agent.reconciling import Finding
from media_agent_schemas.capabilities import Capabilities, Plan, Policy
from media_agent_schemas.events import JobEvent
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.plan import PlanReport
from media_agent_schemas.request import Shot, VideoRequest


class BlockingVideoClient:
    """`VideoClient` with blocking calls; Ctrl-C stops the work cleanly."""

    def __init__(
        self, *, settings: Settings | None = None, client: VideoClient | None = None
    ) -> None:
        self._client = VideoClient(settings=settings) if client is None else client
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop all work and close the backends and the event loop."""
        self._runner.run(self._client.aclose())
        self._runner.close()

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Return what "backend" or "backend/model" can do; absent: the default."""
        return self._runner.run(self._client.capabilities(model))

    def plan(
        self,
        request: VideoRequest,
        *,
        policy: Policy | None = None,
        allow_unknown_words: bool = False,
    ) -> Plan:
        """Return what would be sent to whom; see `VideoClient.plan`."""
        return self._runner.run(
            self._client.plan(request, policy=policy, allow_unknown_words=allow_unknown_words)
        )

    def plan_all(
        self,
        request: VideoRequest,
        *,
        policy: Policy | None = None,
        allow_unknown_words: bool = False,
    ) -> PlanReport:
        """Return all who could make it, and all who could not; see `VideoClient.plan_all`."""
        return self._runner.run(
            self._client.plan_all(request, policy=policy, allow_unknown_words=allow_unknown_words)
        )

    def generate(
        self,
        request: VideoRequest,
        *,
        plans: Sequence[Plan] | None = None,
        policy: Policy | None = None,
        allow_unknown_words: bool = False,
        out: Path | str | None = None,
        idempotency_key: str | None = None,
        overwrite: bool = False,
        on_event: Callable[[JobEvent], None] | None = None,
    ) -> VideoJob:
        """Make the video and return the job as it ended; see `VideoClient.generate`."""
        return self._runner.run(
            self._client.generate(
                request,
                plans=plans,
                policy=policy,
                allow_unknown_words=allow_unknown_words,
                out=out,
                idempotency_key=idempotency_key,
                overwrite=overwrite,
                on_event=on_event,
            )
        )

    def branch(
        self,
        job_id: str,
        *,
        at: int | None = None,
        prompt: str | None = None,
        duration: float | None = None,
        shots: Sequence[Shot] = (),
        out: Path | str | None = None,
        overwrite: bool = False,
        on_event: Callable[[JobEvent], None] | None = None,
    ) -> VideoJob:
        """Make a second film that begins as another does; see `VideoClient.branch`."""
        return self._runner.run(
            self._client.branch(
                job_id,
                at=at,
                prompt=prompt,
                duration=duration,
                shots=shots,
                out=out,
                overwrite=overwrite,
                on_event=on_event,
            )
        )

    def resume(
        self,
        job_id: str,
        *,
        take_over: bool = False,
        on_event: Callable[[JobEvent], None] | None = None,
    ) -> VideoJob:
        """Go on with a job whose process is gone; see `VideoClient.resume`."""
        return self._runner.run(self._client.resume(job_id, take_over=take_over, on_event=on_event))

    def reconcile(self, job_id: str) -> Finding:
        """Ask a backend about work whose reply was lost; see `VideoClient.reconcile`."""
        return self._runner.run(self._client.reconcile(job_id))

    def cancel(self, job_id: str) -> VideoJob:
        """Ask a job to stop; see `VideoClient.cancel`."""
        return self._runner.run(self._client.cancel(job_id))

    def steer(
        self,
        job_id: str,
        prompt: str,
        *,
        at: Literal["next", "now"] | int = "next",
        allow_unknown_words: bool = False,
    ) -> VideoJob:
        """Let a film go on under another prompt; see `VideoClient.steer`."""
        words = allow_unknown_words
        return self._runner.run(
            self._client.steer(job_id, prompt, at=at, allow_unknown_words=words)
        )

    def finish(self, job_id: str) -> VideoJob:
        """End a film with its next chunk; see `VideoClient.finish`."""
        return self._runner.run(self._client.finish(job_id))

    def get(self, job_id: str) -> VideoJob:
        """Return a job as it stands; see `VideoClient.get`."""
        return self._runner.run(self._client.get(job_id))

    def list(self) -> list[VideoJob]:
        """Return all jobs of the data folder, newest first."""
        return self._runner.run(self._client.list())
