"""The command that says where a video comes from, by its C2PA manifest and its watermark."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from media_agent.cli.arguments import Flag
from media_agent.cli.commands.videos.inspect import find_video
from media_agent.cli.screen import one_line, write_json, write_raw_line

_NAME_WIDTH = 10
_UNSURE = 1

Anchors = Annotated[tuple[Path, ...], Parameter(metavar="FILE", negative=())]


def provenance(video: str, /, *, json: Flag = False, trust_anchors: Anchors = ()) -> int:
    """Say who signed a video, whether it is unchanged, and how it was generated.

    Reads its C2PA manifest, and the watermark in its frames; no address is followed. Exit code 0 if
    it is Trusted or Valid, else 1. Without the extra c2pa only the watermark is read.

    Args:
        video: A file, such as a video or an image; or a job, as shown by jobs list.
        json: Print the report as JSON.
        trust_anchors: Root certificates to trust, as PEM, beside those of the settings.
    """
    from media_agent.cli.store import open_ledger
    from media_agent.config.settings import load_settings
    from media_agent.environment import expand_home
    from media_agent.jobs.find_marked import find_watermarks
    from media_agent.provenance.c2pa.read import read_provenance
    from media_agent.provenance.c2pa.words import provenance_in_words
    from media_agent_schemas.provenance import ProvenanceState

    path, _, _ = find_video(video)
    settings = load_settings()
    known = map(expand_home, settings.provenance.trust_anchors)
    report = read_provenance(path, (*known, *trust_anchors))
    marks = find_watermarks(path, open_ledger())
    report = report.model_copy(update={"watermarks": marks})
    if json:
        write_json(report)
    else:
        for name, fact in provenance_in_words(report):
            write_raw_line(f"{name:<{_NAME_WIDTH}} {one_line(fact)}")
    is_sound = report.state in (ProvenanceState.TRUSTED, ProvenanceState.VALID)
    return 0 if is_sound else _UNSURE
