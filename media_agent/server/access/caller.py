"""Who makes a call, and what they may do."""

from collections.abc import Set
from dataclasses import dataclass

from media_agent.errors import JobNotFoundError
from media_agent_schemas.jobs import VideoJob

LOCAL = "local"
"""The caller of a server without API keys, which listens to this machine only."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever makes a call; jobs belong to a name, which several keys may share."""

    name: str
    scopes: Set[str]
    sees_all: bool = False
    """Whether jobs of others are theirs as well: of this machine, and of an administrator."""
    is_remote: bool = True
    """Whether they may be on another machine: then no path of this one means anything to them."""

    def check_owns(self, job: VideoJob) -> VideoJob:
        """Return a job of theirs.

        Raises:
            JobNotFoundError: it is of somebody else, which is not told.
        """
        if not self.sees_all and job.caller != self.name:
            raise JobNotFoundError(f"unknown job {job.id!r}")
        return job

    @property
    def only(self) -> str | None:
        """The caller whose jobs a list shows; None: those of all."""
        return None if self.sees_all else self.name
