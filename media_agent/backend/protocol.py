"""What a backend is: nine members, and how one is declared.

One shape serves an instant local model, an endless chunk engine and a remote service that is
polled. Authors rarely write it by hand: `LocalBackend` asks them for `generate` alone.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypeVar

from pydantic import BaseModel, JsonValue, SecretStr, ValidationError

from media_agent.backend.free_memory import FreeMemory
from media_agent.backend.hints import Hints
from media_agent.backend.released import ReleasedModel
from media_agent.concealing import without_keys
from media_agent.errors import (
    ConfigurationError,
    Fault,
    ModelRetiredError,
    StorageError,
    UnsupportedRequestError,
)
from media_agent.validation import faults_of
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.events import BackendEvent
from media_agent_schemas.jobs import ChangePrompt, Finish, OperationRef, ResumeToken
from media_agent_schemas.request import VideoRequest


class VideoBackend(Protocol):
    """Makes videos; what it can do is data in `Capabilities`, never a missing method."""

    @property
    def name(self) -> str:
        """Return `BackendSettings.name`; where that is empty, the name in the spec."""
        ...

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what a model can do; None is the default model. Pure data, no I/O.

        Raises:
            InvalidRequestError: the backend has no such model.
        """
        ...

    def estimate(self, request: VideoRequest) -> Estimate:
        """Say what the request would cost in money and time, None where unknown. No I/O."""
        ...

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        """Accept a negotiated request and return at once with what finds the work again.

        The same key and request give the same operation.

        Raises:
            IdempotencyConflictError: the key belongs to another request.
            NotResumableError: the token cannot be continued.
            BackendError: nothing was accepted; with SubmitUncertainError that is unknown.
        """
        ...

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Look for work accepted under this key since then, whose reply was lost.

        None says that nothing was found, or that this backend cannot tell: `Capabilities.lookup`
        says which. It never starts anything.

        Raises:
            BackendError: the backend could not be asked; ask again later.
        """
        ...

    def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        """Yield what happens, ending with exactly one terminal event.

        May be called again, and may then repeat itself. A failed poll is raised as
        BackendUnavailableError and says nothing about the job.

        Raises:
            OperationNotFoundError: this backend knows no such operation.
        """
        ...

    async def control(
        self, ref: OperationRef, command: ChangePrompt | Finish, *, number: int
    ) -> None:
        """Steer running work; the effect shows as an event.

        Later commands have higher numbers. When work is resumed, all its commands are handed over
        again, oldest first: one whose number was applied before is not applied again.
        """
        ...

    async def cancel(self, ref: OperationRef) -> None:
        """Ask to stop; the terminal event says what became of it. Harmless when already over."""
        ...

    async def aclose(self) -> None:
        """Stop everything and release threads, memory and connections."""
        ...


Options = TypeVar("Options", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class LimitedKey:
    """One of several keys of a backend, and what its provider allows with it."""

    name: str
    key: SecretStr | None = None
    problem: str | None = None
    """Why there is no key where the settings say that one is."""
    requests_per_minute: float | None = None
    """Submissions a minute; None: no limit."""
    concurrent: int | None = None
    """Jobs at work at a time; None: no limit."""


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """Everything that a backend gets from its environment; it looks up nothing itself."""

    data_dir: Path
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    base_url: str | None = None
    key: SecretStr | None = None
    keys: tuple[LimitedKey, ...] = ()
    """Several keys, for a backend that takes them; `key` is then the first that is there."""
    names_key: bool = False
    """Whether the settings say which key to use, and it is then wanted."""
    key_problem: str | None = None
    """Why there is no key where the settings say that one is."""
    key_hint: str = ""
    """How to give it one: the variable, the command and the file; empty: made without settings."""
    name: str = ""
    """The name of its section in the settings; empty where it was made without settings."""
    model: str | None = None
    """The model that the settings make its default; None: the backend's own."""
    folder: Path | None = None
    """The folder of the settings file, from which relative paths count."""
    usd_per_gpu_hour: float | None = None
    """What an hour of work costs where it sends no bill, by the settings; None: nothing."""
    threads: int | None = None
    """CPU threads of one piece of work here; None: the backend's own choice."""
    secrets: tuple[SecretStr, ...] = ()
    """Every key that the settings know, to keep them out of what others say."""
    environment: Callable[[Iterable[str]], Mapping[str, str]] | None = None
    """Returns the environment of a program that is run: harmless variables and these by name."""
    models: Mapping[str, Path] = field(default_factory=dict)
    """Folders of weights that `media-agent models add` named, for a backend that takes folders."""
    gguf: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    """By the name of such a model: GGUF files that it named with it, by their component."""

    callback_url: str | None = None
    """Where its service may say that work has news; None: nowhere, so it is only polled."""
    hints: Hints = field(default_factory=Hints)
    """What was said there, to be heard between two polls."""
    free_memory: FreeMemory = field(default_factory=FreeMemory)
    """What is free on this machine, as whoever plans has read it."""

    def missing_key(self, keys_at: str | None = None) -> str | None:
        """Return what `Capabilities.missing` says of a key that is wanted; None: it is there.

        `keys_at` is the page where keys are made.
        """
        if self.key is not None:
            return None
        usual = f"set key, key_env or key_file under [backends.{self.name}]"
        way_out = self.key_problem or self.key_hint or usual
        return (
            f"a key: {way_out}"
            if keys_at is None
            else f"a key: {way_out}; create a key at {keys_at}"
        )

    def read_options(self, shape: type[Options]) -> Options:
        """Return the options as a model that says their shape.

        Raises:
            ConfigurationError: an option is unknown, missing or malformed; all are listed.
        """
        try:
            return shape.model_validate(dict(self.options))
        except ValidationError as error:
            faults = self._list_option_faults(error, shape)
            said = "; ".join(f"{'.'.join(fault.place)}: {fault.problem}" for fault in faults)
            raise ConfigurationError(without_keys(said), faults=faults) from None

    def _list_option_faults(self, error: ValidationError, shape: type[BaseModel]) -> list[Fault]:
        """Return what is wrong; options are judged together only where each alone is right."""
        place = ("backends", self.name, "options")
        faults = faults_of(error, shape, at=place)
        problems = [(each["type"], len(each["loc"])) for each in error.errors()]
        if set(problems) == {("extra_forbidden", 1)}:
            known = {
                name: self.options[name] for name in self.options if name in shape.model_fields
            }
            try:
                shape.model_validate(known)
            except ValidationError as rest:
                faults += faults_of(rest, shape, at=place)
        return faults


class NamedBackend(ABC):
    """What every base for authors starts from: settings, a name, and what its author says of it."""

    kind: ClassVar[str]
    """The name in its spec, used unless a section of the settings names the backend."""

    def __init__(self, settings: BackendSettings) -> None:
        self.settings = settings

    @property
    def name(self) -> str:
        """Return the name of its section in the settings, else that of its kind."""
        return self.settings.name or self.kind

    @abstractmethod
    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what a model can do; None is the default model. Pure data, no I/O."""

    @abstractmethod
    def estimate(self, request: VideoRequest) -> Estimate:
        """Say what the request would cost in money and time, None where unknown. No I/O."""


@dataclass(frozen=True, slots=True)
class Retirement:
    """What is known of a service that is gone."""

    what: str
    """What ended, as the start of a sentence."""
    date: date
    source: str
    successor: str | None = None
    """What to use instead; None: nothing was named."""

    def to_error(self) -> ModelRetiredError:
        """Return the error for whoever still names it."""
        instead = self.successor or "no successor was named: media-agent backends lists others"
        return ModelRetiredError(f"{self.what} ended on {self.date} ({self.source})", hint=instead)


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Why a service that people ask for is not supported."""

    what: str
    """What it is, as the start of a sentence."""
    reason: str
    """Why not, after "because"."""
    instead: str
    """What to use instead."""

    def to_error(self) -> UnsupportedRequestError:
        """Return the error for whoever names it."""
        return UnsupportedRequestError(
            f"{self.what} is not supported, because {self.reason}", hint=self.instead
        )


@dataclass(frozen=True, slots=True)
class CallbackSigning:
    """How a service signs what it sends to `BackendSettings.callback_url`."""

    scheme: Literal["standard-webhooks", "fal"]
    keys_url: str | None = None
    """Where its public keys are; None: it signs with a secret, which the settings say."""


class ForeignFolderError(StorageError):
    """A folder in no layout that a backend knows: it may be another's."""


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """Declares a backend; the factory does the heavy imports and runs at first use."""

    name: str
    factory: Callable[[BackendSettings], VideoBackend]
    catalogue: Path | None = None
    simulator: str | None = None
    """Where the `media_agent.testing.Simulator` of its provider is, as "module:class"."""
    needs_section: bool = False
    """Whether it is only a kind, which a section of the settings must fill with options."""
    key_variables: tuple[str, ...] = ()
    """The variables that usually hold its key; used where the settings name none."""
    key_origin: str | None = None
    """Where a key of these variables may go if the settings name a `base_url`: to this origin."""
    takes_folders: bool = False
    """Whether it loads folders of weights; it gets the named ones in `BackendSettings.models`."""
    has_models: bool = False
    """Whether it has models besides those in folders; else it is nothing without a folder."""
    choose_files: Callable[[Path, str | None], tuple[str, ...]] | None = None
    """Returns which files of a model it loads, by a folder and the variant that is wanted; None:
    models are not fetched for it. In the folder all but the small JSON files are empty, and what
    makes the model unusable is raised as StorageError."""
    released: Mapping[str, ReleasedModel] = field(default_factory=dict)
    """Models that are fetched from several repositories, by the name that follows the backend's."""
    awaits_option: str | None = None
    """The option without which it has no models yet: until it is set, nothing is wrong with it."""
    takes_keys: bool = False
    """Whether the settings may give it several keys, with limits."""
    callbacks: CallbackSigning | None = None
    """How its service signs what it sends to `callback_url`; None: it does not sign it."""
    retired: Retirement | None = None
    """What is said instead of making it: the service is gone."""
    unsupported: Unsupported | None = None
    """What is said instead of making it: nobody could make it work."""

    @property
    def absent(self) -> Retirement | Unsupported | None:
        """Why it is known by name only; None: it can be made."""
        return self.retired or self.unsupported
