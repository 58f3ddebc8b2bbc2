"""Who makes a call, and what they may do."""

from collections.abc import Set
from dataclasses import dataclass

from media_agent.errors import ForbiddenError, JobNotFoundError
from media_agent.ledger.serving.api_keys import LOCAL, SCOPES, Scope
from media_agent_schemas.jobs import VideoJob

CALLER = "media_agent.caller"
"""Where a call keeps its caller."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever makes a call; jobs belong to a name, which several keys may share."""

    name: str
    scopes: Set[str]
    sees_all: bool = False
    """Whether jobs of others are theirs as well: of this machine, and of an administrator."""
    is_remote: bool = True
    """Whether they may be on another machine: then no path of this one means anything to them."""
    key_id: str | None = None
    """Of the API key that they called with."""
    resale_factor: float = 1.0
    """What they pay of what a job costs that is asked with this key."""

    def check_scope(self, scope: Scope) -> None:
        """Check that the key allows a kind of call; one of an administrator allows all.

        Raises:
            ForbiddenError: it does not.
        """
        if scope not in self.scopes and "admin" not in self.scopes:
            allowed = ", ".join(sorted(self.scopes)) or "nothing"
            raise ForbiddenError(f"this needs the scope {scope}; the API key has {allowed}")

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


LOCAL_CALLER = Caller(LOCAL, SCOPES, sees_all=True, is_remote=False)
