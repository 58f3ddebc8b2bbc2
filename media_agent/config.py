"""Settings; the only reader of the environment: argument > environment > file > default."""

import tomllib
from pathlib import Path
from typing import Any

from platformdirs import user_config_path, user_data_path
from pydantic import Field, JsonValue, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError

from media_agent.backend import BackendSettings
from media_agent.errors import ConfigurationError
from media_agent_schemas.base import Schema

PREFIX = "MEDIA_AGENT_"


class BackendSection(Schema):
    """What one backend is told, in the file under [backends.NAME]."""

    options: dict[str, JsonValue] = Field({}, description="Options of the backend.")
    base_url: str | None = Field(None, description="Where it is, if not at its usual address.")
    key: SecretStr | None = Field(None, description="Its key.")


class Settings(BaseSettings):
    """Everything that can be set from outside, each as MEDIA_AGENT_<NAME> or in the file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    data_dir: Path = Field(
        default_factory=lambda: user_data_path("media-agent"),
        description="Folder of jobs and unfinished work.",
    )
    config: Path = Field(
        default_factory=lambda: user_config_path("media-agent") / "config.toml",
        description="The settings file (TOML); need not exist.",
    )
    default_backend: str = Field(
        "magi/tiny", min_length=1, description='Used when none is named: "backend/model".'
    )
    backends: dict[str, BackendSection] = Field({}, description="Sections by backend name.")

    def backend_settings(self, name: str) -> BackendSettings:
        """Return what is handed to one backend."""
        section = self.backends.get(name, BackendSection())
        return BackendSettings(
            data_dir=self.data_dir.expanduser().absolute(),
            options=section.options,
            base_url=section.base_url,
            key=section.key,
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put arguments before the environment before the file."""
        said = {**env_settings(), **init_settings()}
        file = said.get("config") or user_config_path("media-agent") / "config.toml"
        toml = TomlConfigSettingsSource(settings_cls, Path(str(file)).expanduser())
        return init_settings, env_settings, toml


def load_settings(**arguments: Any) -> Settings:
    """Read arguments, environment and file.

    Raises:
        ConfigurationError: a value is malformed; the variable is named, the value of a key is not.
    """
    try:
        return Settings(**arguments)
    except ValidationError as error:
        raise ConfigurationError(_describe(error), hint="correct or unset it") from error
    except (SettingsError, tomllib.TOMLDecodeError, OSError) as error:
        raise ConfigurationError(
            f"the settings cannot be read: {error}",
            hint=f"check the {PREFIX} variables and the settings file",
        ) from error


def _describe(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        place = "__".join(str(part) for part in problem["loc"]).upper()
        lines.append(f"{PREFIX}{place} (or the same in the settings file): {problem['msg']}")
    return "; ".join(lines)
