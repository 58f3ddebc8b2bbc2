"""The settings of `media-agent serve`, under [server]."""

from typing import Annotated

from pydantic import Field

from media_agent_schemas.base import Schema

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
