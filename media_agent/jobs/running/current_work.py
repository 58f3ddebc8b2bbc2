"""The work of a run, as its parts know it."""

from dataclasses import dataclass, field

from media_agent.backend.protocol import VideoBackend
from media_agent.jobs.context import JobContext
from media_agent.ledger.state import SubmissionState
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.jobs import OperationRef, VideoJob


@dataclass(slots=True)
class CurrentWork:
    """Which job it is for, who does it, and where; each changes as the job goes its way."""

    job: VideoJob
    context: JobContext
    backend: VideoBackend = field(init=False)
    """There from the moment that the run owns the job."""
    ref: OperationRef | None = None
    has_ended: bool = False
    """Whether its backend has said its last word."""

    def capabilities(self) -> Capabilities:
        """Return what the model that does it can do."""
        return self.backend.capabilities(self.job.plan.model)

    def may_be_accepted(self) -> bool:
        """Return whether somebody may work on it; a refusal is the only word against that."""
        if self.ref is not None:
            return True
        last = self.context.store.submissions.last(self.job.id)
        return last is not None and last.state is not SubmissionState.REFUSED

    def warn(self, said: str) -> None:
        """Add a warning to the job."""
        self.context.store.jobs.warn(self.job.id, said)
