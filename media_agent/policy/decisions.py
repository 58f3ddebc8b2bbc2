"""What the author of a policy writes: a class with up to three checks, and what each may answer.

    class NoLogos(VideoPolicy):
        def before_plan(self, request, call):
            if "logo" in (request.prompt or ""):
                return Refuse("logo", "logos are not made here")
            return ALLOW

A check runs in a thread of its own and has a time limit. One that raises, or does not answer in
time, counts as a no.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue, SecretStr

from media_agent_schemas.plan import Plan
from media_agent_schemas.request import VideoRequest


@dataclass(frozen=True, slots=True)
class Allow:
    """Go on."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Stop here."""

    code: str
    """A stable word of the policy for this kind of refusal, such as blocked_word."""
    reason: str
    """Names what is refused, for whoever asked."""
    hint: str | None = None
    """What to do instead."""


@dataclass(frozen=True, slots=True)
class Amend:
    """Go on with another request, which is recorded beside the one that was asked.

    Before a submission only words may change (prompt, negative prompt, prompts of shots, labels):
    everything else is planned and priced already.
    """

    request: VideoRequest
    reason: str


@dataclass(frozen=True, slots=True)
class Replace:
    """Deliver another file instead of the video, such as one with faces blurred."""

    video: Path
    reason: str


ALLOW = Allow()


@dataclass(frozen=True, slots=True)
class PolicyCall:
    """On whose behalf a policy is asked."""

    caller: str | None = None
    """The owner of the API key at a server; None: this machine."""
    job_id: str | None = None
    """None: nothing is begun yet."""


class VideoPolicy:
    """The base of policies: it allows everything, and whoever inherits it overrides what it checks.

    A check that is not overridden is not called.
    """

    def before_plan(self, request: VideoRequest, call: PolicyCall) -> Allow | Refuse | Amend:
        """Look at a request as it was asked; also at a prompt that steers a running job."""
        return ALLOW

    def before_submit(self, plan: Plan, call: PolicyCall) -> Allow | Refuse | Amend:
        """Look at what is about to be sent (`plan.request`), to whom, and at what price."""
        return ALLOW

    def after_result(self, plan: Plan, video: Path, call: PolicyCall) -> Allow | Refuse | Replace:
        """Look at a finished video, before it is delivered; it was paid."""
        return ALLOW


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What the settings say of one policy."""

    name: str
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    key: SecretStr | None = None
    """The key of a service that it asks."""
    folder: Path | None = None
    """Where relative paths in the options begin; None: the working folder."""

    def resolve_path(self, path: str) -> Path:
        """Return the file that a path in the options means."""
        expanded = Path(path).expanduser()
        return expanded if self.folder is None else self.folder / expanded


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """A kind of policy that a plugin offers; sections [policies.NAME] name it as their `kind`."""

    name: str
    factory: Callable[[PolicySettings], VideoPolicy]
    """Makes one; a ConfigurationError says what is wrong with its options."""


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One section [policies.NAME]: which kind, for whom, and how long it may take."""

    kind: str
    settings: PolicySettings
    for_all: bool = True
    """Whether it is asked about every request; else only of API keys that name it."""
    timeout_seconds: float = 30.0
