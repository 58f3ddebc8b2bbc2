"""The settings of webhooks: those that are sent, and the callbacks that providers send."""

from typing import Annotated, Literal, get_args

from pydantic import Field, SecretStr

from media_agent.builtin.program_environment import VariableName
from media_agent.config.key_sections import KeySource, PlainPath

VideoEvent = Literal["video.completed", "video.failed", "video.cancelled", "video.outcome_unknown"]
"""What is sent; the first two as OpenAI sends them."""

_SECRET = "Signing secret, whsec_ and base64; while it is rotated several, with spaces between."
_CALLER = "Only the jobs of this caller of the server; default: all jobs."


class SecretSource(KeySource):
    """Where a signing secret is; at most one of the three is used, in this order."""

    key: SecretStr | None = Field(default=None, min_length=1, description=_SECRET)
    key_env: VariableName | None = Field(
        default=None, description="Variable that holds the signing secret."
    )
    key_file: PlainPath | None = Field(
        default=None, description="File that holds the signing secret."
    )

    def values_in(self, key: SecretStr) -> tuple[str, ...]:
        """Return each of several secrets."""
        return tuple(key.get_secret_value().split())


class WebhookSection(SecretSource):
    """Where the end of each job is told, under [server.webhooks.NAME]."""

    url: Annotated[str, Field(pattern=r"^https://[^\s@#]+$")] = Field(
        description="A public https address, which is where events are sent."
    )
    events: tuple[VideoEvent, ...] = Field(
        default=get_args(VideoEvent), min_length=1, description="Which events; default: all."
    )
    caller: str | None = Field(default=None, min_length=1, description=_CALLER)


class CallbackSection(SecretSource):
    """What checks the callbacks of a backend, under [server.callbacks.NAME]."""
