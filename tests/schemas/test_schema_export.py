"""The JSON Schemas in the repository are those of the types."""

import json
from pathlib import Path

import pytest

from media_agent_schemas.export import FOLDER, NAMES, build_json_schema, export, file_name_of


def test_the_committed_schemas_are_current(tmp_path: Path) -> None:
    export(tmp_path)

    fresh = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    assert fresh == committed, "run: python -m media_agent_schemas.export"


@pytest.mark.parametrize("name", NAMES)
def test_every_field_says_what_it_means(name: str) -> None:
    schema = build_json_schema(name)
    definitions = schema.get("$defs", {})
    assert isinstance(definitions, dict)

    undescribed = [
        f"{title}.{field}"
        for title, part in [(name, schema), *definitions.items()]
        if isinstance(part, dict)
        for field, facts in dict(part.get("properties", {})).items()  # type: ignore[arg-type]  # JSON
        if field != "type" and "description" not in facts
    ]

    assert undescribed == []


def test_a_schema_file_is_named_after_its_type() -> None:
    assert file_name_of("VideoRequest") == "video_request.json"
    assert json.loads((FOLDER / "video_request.json").read_text())["title"] == "VideoRequest"
