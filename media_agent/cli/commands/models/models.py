"""The commands about folders of weights on this machine: add, list, check, remove."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from media_agent.cli.arguments import Flag, GgufFiles, Name
from media_agent.cli.commands.backends import backends, format_longest
from media_agent.cli.commands.models.fetch import fetch_model
from media_agent.cli.commands.models.smoke import smoke_model
from media_agent.cli.screen import write_json, write_stdout, write_table
from media_agent.shorten import shorten

if TYPE_CHECKING:
    from pydantic import JsonValue

    from media_agent.backend.protocol import VideoBackend
    from media_agent.config.settings import Settings
    from media_agent_schemas.capabilities import Capabilities

_DENOISER = "transformer"
_NONE = (
    "no models yet; get one: media-agent models fetch REPOSITORY, or media-agent models add FOLDER"
)


def build_models_app() -> App:
    """Return the commands."""
    app = App(name="models", help="Fetch, add, list, check, try or remove weights on this machine.")
    app.command(fetch_model, name="fetch")
    app.command(add_model, name="add")
    app.command(list_models, name="list")
    app.command(check_model, name="check")
    app.command(smoke_model, name="smoke")
    app.command(remove_model, name="remove")
    return app


def add_model(
    folder: Path, /, *, name: Name = None, gguf: GgufFiles = (), json: Flag = False
) -> int:
    """Check a folder of weights and register it under a name, for use as BACKEND/NAME.

    Args:
        folder: A folder as diffusers, MAGI-1, Self-Forcing or LongLive lay it out.
        name: Name to register. Default: derived from the name of the folder.
        gguf: GGUF file for a component, such as transformer=FILE; may be repeated.
        json: Print JSON: {"data": [model]}, as backends does.
    """
    from media_agent.config.settings import load_settings
    from media_agent.environment import expand_home
    from media_agent.errors import InvalidRequestError
    from media_agent.registry.model_folders import LocalModel, ModelFolders, check_name, name_of
    from media_agent.registry.registry import Registry

    folder = expand_home(folder).absolute()
    model = name_of(folder) if name is None else check_name(name)
    settings = load_settings()
    files = dict(_read_gguf(each) for each in gguf)
    if len(files) < len(gguf):
        raise InvalidRequestError(
            "--gguf names two files for one component", hint="use --gguf COMPONENT=FILE"
        )
    capabilities = Registry().recognise(model, folder, settings.data_dir, files)
    ModelFolders(settings.data_dir).add(
        LocalModel(name=model, backend=capabilities.backend, folder=folder, gguf=files)
    )
    return backends(f"{capabilities.backend}/{model}", json=json)


def _read_gguf(said: str) -> tuple[str, Path]:
    """Return the component and the file of `COMPONENT=FILE`, or of `FILE` alone."""
    from media_agent.environment import expand_home

    named = re.fullmatch(r"([a-z][a-z0-9_]*)=(.*)", said)
    component, file = named.groups() if named else (_DENOISER, said)
    return component, expand_home(Path(file)).absolute()


def list_models(*, json: Flag = False) -> int:
    """List the registered folders of weights, and whether each is ready.

    Args:
        json: Print JSON: {"data": [model, ...]}.
    """
    from media_agent.config.settings import load_settings

    models = check_models(load_settings())
    if json:
        write_json({"data": [known.as_json() for known in models]})
        return 0
    if not models:
        write_stdout(_NONE)
        return 0
    heads = ("MODEL", "MODE", "LONGEST", "FOLDER", "STATE")
    write_table(heads, [_format_row(known) for known in models])
    return 0


def check_model(name: str | None = None, /, *, json: Flag = False) -> int:
    """Check one folder of weights, or all: which file is missing, truncated or not to be used.

    Args:
        name: As shown by models list, with or without the backend, or a folder. Default: all.
        json: Print JSON: {"data": [model, ...]}, as models list does.
    """
    from media_agent.config.settings import load_settings
    from media_agent.environment import expand_home
    from media_agent.error_codes import exit_code
    from media_agent.errors import InvalidRequestError, StorageError
    from media_agent.suggest import did_you_mean

    settings = load_settings()
    models = check_models(settings)
    if name is not None:
        names = [known.model for known in models]
        models = [known for known in models if name in (known.model, known.model.partition("/")[2])]
        if not models and (folder := expand_home(Path(name))).is_dir():
            models = [_check_unnamed(folder.absolute(), settings.data_dir)]
        if not models:
            raise InvalidRequestError(f"unknown model {name!r}", hint=did_you_mean(name, names))
    if json:
        write_json({"data": [known.as_json() for known in models]})
    elif not models:
        write_stdout(_NONE)
    else:
        for known in models:
            write_stdout(f"{known.model}: {known.problem or 'ready'}")
            if known.hint:
                write_stdout(f"  hint: {known.hint}")
    is_sound = all(known.problem is None for known in models)
    return 0 if is_sound else exit_code(StorageError("a model is unusable"))


def remove_model(name: str, /) -> int:
    """Unregister a folder of weights; the folder itself is kept.

    Args:
        name: As shown by models list, without the backend.
    """
    from media_agent.config.settings import load_settings
    from media_agent.registry.model_folders import ModelFolders

    removed = ModelFolders(load_settings().data_dir).remove(name.rpartition("/")[2])
    write_stdout(
        f"{removed.backend}/{removed.name} was removed; its files are still in {removed.folder}"
    )
    return 0


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A named folder, and what it can do or what is wrong with it."""

    model: str
    folder: str
    capabilities: "Capabilities | None" = None
    problem: str | None = None
    hint: str | None = None

    def as_json(self) -> "dict[str, JsonValue]":
        """Return it for programs."""
        can = self.capabilities
        return {
            "model": self.model,
            "folder": self.folder,
            "problem": self.problem,
            "hint": self.hint,
            "capabilities": None if can is None else can.model_dump(mode="json"),
        }


def check_models(settings: "Settings") -> list[KnownModel]:
    """Return the folders that were added or are in the settings, each checked now.

    Raises:
        StorageError: the list of added models cannot be read.
    """
    from media_agent.errors import MediaAgentError
    from media_agent.registry.model_folders import ModelFolders
    from media_agent.registry.registry import Registry

    registry = Registry(kinds=settings.kinds())
    shelf = ModelFolders(settings.data_dir)
    found: list[KnownModel] = []
    for backend_name in registry.names():
        kind = registry.kind(backend_name)
        if kind not in registry.specs or not registry.specs[kind].takes_folders:
            continue
        own = settings.backend_settings(backend_name, registry.spec(backend_name))
        said = own.options.get("models")
        folders = {**shelf.list_folders(kind), **(said if isinstance(said, dict) else {})}
        try:
            backend = registry.create(backend_name, own)
        except MediaAgentError as error:
            found.append(KnownModel(backend_name, "", problem=error.message, hint=error.hint))
            continue
        found += [
            _check_folder(f"{backend_name}/{model}", str(folder), model, backend)
            for model, folder in folders.items()
        ]
    return found


def _check_folder(name: str, folder: str, model: str, backend: "VideoBackend") -> KnownModel:
    from media_agent.errors import MediaAgentError

    try:
        return KnownModel(name, folder, capabilities=backend.capabilities(model))
    except MediaAgentError as error:
        return KnownModel(name, folder, problem=error.message, hint=error.hint)


def _check_unnamed(folder: Path, data_dir: Path) -> KnownModel:
    """Check a folder that has no name yet."""
    from media_agent.errors import MediaAgentError
    from media_agent.registry.registry import Registry

    try:
        capabilities = Registry().recognise(folder.name, folder, data_dir)
    except MediaAgentError as error:
        return KnownModel(str(folder), str(folder), problem=error.message, hint=error.hint)
    return KnownModel(str(folder), str(folder), capabilities=capabilities)


def _format_row(known: KnownModel) -> tuple[str, ...]:
    capabilities = known.capabilities
    if capabilities is None:
        return known.model, "-", "-", known.folder, shorten(known.problem or "", 200)
    return (
        known.model,
        ", ".join(capabilities.modes),
        format_longest(capabilities),
        known.folder,
        "ready",
    )
