"""The settings of who works on jobs and where their files are shared: [jobs], and queues."""

import re
from typing import Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from media_agent_schemas.base import Schema


class JobsSection(Schema):
    """Where jobs run, under [jobs]."""

    runner: Literal["inline", "dbos"] = Field(
        default="inline",
        description='"inline": in the process that is asked; "dbos": in the processes of '
        "media-agent worker, on any machine.",
    )
    files: str | None = Field(
        default=None,
        description="URL where workers share videos and what is needed to continue them, such as "
        "s3://bucket/folder; default: nowhere.",
    )
    files_options: dict[str, JsonValue] = Field(
        default={},
        repr=False,
        description="Options of the file system of that URL, as fsspec takes them.",
    )

    @field_validator("files")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s?#]+", url) is None:
            raise ValueError("it should be like s3://bucket/folder or file:///mnt/shared")
        if "@" in url.split("://", 1)[1].split("/", 1)[0]:
            raise ValueError("it should have no user name or password: use files_options")
        return url


class QueueSection(Schema):
    """The queue of a backend where runner is "dbos", under [backends.NAME.queue]."""

    concurrent: int | None = Field(
        default=None, ge=1, description="Jobs at work at a time, on all workers together."
    )
    concurrent_per_worker: int | None = Field(
        default=None,
        ge=1,
        description="Jobs at work at a time on each worker; default: 1 for local models, no limit "
        "for services.",
    )
    starts_per_minute: int | None = Field(
        default=None, ge=1, description="Jobs begun in a minute, on all workers together."
    )
    models: tuple[str, ...] = Field(
        default=(), description='Models with a queue of their own, "NAME/MODEL".'
    )

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        whole, each = self.concurrent, self.concurrent_per_worker
        if whole is not None and each is not None and whole < each:
            raise ValueError("concurrent is less than concurrent_per_worker")
        return self
