"""The command that brings a model here from the Hugging Face Hub and registers it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from media_agent.cli.arguments import Flag, Name, Yes
from media_agent.cli.commands.models.released import (
    check_space,
    find_released,
    list_released_facts,
    plan_released,
    released_as_json,
)
from media_agent.cli.screen import (
    agree,
    format_size,
    write_facts,
    write_json,
    write_stderr,
)

if TYPE_CHECKING:
    from pathlib import Path

    from media_agent.backend.protocol import BackendSpec
    from media_agent.hub.client import Hub
    from media_agent.hub.plan import ChooseFiles, FetchPlan
    from media_agent.registry.registry import Registry


def fetch_model(
    repository: str,
    /,
    *,
    name: Name = None,
    revision: Name = None,
    variant: Name = None,
    yes: Yes = False,
    json: Flag = False,
) -> int:
    """Download a model from the Hugging Face Hub into the data folder, and register it.

    Shows what would be downloaded, and asks. A download that broke off is continued; every file is
    verified. Weights are fetched as safetensors, those of MAGI-1's text encoder and of wan-causal
    as they were released. A gated model needs a token in HF_TOKEN.

    Args:
        repository: OWNER/NAME on the hub; wan-causal/self-forcing, wan-causal/longlive: of several.
        name: Name to register. Default: derived from the repository and the variant.
        revision: Branch, tag or commit. Default: main.
        variant: Variant of the weights, such as fp16, or one of several models.
        yes: Do not ask.
        json: Print JSON and ask nothing: without --yes nothing is downloaded.
    """
    from media_agent.config.settings import load_settings
    from media_agent.hub.client import Hub
    from media_agent.registry.model_folders import LocalModel, ModelFolders
    from media_agent.registry.registry import Registry

    registry = Registry()
    settings = load_settings()
    released = find_released(registry.specs, repository)
    model = _name_model(repository, name, variant) if released is None else name or released[1]
    folder = settings.data_dir / "models" / model
    shelf = ModelFolders(settings.data_dir)
    shelf.check_free(model, folder)  # before anybody is asked
    hub = Hub.of_environment()
    if released is None:
        choice = _Choice(registry)
        plans = [_plan(hub, repository, revision, variant, choice, folder)]
        spec, facts, said = choice.find_spec(), _list_facts(plans[0]), plans[0].as_json()
    else:
        spec, _, parts = released
        plans = plan_released(hub, parts, folder, revision)
        facts, said = list_released_facts(parts, plans), released_as_json(parts, plans)
    known = LocalModel(name=model, backend=spec.name, folder=folder)
    shelf.is_known(known)
    if not json:
        write_facts(facts)
    check_space(plans)
    is_missing = any(plan.missing_bytes for plan in plans)
    fetches = yes or (
        not json and (not is_missing or agree("download it?", otherwise="nothing was fetched"))
    )
    if fetches:
        for plan in plans:
            _download(hub, plan)
        registry.recognise(model, folder, settings.data_dir)
        shelf.add(known)
    if json:
        model_name = f"{spec.name}/{model}"
        write_json({**said, "model": model_name, "fetched": fetches})
    elif fetches:
        from media_agent.cli.commands.backends import backends

        return backends(f"{spec.name}/{model}")
    return 0


class _Choice:
    """Lets the first backend that can use a repository choose its files."""

    def __init__(self, registry: "Registry") -> None:
        """Take those that models can be fetched for.

        Raises:
            BackendUnavailableError: there is none.
        """
        from media_agent.errors import BackendUnavailableError

        self._registry = registry
        self._specs = [spec for spec in registry.specs.values() if spec.choose_files is not None]
        self._chosen: BackendSpec | None = None
        if not self._specs:
            raise BackendUnavailableError(
                "no installed backend loads models that can be fetched", hint="media-agent backends"
            )

    def __call__(self, folder: "Path", variant: str | None) -> tuple[str, ...]:
        """Return the files to fetch.

        Raises:
            StorageError: no backend can use the repository, and why.
        """
        from media_agent.errors import StorageError

        refusals = []
        for spec in self._specs:
            assert spec.choose_files is not None
            who = f"plugin {self._registry.plugin(spec.name)}: choose_files of {spec.name}"
            try:
                files = _choose(who, spec.choose_files, folder, variant)
            except StorageError as error:
                refusals.append(error.message)
                continue
            self._chosen = spec
            return files
        raise StorageError("; ".join(refusals))

    def find_spec(self) -> "BackendSpec":
        """Return the backend that has chosen."""
        assert self._chosen is not None
        return self._chosen


def _choose(
    who: str, choose: "ChooseFiles", folder: "Path", variant: str | None
) -> tuple[str, ...]:
    """Return what a plugin chooses, behind the fence that every plugin is kept by."""
    from functools import partial

    from media_agent.backend.fence import call_plugin

    return call_plugin(who, partial(choose, folder, variant), tuple)


def _name_model(repository: str, name: str | None, variant: str | None) -> str:
    from pathlib import Path

    from media_agent.registry.model_folders import check_name, name_of

    if name is not None:
        return check_name(name)
    return name_of(Path(repository if variant is None else f"{repository}-{variant}"))


def _plan(
    hub: "Hub",
    repository: str,
    revision: str | None,
    variant: str | None,
    choose: "ChooseFiles",
    folder: "Path",
) -> "FetchPlan":
    import asyncio

    from media_agent.hub.plan import plan_fetch

    return asyncio.run(
        plan_fetch(
            hub,
            repository,
            folder=folder,
            choose=choose,
            revision=revision or "main",
            variant=variant,
        )
    )


def _list_facts(plan: "FetchPlan") -> Iterator[tuple[str, object]]:
    repository = plan.repository
    free = "unknown" if plan.free_bytes is None else format_size(plan.free_bytes)
    yield "model", f"{repository.name} at {repository.commit}"
    yield "licence", f"{repository.licence or 'unknown'}, as the hub says"
    yield "gated", "yes, with your token" if repository.is_gated else "no"
    yield "files", f"{len(plan.files)}, {format_size(plan.total_bytes)}"
    yield "to fetch", format_size(plan.missing_bytes)
    yield "folder", f"{plan.folder} ({free} free)"


def _download(hub: "Hub", plan: "FetchPlan") -> None:
    import asyncio

    from media_agent.cli.progress import BytesLine
    from media_agent.hub.download import Download

    try:
        with BytesLine(plan.repository.name, plan.total_bytes) as line:
            asyncio.run(Download(hub, plan, report=line).run())
    except KeyboardInterrupt:
        write_stderr(f"what came is kept in {plan.folder}; the same command continues")
        raise
