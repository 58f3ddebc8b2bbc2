"""Writes the JSON Schemas: `python -m media_agent_schemas.export [FOLDER]`."""

import argparse
import json
import re
from pathlib import Path

from pydantic import JsonValue, TypeAdapter

from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.events import BackendEvent, JobEvent
from media_agent_schemas.jobs import JobSummary, OperationRef, ResumeToken, VideoJob
from media_agent_schemas.media import Artifact, VideoMetadata
from media_agent_schemas.plan import Plan, PlanReport
from media_agent_schemas.provenance import GenerationAssertion, ProvenanceReport
from media_agent_schemas.quality import QualityReport
from media_agent_schemas.records import GenerationRecord
from media_agent_schemas.request import Shot, VideoRequest

FOLDER = Path(__file__).parent / "json"

_ADAPTERS: dict[str, TypeAdapter[object]] = {
    "Artifact": TypeAdapter(Artifact),
    "BackendEvent": TypeAdapter(BackendEvent),
    "Capabilities": TypeAdapter(Capabilities),
    "ErrorInfo": TypeAdapter(ErrorInfo),
    "Estimate": TypeAdapter(Estimate),
    "GenerationAssertion": TypeAdapter(GenerationAssertion),
    "GenerationRecord": TypeAdapter(GenerationRecord),
    "JobEvent": TypeAdapter(JobEvent),
    "JobSummary": TypeAdapter(JobSummary),
    "OperationRef": TypeAdapter(OperationRef),
    "Plan": TypeAdapter(Plan),
    "PlanReport": TypeAdapter(PlanReport),
    "ProvenanceReport": TypeAdapter(ProvenanceReport),
    "QualityReport": TypeAdapter(QualityReport),
    "ResumeToken": TypeAdapter(ResumeToken),
    "Shot": TypeAdapter(Shot),
    "VideoJob": TypeAdapter(VideoJob),
    "VideoMetadata": TypeAdapter(VideoMetadata),
    "VideoRequest": TypeAdapter(VideoRequest),
}

NAMES = tuple(_ADAPTERS)
"""The exported types, by name."""


def build_json_schema(name: str) -> dict[str, JsonValue]:
    """Return the JSON Schema of one exported type.

    Raises:
        KeyError: the name is not in `NAMES`.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_ADAPTERS[name].json_schema(),
    }


def file_name_of(name: str) -> str:
    """Return the file of a type: VideoRequest is in video_request.json."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() + ".json"


def export(folder: Path = FOLDER) -> None:
    """Write one file per exported type, the same bytes for the same types."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        text = json.dumps(build_json_schema(name), indent=2, sort_keys=True)
        (folder / file_name_of(name)).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="where to write")
    export(parser.parse_args().folder)
