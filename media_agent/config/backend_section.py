"""The settings of one backend: which it is, where, and with which keys."""

import re
from typing import Annotated, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from media_agent.config.jobs_section import QueueSection
from media_agent.config.key_sections import KeySection, KeySource, PlainPath, SectionName


class BackendSection(KeySource):
    """The settings of one backend, [backends.NAME]; a new NAME with a `kind` is an alias."""

    kind: str | None = Field(
        default=None, min_length=1, description="Backend to use; default: the one called NAME."
    )
    model: str | None = Field(default=None, min_length=1, description="Default model.")
    base_url: str | None = Field(default=None, description="Its URL, if not the usual one.")
    keys: dict[SectionName, KeySection] = Field(
        default={}, description="Several keys, each with a name and limits of its own."
    )
    options: dict[str, JsonValue] = Field(default={}, description="Options of the backend.")
    queue: QueueSection = Field(
        default=QueueSection(), description="Limits of its jobs on workers."
    )
    usd_per_gpu_hour: Annotated[float, Field(ge=0, le=1e6)] | None = Field(
        default=None,
        description="What an hour of its work costs, in USD, where it sends no bill: of all GPUs "
        "that one video uses. Default: nothing.",
    )
    folder: PlainPath | None = Field(
        default=None, description="Base folder of relative paths; default: the folder of the file."
    )

    @field_validator("base_url")
    @classmethod
    def _refuse_password(cls, url: str | None) -> str | None:
        if url is not None and re.fullmatch(r"https?://[^\s@]+", url) is None:
            said = "it should be like https://api.example.com/v1, with no user name or password"
            raise ValueError(said)
        return url

    @model_validator(mode="after")
    def _check_one_way(self) -> Self:
        if self.keys and self.names_key:
            raise ValueError("a section with keys cannot also have key, key_env or key_file")
        return self

    @property
    def names_any_key(self) -> bool:
        """Whether it says which key, or which keys, to use."""
        return self.names_key or bool(self.keys)

    def sources(self) -> dict[tuple[str, ...], KeySource]:
        """Return the places within the section that may say a key."""
        return {(): self} | {("keys", name): each for name, each in self.keys.items()}

    def shown(self) -> dict[str, JsonValue]:
        """Return the section as JSON without what is a key by its place or its look."""
        data = super().shown()
        return data | {"keys": {name: each.shown() for name, each in self.keys.items()}}
