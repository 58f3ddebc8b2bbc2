"""Asks a moderation service about the prompts of a request."""

import httpx
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from media_agent.errors import ConfigurationError
from media_agent.policy.decisions import (
    ALLOW,
    Allow,
    PolicyCall,
    PolicySettings,
    Refuse,
    VideoPolicy,
)
from media_agent_schemas.request import VideoRequest


class Options(BaseModel):
    """The options of the policy."""

    model_config = ConfigDict(extra="forbid")

    url: str
    model: str | None = None


class Verdict(BaseModel):
    """What the service says of one text."""

    flagged: bool
    categories: dict[str, bool | None] = {}


class Reply(BaseModel):
    """The answer of the service, as far as it is used."""

    results: list[Verdict]


class ModerationPolicy(VideoPolicy):
    """Refuses prompts that the service flags."""

    def __init__(self, options: Options, key: SecretStr | None) -> None:
        self._options = options
        self._headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}

    def before_plan(self, request: VideoRequest, call: PolicyCall) -> Allow | Refuse:
        """Ask the service; whatever goes wrong raises, and the request is refused."""
        prompts = [shot.prompt for shot in request.storyboard()]
        if not prompts:
            return ALLOW
        body: dict[str, object] = {"input": prompts}
        if self._options.model is not None:
            body["model"] = self._options.model
        reply = httpx.post(self._options.url, json=body, headers=self._headers, timeout=None)
        if reply.status_code != 200:  # a redirect too: prompts go nowhere else
            raise RuntimeError(f"the moderation service answered {reply.status_code}")
        verdicts = Reply.model_validate_json(reply.content).results
        if len(verdicts) != len(prompts):
            raise RuntimeError(f"it said {len(verdicts)} verdicts of {len(prompts)} prompts")
        for number, verdict in enumerate(verdicts, start=1):
            if verdict.flagged:
                named = sorted(name for name, is_so in verdict.categories.items() if is_so)
                why = ", ".join(named) or "no category named"
                return Refuse("moderation", f"prompt {number} of {len(prompts)}: {why}")
        return ALLOW


def read_options(settings: PolicySettings) -> Options:
    """Return the options of a section.

    Raises:
        ConfigurationError: the address is missing, or an option is unknown.
    """
    try:
        return Options.model_validate(dict(settings.options))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigurationError(
            f"policies.{settings.name}.options.{place}: {first['msg']}",
            hint=f'[policies.{settings.name}.options] url = "https://..."',
        ) from None
