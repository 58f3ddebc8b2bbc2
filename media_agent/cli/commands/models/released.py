"""Models that are fetched from several repositories: their plans, together."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.cli.screen import format_size

if TYPE_CHECKING:
    from pydantic import JsonValue

    from media_agent.backend.protocol import BackendSpec
    from media_agent.backend.released import ReleasedModel, ReleasedPart
    from media_agent.hub.client import Hub
    from media_agent.hub.plan import FetchPlan


def find_released(
    specs: "Mapping[str, BackendSpec]", asked: str
) -> "tuple[BackendSpec, str, ReleasedModel] | None":
    """Return the backend, the name and the parts of a model: by BACKEND/NAME, or its repository."""
    for spec in specs.values():
        for name, model in spec.released.items():
            if asked in (f"{spec.name}/{name}", model.parts[0].repository):
                return spec, name, model
    return None


def plan_released(
    hub: "Hub", model: "ReleasedModel", folder: Path, revision: str | None
) -> "list[FetchPlan]":
    """Plan every part; `revision` is of the first, the others are taken as they are now.

    Raises:
        InvalidRequestError: a repository does not have what is needed.
        MediaAgentError: the hub refuses or cannot be reached.
    """
    import asyncio
    from functools import partial

    from media_agent.hub.plan import plan_fetch

    async def plan() -> "list[FetchPlan]":
        return [
            await plan_fetch(
                hub,
                part.repository,
                folder=folder if part.shared is None else folder.parent / part.shared,
                choose=partial(_choose, part),
                revision=(None if number else revision) or "main",
            )
            for number, part in enumerate(model.parts)
        ]

    return asyncio.run(plan())


def check_space(plans: "Sequence[FetchPlan]") -> None:
    """Refuse a disk that is too small for all parts together.

    Raises:
        StorageError: more is missing than is free.
    """
    from dataclasses import replace

    files = tuple(file for plan in plans for file in plan.files)
    missing = sum(plan.missing_bytes for plan in plans)
    first = plans[0]
    if first.free_bytes is not None and missing > first.free_bytes:
        replace(first, files=files).check_space()


def list_released_facts(
    model: "ReleasedModel", plans: "Sequence[FetchPlan]"
) -> Iterator[tuple[str, object]]:
    """Yield what would be fetched, part by part, on whose terms, and how much in all."""
    for plan in plans:
        repository = plan.repository
        yield "from", f"{repository.name} at {repository.commit}"
        for file in plan.files:
            yield "file", f"{file.name}, {format_size(file.size)}"
        yield "licence", f"{repository.licence or 'unknown'}, as the hub says"
        yield "gated", "yes, with your token" if repository.is_gated else "no"
        yield "folder", plan.folder
    yield "weights", f"their licence is {model.licence}"
    yield "to fetch", format_size(sum(plan.missing_bytes for plan in plans))
    free = plans[0].free_bytes
    yield "free", "unknown" if free is None else format_size(free)


def released_as_json(
    model: "ReleasedModel", plans: "Sequence[FetchPlan]"
) -> "dict[str, JsonValue]":
    """Return the plans for programs."""
    return {
        "licence": model.licence,
        "parts": [plan.as_json() for plan in plans],
        "total_bytes": sum(plan.total_bytes for plan in plans),
        "missing_bytes": sum(plan.missing_bytes for plan in plans),
        "free_bytes": plans[0].free_bytes,
    }


def _choose(part: "ReleasedPart", skeleton: Path, variant: str | None) -> tuple[str, ...]:
    from media_agent.errors import StorageError

    absent = [name for name in part.files if not (skeleton / name).is_file()]
    if absent:
        raise StorageError(f"{part.repository} has no {', '.join(absent)}")
    return part.files
