"""Settings: argument > environment > file > default.

Two files are read where they exist: the nearest `media-agent.toml` in the working folder or above
it, and the user's own, which the first overrides key by key. `MEDIA_AGENT_CONFIG` names one file
that is read instead of both.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from platformdirs import user_data_path
from pydantic import AfterValidator, Field, JsonValue, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.exceptions import SettingsError

from media_agent.backend.protocol import BackendSettings, BackendSpec
from media_agent.builtin.program_environment import build_environment
from media_agent.concealing import concealed, hidden_values, without_keys
from media_agent.config.backend_section import BackendSection
from media_agent.config.file import list_files, read_files
from media_agent.config.jobs_section import JobsSection
from media_agent.config.key_sections import KeySource, PlainPath, SectionName
from media_agent.config.keys import BackendKeys, FoundKey, describe_missing_key
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
from media_agent.config.sources import DELIMITER, PREFIX, Sources
from media_agent.environment import expand_home, variables
from media_agent.errors import ConfigurationError
from media_agent.policy.decisions import PolicyRule
from media_agent.provenance.c2pa.signing import Signing
from media_agent.provenance.quality.embedding import EmbeddingSpec
from media_agent.provenance.quality.rules import QualityRules
from media_agent.redact import redact, redact_value
from media_agent.storage.shared_files import SharedFiles
from media_agent.validation import faults_of
from media_agent_schemas.base import Seconds
from media_agent_schemas.plan import Policy
from media_agent_schemas.quality import FindingKind

_LONG_KEY = 8  # characters; a shorter one may be an ordinary word elsewhere

AbsolutePath = Annotated[PlainPath, AfterValidator(lambda path: expand_home(path).absolute())]


class Settings(BaseSettings):
    """Everything that can be set from outside, each as MEDIA_AGENT_<NAME> or in a file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
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
        return self._keys.find(name, spec)

    def backend_settings(self, name: str, spec: BackendSpec | None = None) -> BackendSettings:
        """Return what is handed to one backend; its spec says which variable usually has its key.

        Raises:
            ConfigurationError: the file with its key cannot be read.
        """
        section = self.backends.get(name, BackendSection())
        found, keys = self._keys.find(name, spec), tuple(self._keys.list_several(name, spec))
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
    def _keys(self) -> BackendKeys:
        return BackendKeys(self.backends)

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
        files = read_files({**env_settings(), **init_settings()}.get("config"))
        sources = [InitSettingsSource(settings_cls, file.data) for file in files]
        return init_settings, env_settings, *sources


class GivenSettings(Settings):
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


def look_at_sources(**arguments: Any) -> Sources:
    """Read the sources of the settings as they are now.

    Raises:
        ConfigurationError: a file or the environment cannot be read.
    """
    try:
        environment = EnvSettingsSource(Settings)()
    except (SettingsError, RecursionError) as error:
        raise _unreadable_environment(error) from None
    files = read_files({**environment, **arguments}.get("config"))
    return Sources(arguments, environment, files)


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
        said = map(look_at_sources(**arguments).describe, faults)
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
