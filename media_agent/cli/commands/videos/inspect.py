"""The command that measures a video and says what is wrong with it."""

from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.cli.arguments import Flag, Output
from media_agent.cli.screen import write_json, write_raw_line, write_stdout
from media_agent.cli.store import open_ledger

if TYPE_CHECKING:
    from media_agent.provenance.quality.rules import QualityRules
    from media_agent_schemas.media import Artifact

_NAME_WIDTH = 16


def inspect(
    video: str, /, *, json: Flag = False, out: Output = None, overwrite: Flag = False
) -> int:
    """Measure a video: what is fine, what is not, and when.

    Looks for black, frozen and repeated frames, jumps, flicker, and a drift of colour, sharpness,
    contrast and motion; measures how loud it is. Of a job, the seams between chunks are scored too.

    Args:
        video: A video file; or a job, as shown by jobs list.
        json: Print the report as JSON.
        out: Also write an image, .png: frames, and curves over time.
        overwrite: Replace the image if it exists.
    """
    from media_agent.storage.new_file import check_new_file

    path, known, boundaries = find_video(video)
    if out is not None:
        check_new_file(out, "--out", overwrite=overwrite, suffix=".png")
    _check_installed()
    from media_agent.provenance.quality.chart import write_chart
    from media_agent.provenance.quality.report import inspect_video
    from media_agent.provenance.quality.words import report_in_words

    metadata = None if known is None else known.metadata
    rules = _read_rules()
    inspection = inspect_video(
        path,
        metadata=metadata,
        boundaries=boundaries,
        embedding=rules.find_embedding(),
        limits=rules.limits,
    )
    if out is not None:
        write_chart(path, inspection, out, boundaries=boundaries)
    if json:
        write_json(inspection.report)
        return 0
    for name, line in report_in_words(inspection.report):
        write_raw_line(f"{name:<{_NAME_WIDTH}} {line}")
    if out is not None:
        write_stdout(f"{out}: frames and curves")
    return 0


def find_video(video: str) -> "tuple[Path, Artifact | None, list[int]]":
    """Return the file, and of a job what is known of it and where its chunks begin.

    Raises:
        InvalidRequestError: there is no such file, and no such job, or it has no video.
    """
    from media_agent.errors import InvalidRequestError, JobNotFoundError
    from media_agent.provenance.seams import find_boundaries

    if _exists(Path(video)):
        return Path(video), None, _find_recorded(Path(video))
    store = open_ledger()
    try:
        job = store.jobs.get(store.jobs.find(video))
    except JobNotFoundError as error:
        raise InvalidRequestError(f"{video} is no file, and no job") from error
    known = job.artifacts[0] if job.artifacts else None
    if known is None or known.path is None:
        raise InvalidRequestError(f"job {job.id} has no video on this machine")
    return Path(known.path), known, find_boundaries(job, known, store.events.read(job.id))


def _read_rules() -> "QualityRules":
    """Return the limits and the embedding of the settings."""
    from media_agent.config.settings import load_settings
    from media_agent.registry.registry import Registry

    settings = load_settings()
    return settings.quality_rules(lambda: Registry().find_embedding(settings.embedding))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no name of a file: too long, or with a NUL
        return False


def _find_recorded(path: Path) -> list[int]:
    """Return where segments begin, if the record beside a video says it."""
    from pydantic import ValidationError

    from media_agent_schemas.records import GenerationRecord

    try:
        record = GenerationRecord.model_validate_json(path.with_suffix(".json").read_bytes())
    except (OSError, ValidationError):
        return []
    return [seam.frame for seam in record.seams]


def _check_installed() -> None:
    """Refuse to begin without numpy and Pillow.

    Raises:
        BackendUnavailableError: one of them is missing.
    """
    from importlib.util import find_spec

    from media_agent.distribution import install_hint
    from media_agent.errors import BackendUnavailableError

    missing = [name for name in ("numpy", "PIL") if find_spec(name) is None]
    if missing:
        raise BackendUnavailableError(
            f"inspect needs {' and '.join(missing)}", hint=install_hint("local")
        )
