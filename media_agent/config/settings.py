"""Settings: argument > environment > file > default.

Two files are read where they exist: the nearest `media-agent.toml` in the working folder or above
it, and the user's own, which the first overrides key by key. `MEDIA_AGENT_CONFIG` names one file
that is read instead of both.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from platformdirs import user_data_path
from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.exceptions import SettingsError

from media_agent.backend.protocol import BackendSettings, BackendSpec, LimitedKey
from media_agent.builtin.program_environment import build_environment
from media_agent.concealing import (
    concealed,
    hidden_values,
    without_keys,
)
from media_agent.config.backend_section import BackendSection
from media_agent.config.file import (
    ConfigFile,
    list_files,
    merge_tables,
    read_file,
)
from media_agent.config.jobs_section import JobsSection
from media_agent.config.key_sections import KeySource, PlainPath, SectionName
from media_agent.config.keys import FoundKey, describe_missing_key, find_usual_key
from media_agent.config.ledger_address import LedgerAddress, passwords_in, shown_address
from media_agent.config.policy_sections import PolicySection
from media_agent.config.provenance_section import ProvenanceSection
from media_agent.config.quality_sections import FindingSection
from media_agent.config.routing_sections import (
    BudgetSection,
    CatalogueSection,
    Dollars,
    RouteSection,
    RoutingSection,
)
from media_agent.config.server_section import ServerSection
from media_agent.config.stored_keys import StoredKey, StoredKeys
from media_agent.environment import expand_home, variables
from media_agent.errors import ConfigurationError, Fault
from media_agent.policy.decisions import PolicyRule
from media_agent.provenance.c2pa.signing import Signing
from media_agent.provenance.quality.embedding import EmbeddingSpec
from media_agent.provenance.quality.rules import QualityRules
from media_agent.redact import redact, redact_value
from media_agent.storage.shared_files import SharedFiles
from media_agent.suggest import nearest_name
from media_agent.validation import faults_of
from media_agent_schemas.base import Seconds
from media_agent_schemas.plan import Policy
from media_agent_schemas.quality import FindingKind

PREFIX = "MEDIA_AGENT_"
_DELIMITER = "__"
_MANY_FAULTS = 20  # of the kind that hides another one
_LONG_KEY = 8  # characters; a shorter one may be an ordinary word elsewhere
_LOGGER = logging.getLogger(__name__)

AbsolutePath = Annotated[PlainPath, AfterValidator(lambda path: expand_home(path).absolute())]


class Settings(BaseSettings):
    """Everything that can be set from outside, each as MEDIA_AGENT_<NAME> or in a file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=_DELIMITER,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    data_dir: AbsolutePath = Field(
        default_factory=lambda: user_data_path("media-agent"),
        description="Folder of jobs and unfinished work.",
    )
    ledger: LedgerAddress | None = Field(
        default=None,
        description="Address of a Postgres database for the ledger; absent: a file in data_dir.",
    )
    config: PlainPath | None = Field(
        default=None, description="A settings file (TOML) to read instead of the usual two."
    )
    default_backend: str = Field(
        default="magi/tiny", min_length=1, description='Used when none is named: "backend/model".'
    )
    threads: int | None = Field(
        default=None, ge=1, le=1024, description="CPU threads per video on this machine."
    )
    policy: Policy = Field(
        default=Policy.ADJUST, description="What to do if a value is unsupported."
    )
    keep_states_days: float = Field(
        default=3.0,
        ge=0,
        le=36500,
        allow_inf_nan=False,
        description="Days after which a completed job's states are removed.",
    )
    quality: Literal["off", "record", "warn"] = Field(
        default="record",
        description="Whether finished videos are measured for their record, and findings warn.",
    )
    findings: dict[FindingKind, FindingSection] = Field(
        default={}, description="What is told of finished videos, and what follows, by kind."
    )
    embedding: str | None = Field(
        default=None,
        min_length=1,
        description="The embedding of a plugin that compares the start and the end of videos.",
    )
    backends: dict[SectionName, BackendSection] = Field(default={}, description="Backends by name.")
    routes: dict[SectionName, RouteSection] = Field(
        default={}, description="Routing presets by name."
    )
    routing: RoutingSection = Field(
        default=RoutingSection(), description="What routing learns from earlier outcomes."
    )
    deadline_seconds: Seconds | None = Field(
        default=None,
        description="Stop the work on a video after so many seconds, unless its request says how "
        "many; default: as each backend does.",
    )
    confirm_above_usd: Dollars = Field(
        default=1.0, description="Ask on a terminal before work that costs more, in USD."
    )
    budget: BudgetSection = Field(default=BudgetSection(), description="Spending limits.")
    jobs: JobsSection = Field(
        default=JobsSection(), description="Who works on jobs, and where their files are shared."
    )
    server: ServerSection = Field(
        default=ServerSection(), description="How media-agent serve listens."
    )
    policies: dict[SectionName, PolicySection] = Field(
        default={}, description="Policies that may refuse or amend requests, by name."
    )
    catalogue: CatalogueSection = Field(
        default=CatalogueSection(), description="Newer facts about models, such as prices."
    )
    provenance: ProvenanceSection = Field(
        default=ProvenanceSection(), description="How finished videos are signed and marked."
    )

    @property
    def ledger_path(self) -> Path:
        """The path of the ledger in the data folder, where it is no database on a server."""
        return self.data_dir / "ledger.sqlite"

    @property
    def work_folder(self) -> Path:
        """The folder for all work, finished and unfinished."""
        return self.data_dir / "work"

    def signing(self) -> Signing:
        """Return how finished videos are signed."""
        return self.provenance.signing(self.data_dir)

    def shared_files(self) -> SharedFiles | None:
        """Return where machines share files; None: nowhere."""
        jobs = self.jobs
        return None if jobs.files is None else SharedFiles(jobs.files, jobs.files_options)

    def find_key(self, name: str, spec: BackendSpec | None = None) -> FoundKey:
        """Return the key of a backend: as its section says, else the usual or a stored one.

        Raises:
            ConfigurationError: a file that has it cannot be read.
        """
        section = self.backends.get(name, BackendSection())
        if section.keys:
            found = {each: self._find_key_of(name, each, spec) for each in section.keys}
            there = next((each for each in found.values() if each.key is not None), None)
            problems = (f"{key}: {each.problem or 'no key'}" for key, each in found.items())
            return there or FoundKey(problem="; ".join(problems))
        if section.names_key:
            origin = section.name_origin(f"backends.{name}")
            return FoundKey(section.find_key(), origin, section.key_problem())
        return self._find_usual_key(name, spec)

    def _find_key_of(self, name: str, key: str, spec: BackendSpec | None) -> FoundKey:
        """Return one of several keys of a backend."""
        section, place = self.backends[name].keys[key], f"backends.{name}.keys.{key}"
        if section.names_key:
            return FoundKey(section.find_key(), section.name_origin(place), section.key_problem())
        return self._find_usual_key(name, spec)

    def _find_usual_key(self, name: str, spec: BackendSpec | None) -> FoundKey:
        try:
            stored = self._stored_keys
        except ConfigurationError as error:  # it keeps nobody from working who needs no key
            return FoundKey(problem=error.message)
        return find_usual_key(name, self.base_url(name), spec, stored)

    def _list_keys(self, name: str, spec: BackendSpec | None) -> Iterator[LimitedKey]:
        """Yield the several keys of a backend, with their limits."""
        for key, section in self.backends.get(name, BackendSection()).keys.items():
            found = self._find_key_of(name, key, spec)
            yield LimitedKey(
                key, found.key, found.problem, section.requests_per_minute, section.concurrent
            )

    def backend_settings(self, name: str, spec: BackendSpec | None = None) -> BackendSettings:
        """Return what is handed to one backend; its spec says which variable usually has its key.

        Raises:
            ConfigurationError: the file with its key cannot be read.
        """
        section = self.backends.get(name, BackendSection())
        found, keys = self.find_key(name, spec), tuple(self._list_keys(name, spec))
        own = (found.key, *(each.key for each in keys))
        secrets = (*self.secrets(), *(each for each in own if each is not None))
        return BackendSettings(
            data_dir=self.data_dir,
            options=section.options,
            base_url=section.base_url,
            key=found.key,
            keys=keys,
            names_key=section.names_any_key,
            key_problem=found.problem,
            key_hint=describe_missing_key(name, section.base_url, spec, list_files(self.config)[0]),
            name=name,
            model=section.model,
            folder=section.folder,
            threads=self.threads,
            usd_per_gpu_hour=section.usd_per_gpu_hour,
            secrets=secrets,
            environment=self.build_environment,
            callback_url=self.server.callback_url(name),
        )

    def quality_rules(self, find_embedding: Callable[[], EmbeddingSpec | None]) -> QualityRules:
        """Return what is done about what is found in finished videos."""
        found = self.findings.items()
        return QualityRules(
            self.quality,
            limits={kind: each.limit for kind, each in found if each.limit is not None},
            actions={kind: each.action for kind, each in found if each.action is not None},
            find_embedding=find_embedding,
        )

    @model_validator(mode="after")
    def _check_measured(self) -> Self:
        acts = [kind for kind, each in self.findings.items() if each.action is not None]
        if self.quality == "off" and acts:
            raise ValueError(f'findings.{acts[0]}.action needs a quality other than "off"')
        return self

    def policy_rules(self) -> dict[str, PolicyRule]:
        """Return what each section of a policy says.

        Raises:
            ConfigurationError: the file with a key cannot be read.
        """
        return {name: section.as_rule(name) for name, section in self.policies.items()}

    def shown(self) -> dict[str, JsonValue]:
        """Return the settings as JSON for people to read: every key in them is hidden."""
        known = [key for key in self._collect_secrets() if len(key) >= _LONG_KEY]
        sections: dict[str, JsonValue] = {
            name: {**section.shown()} for name, section in self.backends.items()
        }
        said = redact_value(sections, known)
        paths: dict[str, JsonValue] = self.model_dump(mode="json", include={"data_dir", "config"})
        apart = {*paths, "ledger", "backends", "policies", "server", "provenance"}
        others = self.model_dump(mode="json", exclude=apart)
        shown = {name: concealed(each) for name, each in others.items()}
        rules: dict[str, JsonValue] = {
            name: {**section.shown()} for name, section in self.policies.items()
        }
        ledger = None if self.ledger is None else shown_address(self.ledger)
        server = redact_value(self.server.shown(), known)
        sections_of_keys: dict[str, JsonValue] = {
            "server": server,
            "provenance": redact_value(self.provenance.shown(), known),
            "policies": redact_value(rules, known),
            "backends": said,
        }
        return paths | {"ledger": ledger} | shown | sections_of_keys

    def key_sources(self) -> dict[tuple[str, ...], KeySource]:
        """Return every place that may say a key or a secret."""
        sources = {
            ("backends", name, *within): source
            for name, section in self.backends.items()
            for within, source in section.sources().items()
        }
        sources |= {("policies", name): section for name, section in self.policies.items()}
        served = self.server.sources().items()
        served_sources = {("server", *within): source for within, source in served}
        return {**sources, **served_sources, ("provenance",): self.provenance}

    def secrets(self) -> tuple[SecretStr, ...]:
        """Return every key that the settings know, of all sections, wherever it stands."""
        return tuple(SecretStr(secret) for secret in sorted(self._collect_secrets()))

    def without_keys(self, text: str) -> str:
        """Return a text without the keys that the settings know."""
        return redact(text, self._collect_secrets())

    def _collect_secrets(self) -> Iterator[str]:
        yield from () if self.ledger is None else passwords_in(self.ledger)
        for source in self.key_sources().values():
            with suppress(ConfigurationError):  # reported when that section is used
                key = source.find_key()
                yield from () if key is None else source.values_in(key)
        for name, section in self.backends.items():
            yield from hidden_values(section.options, ("backends", name, "options"))
        yield from hidden_values(self.jobs.files_options, ("jobs", "files_options"))
        for name, policy in self.policies.items():
            yield from hidden_values(policy.options, ("policies", name, "options"))

    @cached_property
    def _stored_keys(self) -> Mapping[str, StoredKey]:
        return StoredKeys().read()

    def build_environment(self, named: Iterable[str] = ()) -> dict[str, str]:
        """Return the environment of a program: harmless variables, and those that are named."""
        sources = self.key_sources().values()
        keys = {each.key_env for each in sources if each.key_env is not None}
        return build_environment(variables(), named=named, keys=keys)

    def base_url(self, name: str) -> str | None:
        """Return where a backend is, None if it is at its usual address."""
        return self.backends.get(name, BackendSection()).base_url

    def kinds(self) -> dict[str, str]:
        """Return, for each section, which backend it is."""
        return {name: section.kind or name for name, section in self.backends.items()}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put arguments before the environment before the files."""
        files = _read_files({**env_settings(), **init_settings()}.get("config"))
        sources = [InitSettingsSource(settings_cls, file.data) for file in files]
        return init_settings, env_settings, *sources


@dataclass(frozen=True)
class Sources:
    """Where settings come from, the strongest first: arguments, environment, files."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[ConfigFile] = ()

    @classmethod
    def look(cls, **arguments: Any) -> Self:
        """Read the sources as they are now.

        Raises:
            ConfigurationError: a file or the environment cannot be read.
        """
        try:
            environment = EnvSettingsSource(Settings)()
        except (SettingsError, RecursionError) as error:
            raise _unreadable_environment(error) from None
        files = _read_files({**environment, **arguments}.get("config"))
        return cls(arguments, environment, files)

    def place(self, place: Sequence[str]) -> str:
        """Say where a setting is made: a variable, or a file with its line, or by default."""
        dotted = ".".join(place)
        if _holds(self.arguments, place):
            return f"argument {dotted}"
        if _holds(self.environment, place):
            return PREFIX + _DELIMITER.join(place).upper()
        file = next((file for file in self.files if file.sets(place)), None)
        return "default" if file is None else f"{file.path}:{file.line(place)}"

    def list_names(self, table: str) -> set[str]:
        """Return the names in a table, wherever it is written, whatever is wrong with them."""
        said = (self.arguments, self.environment, *(file.data for file in self.files))
        tables = (each.get(table) for each in said)
        return {name for each in tables if isinstance(each, Mapping) for name in each}

    def merge(self) -> dict[str, Any]:
        """Return what all of them say together."""
        files = (file.data for file in reversed(self.files))
        merged: dict[str, Any] = {}
        for each in (*files, self.environment, self.arguments):
            merged = merge_tables(merged, each)
        return merged

    def describe(self, fault: Fault) -> str:
        """Return a fault in a line that begins with where it is."""
        name, problem = without_keys(".".join(fault.place)), without_keys(fault.problem)
        where = self.place(fault.place)
        if where == "default":  # something is missing: name what it is missing from
            file = next((file for file in self.files if file.line(fault.place)), None)
            where = "settings" if file is None else f"{file.path}:{file.line(fault.place)}"
        return f"{where}: {name}: {problem}" if ":" in where else f"{where}: {problem}"


class _GivenSettings(Settings):
    """Settings from arguments alone."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing else."""
        return (init_settings,)


def read_sound(sources: Sources) -> tuple[Settings, tuple[Fault, ...]]:
    """Return the settings without their malformed values, and what is wrong with those."""
    data = sources.merge()
    found: dict[Fault, None] = {}
    for _ in range(_MANY_FAULTS):  # without one value another may be wrong
        try:
            return _GivenSettings(**data), tuple(found)
        except ValidationError as error:
            faults = faults_of(error, Settings)
        for fault in faults:
            _remove(data, fault.place)
        found |= dict.fromkeys(faults)
    return _GivenSettings(), tuple(found)


def _remove(data: dict[str, Any], place: Sequence[str]) -> None:
    """Remove the value at a place; where there is none, what it is missing from."""
    table = data
    for name, below in zip(place, (*place[1:], None), strict=False):
        inner = table.get(name)
        if not isinstance(inner, dict) or below not in inner:
            table.pop(name, None)
            return
        table = inner


def load_settings(**arguments: Any) -> Settings:
    """Read arguments, environment and files.

    Raises:
        ConfigurationError: a value is malformed; its variable, or file and line, is named, the
            value of a key is not.
    """
    try:
        return Settings(**arguments)
    except ValidationError as error:
        faults = faults_of(error, Settings)
        said = map(Sources.look(**arguments).describe, faults)
        raise ConfigurationError(
            "; ".join(said), faults=faults, hint="correct it; media-agent config check lists all"
        ) from None
    except (SettingsError, RecursionError) as error:
        raise _unreadable_environment(error) from None


def _unreadable_environment(error: SettingsError | RecursionError) -> ConfigurationError:
    is_deep = isinstance(error, RecursionError)
    said = "lists or tables are nested too deeply" if is_deep else without_keys(str(error))
    return ConfigurationError(
        f"the environment cannot be read: {said}", hint=f"check the {PREFIX} variables"
    )


def find_unknown_variables() -> list[tuple[str, str | None]]:
    """Return variables that begin like ours and set nothing, each with the name it may mean."""
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    return [
        (name, nearest_name(name, known))
        for name in sorted(variables())
        if name.startswith(PREFIX) and name.split(_DELIMITER)[0] not in known
    ]


def _read_files(named: object) -> list[ConfigFile]:
    paths = list_files(None if named is None else Path(str(named)))
    return [file for file in map(read_file, paths) if file is not None]


def _holds(data: Mapping[str, Any], place: Sequence[str]) -> bool:
    found: Any = data
    for part in place:
        if not isinstance(found, Mapping) or part not in found:
            return False
        found = found[part]
    return bool(place)
