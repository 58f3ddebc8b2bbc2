"""How the settings say a key: itself, a variable or a file; and several keys, each with limits."""

import logging
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue, SecretStr

from media_agent.builtin.program_environment import VariableName
from media_agent.concealing import HIDDEN, concealed, is_variable_name, without_keys
from media_agent.config.file import explain_unreadable, read_text
from media_agent.environment import expand_home, value_of
from media_agent.errors import ConfigurationError
from media_agent.storage.files import is_open_to_others
from media_agent_schemas.base import Schema

_LARGEST_KEY = 2**16  # bytes of a file with a key
_LOGGER = logging.getLogger(__name__)


def _refuse_nul(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("a path cannot hold the character NUL")
    return path


PlainPath = Annotated[Path, AfterValidator(_refuse_nul)]
SectionName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="in lower case, such as my-backend"),
]


class KeySource(Schema):
    """Where a key is; at most one of the three is used, in this order."""

    key: SecretStr | None = Field(default=None, min_length=1, description="API key.")
    key_env: VariableName | None = Field(default=None, description="Variable that holds the key.")
    key_file: PlainPath | None = Field(default=None, description="File that holds the key.")

    @property
    def names_key(self) -> bool:
        """Whether it says which key to use."""
        return any(each is not None for each in (self.key, self.key_env, self.key_file))

    def key_problem(self) -> str | None:
        """Return why `key_env` gives no key; None: it does, or it is not used."""
        if self.key is not None or self.key_env is None:
            return None
        if value_of(self.key_env) is not None:
            return None
        if not is_variable_name(self.key_env):
            return "the variable named by key_env is not set; do not put the key itself there"
        return f"the variable {self.key_env} is not set"

    def name_origin(self, place: str) -> str:
        """Return the place in the settings that says the key, with the variable it names."""
        variable = self.key_env
        is_used = self.key is None and variable is not None and value_of(variable) is not None
        return f"{place}: {variable} from the environment" if is_used else place

    def find_key(self) -> SecretStr | None:
        """Return the key: `key`, else from `key_env` if that is set, else from `key_file`.

        Raises:
            ConfigurationError: the file cannot be read or is empty.
        """
        if self.key is not None:
            return self.key
        if self.key_env is not None and (key := value_of(self.key_env)) is not None:
            return SecretStr(key)
        return None if self.key_file is None else self._key_of_file

    def values_in(self, key: SecretStr) -> tuple[str, ...]:
        """Return what must not be shown of a key: usually all of it together."""
        return (key.get_secret_value(),)

    def shown(self) -> dict[str, JsonValue]:
        """Return it as JSON without what is a key by its place or its look."""
        data: dict[str, JsonValue] = self.model_dump(mode="json")
        if self.key_env is not None and not is_variable_name(self.key_env):
            data["key_env"] = HIDDEN
        said = concealed(data)
        assert isinstance(said, dict)
        return said

    @cached_property
    def _key_of_file(self) -> SecretStr | None:
        return None if self.key_file is None else _read_key(self.key_file)


class KeySection(KeySource):
    """One of several keys of a backend, under [backends.NAME.keys.KEY], and its limits.

    Without a key of its own it is the usual one: that of the backend's variable, or a stored one.
    """

    requests_per_minute: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        description="Submissions a minute with this key; default: no limit.",
    )
    concurrent: int | None = Field(
        default=None, ge=1, description="Jobs at work at a time with this key; default: no limit."
    )


def _read_key(path: Path) -> SecretStr:
    path = expand_home(path)
    shown = without_keys(str(path))  # it may be the key itself, at the wrong place
    try:
        key = read_text(path, largest=_LARGEST_KEY).strip()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the key file {shown} cannot be read: {explain_unreadable(error)}",
            hint="put the key there, nothing else",
        ) from None
    if not key:
        raise ConfigurationError(f"the key file {shown} is empty", hint="put the key there")
    if is_open_to_others(path):
        _LOGGER.warning("the key file %s is readable by other users; run chmod 600 on it", shown)
    return SecretStr(key)
