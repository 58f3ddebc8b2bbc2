"""From the name of a backend to the backend, made at first use."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Self

from media_agent.backend.fence import FencedBackend, describe_error
from media_agent.backend.protocol import (
    BackendSettings,
    BackendSpec,
    ForeignFolderError,
    VideoBackend,
)
from media_agent.concealing import without_keys
from media_agent.errors import (
    BackendUnavailableError,
    ConfigurationError,
    Fault,
    InvalidRequestError,
    MediaAgentError,
    PluginError,
    StorageError,
)
from media_agent.policy.decisions import PolicySpec
from media_agent.provenance.quality.embedding import EmbeddingSpec
from media_agent.registry.model_folders import add_models
from media_agent.registry.plugins import BrokenPlugin, Discovery, discover
from media_agent.suggest import did_you_mean
from media_agent_schemas.capabilities import Capabilities


class Registry:
    """Knows the backends installed and those declared in the settings; looks when first asked."""

    def __init__(
        self, discovery: Discovery | None = None, *, kinds: Mapping[str, str] | None = None
    ) -> None:
        """Take what plugins offer, and for each section of the settings which backend it is."""
        if discovery is not None:
            self._discovery = discovery
        self._kinds = dict(kinds or {})

    @classmethod
    def discover(cls) -> Self:
        """Look now; loads every plugin, but no backend and nothing heavy."""
        return cls(discover())

    @property
    def specs(self) -> Mapping[str, BackendSpec]:
        """What the plugins offer, by name; some of it is only a kind for sections."""
        return self._discovery.specs

    @property
    def policies(self) -> Mapping[str, PolicySpec]:
        """The kinds of policies, by name."""
        return self._discovery.policies

    def find_embedding(self, name: str | None) -> EmbeddingSpec | None:
        """Return the embedding of a name; None: the simple one is meant.

        Raises:
            PluginError: no plugin offers it.
        """
        if name is None:
            return None
        known = self._discovery.embeddings
        if name not in known:
            hint = f"{did_you_mean(name, known)}; see embedding in the settings"
            raise PluginError(f"no plugin offers the embedding {name!r}", hint=hint)
        return known[name]

    @property
    def broken(self) -> tuple[BrokenPlugin, ...]:
        """The plugins that were left out, and why."""
        return self._discovery.broken

    def list_broken(self) -> dict[str, MediaAgentError]:
        """Return what was left out as errors, under names that no backend has."""
        found: dict[str, BrokenPlugin] = {}
        for each in self.broken:
            name = f"plugin {each.plugin}" if each.plugin in self.names() else each.plugin
            if name in found:
                reason = f"{found[name].reason}; {each.reason}"
                each = BrokenPlugin(each.plugin, reason, each.package)
            found[name] = each
        return {name: each.to_error() for name, each in found.items()}

    def names(self) -> list[str]:
        """Return the names of all backends, sorted."""
        offered = {
            name
            for name, spec in self.specs.items()
            if not spec.needs_section and spec.absent is None
        }
        return sorted(offered | self._kinds.keys())

    def kind(self, name: str) -> str:
        """Return which backend a name stands for: that of its section, else itself."""
        return self._kinds.get(name, name)

    def spec(self, name: str) -> BackendSpec | None:
        """Return what declares the backend of a name, None if nothing does."""
        return self.specs.get(self.kind(name))

    def plugin(self, name: str) -> str:
        """Return the name of the plugin that a backend comes from."""
        kind = self.kind(name)
        return self._discovery.owners.get(kind, kind)

    def create(self, name: str, settings: BackendSettings) -> VideoBackend:
        """Make a backend; heavy imports happen here.

        Raises:
            InvalidRequestError: there is none of this name; the hint names the nearest.
            ModelRetiredError: its service is gone.
            ConfigurationError: its section in the settings is faulty.
            BackendUnavailableError: it is installed but a library is missing.
            PluginError: its plugin is broken.
        """
        spec = self._find_spec(name)
        if settings.keys and not spec.takes_keys:
            fault = Fault(("backends", name, "keys"), f"{spec.name} takes one key, not several")
            raise ConfigurationError(
                f"backend {name}: {fault.problem}", faults=[fault], hint="use key_env or key_file"
            )
        if spec.takes_folders:
            settings = add_models(spec.name, settings)
        is_named = name != spec.name  # by a section of the settings
        return self.make(spec, replace(settings, name=name) if is_named else settings)

    def make(self, spec: BackendSpec, settings: BackendSettings) -> VideoBackend:
        """Make the backend of a spec, behind the fence that every plugin is kept by.

        Raises:
            BackendUnavailableError: a library is missing.
            PluginError: its plugin broke, or what it made is no backend.
        """
        plugin = self.plugin(spec.name)

        def make_checked() -> VideoBackend:
            try:
                return spec.factory(settings)
            except ImportError as error:
                by = "" if plugin == spec.name else f" of plugin {plugin}"
                raise BackendUnavailableError(
                    f"backend {spec.name}{by} is missing a package: {describe_error(error)}",
                    hint=f"see the installation notes of plugin {plugin}",
                ) from error

        return FencedBackend(
            plugin,
            spec.name,
            make_checked,
            name=settings.name,
            model=settings.model,
            usd_per_gpu_hour=settings.usd_per_gpu_hour,
        )

    def recognise(
        self,
        model: str,
        folder: Path,
        data_dir: Path,
        gguf: Mapping[str, Path] | None = None,
    ) -> Capabilities:
        """Ask the backends that load folders what this one can do; its weights are not loaded.

        `gguf` has the file that takes the place of the weights of a component.

        Raises:
            MediaAgentError: no backend can use the folder, and why.
        """
        refusals: list[MediaAgentError] = []
        for spec in self.specs.values():
            if not spec.takes_folders:
                continue
            settings = BackendSettings(data_dir, models={model: folder}, gguf={model: gguf or {}})
            try:
                return self.make(spec, settings).capabilities(model)
            except MediaAgentError as error:
                refusals.append(error)
        own = [error for error in refusals if not isinstance(error, ForeignFolderError)]
        if len(own or refusals) == 1:
            raise (own or refusals)[0]
        said = "; ".join(error.message for error in refusals) or "no backend here loads folders"
        kind: type[MediaAgentError] = StorageError if refusals else InvalidRequestError
        raise kind(f"the model folder {folder} cannot be used: {said}")

    def _find_spec(self, name: str) -> BackendSpec:
        kind = self.kind(name)
        spec = self.specs.get(kind)
        if spec is None:
            raise self._unknown_error(name, kind)
        if spec.absent is not None:
            raise spec.absent.to_error()
        if spec.needs_section and name not in self._kinds:
            raise InvalidRequestError(
                f"{name} is a kind of backend and needs a section in the settings",
                hint=f'declare one: [backends.NAME] with kind = "{name}" in media-agent.toml',
            )
        return spec

    @cached_property
    def _discovery(self) -> Discovery:
        return discover()

    def _unknown_error(self, name: str, kind: str) -> MediaAgentError:
        kinds = [each for each, spec in self.specs.items() if spec.absent is None]
        reasons = [broken.reason for broken in self.broken if broken.plugin == kind]
        because = f" (plugin {kind} is broken: {reasons[0]})" if reasons else ""
        if name in self._kinds:
            fault = Fault(
                ("backends", name, "kind"),
                without_keys(f"unknown kind {kind!r}{because}; {did_you_mean(kind, kinds)}"),
            )
            return ConfigurationError(f"backend {name}: {fault.problem}", faults=[fault])
        return InvalidRequestError(
            f"unknown backend {name!r}{because}", hint=did_you_mean(name, self.names())
        )
