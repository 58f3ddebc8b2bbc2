"""The settings of `media-agent serve`, under [server]."""

from typing import Annotated

from pydantic import Field, JsonValue

from media_agent.config.key_sections import KeySource, SectionName
from media_agent.config.webhook_sections import CallbackSection, WebhookSection
from media_agent_schemas.base import Schema

Origin = Annotated[str, Field(pattern=r"^https?://[^\s/@?#*]+$")]
Port = Annotated[int, Field(ge=0, le=65535)]


class ServerSection(Schema):
    """Where the server listens, and how it is reached, under [server]."""

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on; another than this machine needs an API key.",
    )
    port: Port = Field(default=8000, description="Port to listen on; 0: any that is free.")
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s@?#]+$",
        description="How others reach the server, such as https://video.example.com; default: "
        "the address that a request came to.",
    )
    models: dict[str, str] = Field(
        default={},
        description="Names that clients give for a model, such as sora-2, each with the "
        '"backend" or "backend/model" that is meant.',
    )
    allowed_origins: tuple[Origin, ...] = Field(
        default=(),
        description="Pages of other sites that may call it from a browser, such as "
        "https://studio.example.com.",
    )
    max_json_bytes: int = Field(
        default=32 * 2**20, ge=2**10, description="Largest body of a call, unless it has files."
    )
    max_upload_bytes: int = Field(
        default=512 * 2**20,
        ge=2**10,
        description="Largest body with files; most of all inputs of a call together.",
    )
    webhooks: dict[SectionName, WebhookSection] = Field(
        default={}, description="Where the end of each job is told, each with a name."
    )
    callbacks: dict[SectionName, CallbackSection] = Field(
        default={}, description="What checks the callbacks of backends, by their names."
    )

    def callback_url(self, backend: str) -> str | None:
        """Return where the provider of a backend may say that it has news; None: nowhere."""
        if self.public_url is None:
            return None
        return f"{self.public_url.rstrip('/')}/v1/webhooks/{backend}"

    def sources(self) -> dict[tuple[str, ...], KeySource]:
        """Return the places within the section that may say a secret."""
        webhooks = {("webhooks", name): each for name, each in self.webhooks.items()}
        return webhooks | {("callbacks", name): each for name, each in self.callbacks.items()}

    def shown(self) -> dict[str, JsonValue]:
        """Return the section as JSON without what is a secret by its place or its look."""
        data: dict[str, JsonValue] = self.model_dump(mode="json")
        webhooks = {name: each.shown() for name, each in self.webhooks.items()}
        callbacks = {name: each.shown() for name, each in self.callbacks.items()}
        return data | {"webhooks": {**webhooks}, "callbacks": {**callbacks}}
