"""What happens to a job is kept first, then told; what breaks where it is heard decides nothing."""

import logging
from collections.abc import Callable

from media_agent.jobs.context import JobContext
from media_agent.telemetry.jobs import JobTelemetry
from media_agent_schemas.events import BackendEvent, JobEvent
from media_agent_schemas.jobs import VideoJob

_LOGGER = logging.getLogger(__name__)

OnEvent = Callable[[JobEvent], None] | None


def notify(on_event: OnEvent, numbered: JobEvent) -> None:
    """Tell whoever wants to hear; what breaks there is no word about the work."""
    if on_event is None:
        return
    try:
        on_event(numbered)
    except Exception:  # whoever listens decides nothing
        _LOGGER.warning("who hears of job %s broke", numbered.job_id, exc_info=True)


class Teller:
    """Keeps and tells the events of one run."""

    def __init__(self, job: VideoJob, context: JobContext, on_event: OnEvent) -> None:
        self.last_sequence = -1
        """The number of the last event that was told."""
        self.telemetry = JobTelemetry(job)
        self._job_id = job.id
        self._context = context
        self._on_event = on_event

    def keep(self, event: BackendEvent) -> bool:
        """Return whether the event was news."""
        now = self._context.now()
        numbered = self._context.store.events.append(self._job_id, event, now)
        self.tell(numbered)
        return numbered is not None

    def tell(self, numbered: JobEvent | None) -> None:
        """Tell of an event that was kept; None: it was no news."""
        if numbered is not None:
            self.last_sequence = numbered.sequence
            self.telemetry.hear(numbered.event, numbered.time)
            notify(self._on_event, numbered)
