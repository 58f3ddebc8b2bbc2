"""Writes which fields fal's models take, as its official JavaScript client says, for the tests.

    npm pack @fal-ai/client && tar xzf fal-ai-client-*.tgz
    python tools/fal_fields.py package

Of each model that is listed here only names, types and closed lists are kept, as a JSON Schema; the
words of the client are not. The client writes closed lists as texts, also of numbers, and where two
types have the same name in fal's OpenAPI, it keeps one of them: `type_of_another` marks these.
"""

import json
import re
import sys
from pathlib import Path

from pydantic import JsonValue

from media_agent_hosted.providers.fal.backend import MODELS

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "tests" / "hosted" / "providers" / "fal" / "client_fields.json"
_TYPE = re.compile(r"^export type (\w+) = (.*?);\n(?=export |type |declare |$)", re.M | re.S)
_ENDPOINT = re.compile(r'"([^"]+)": \{\s*input: (\w+);')
_FIELD = re.compile(r'^    "?(\w+)"?(\??): (.*?);$', re.M | re.S)
_COMMENT = re.compile(r"/\*\*.*?\*/", re.S)
_PLAIN = ("string", "number", "boolean")

Schema = dict[str, JsonValue]


def read_schemas(types_file: str, ids: list[str]) -> dict[str, Schema]:
    """Return the schema of the input of each of these ids that the client knows."""
    text = _COMMENT.sub("", types_file)
    types = dict(_TYPE.findall(text))
    inputs = dict(_ENDPOINT.findall(text))
    return {name: _read_input(types, inputs[name]) for name in ids if name in inputs}


def _read_input(types: dict[str, str], name: str) -> Schema:
    """Return the schema of a named input; its fields may be those of another name."""
    is_of_another = re.fullmatch(r"\w+", types[name]) is not None
    schema = _read_type(types, name)
    return {**schema, "type_of_another": True} if is_of_another else schema


def _read_type(types: dict[str, str], said: str) -> Schema:
    """Return the schema of a type as TypeScript writes it; {}: anything."""
    said = said.strip()
    if said.startswith("{"):
        return _read_object(types, said)
    options = [each.strip() for each in said.split("|")]
    if all(re.fullmatch(r'"[^"]*"', each) for each in options):
        return {"enum": [each.strip('"') for each in options]}
    if "Blob" in options:  # an address, or what the client uploads
        return {"type": "string"}
    if said in _PLAIN:
        return {"type": said}
    listed = re.fullmatch(r"Array<(.*)>", said, re.S)
    if listed:
        return {"type": "array", "items": _read_type(types, listed[1])}
    return _read_type(types, types[said]) if said in types else {}


def _read_object(types: dict[str, str], said: str) -> Schema:
    fields = _FIELD.findall(said)
    properties: Schema = {name: _read_type(types, kind) for name, _, kind in fields}
    required: list[JsonValue] = [name for name, optional, _ in fields if not optional]
    return {"type": "object", "required": required, "properties": properties}


def main() -> None:
    """Read the unpacked client, and write what the tests need."""
    package = Path(sys.argv[1])
    about = json.loads((package / "package.json").read_text("utf-8"))
    types_file = (package / "src" / "types" / "endpoints.d.ts").read_text("utf-8")
    schemas = read_schemas(types_file, sorted(MODELS.by_id))
    about_it = {
        "source": f"{about['name']} {about['version']}, src/types/endpoints.d.ts",
        "licence": f"{about['license']}, (c) 2024 fal.ai",
        "made_by": "tools/fal_fields.py",
    }
    lines = [f"{json.dumps(name)}: {json.dumps(schema)}" for name, schema in schemas.items()]
    head = json.dumps(about_it, indent=1).removesuffix("\n}")
    body = ",\n  ".join(lines)
    TARGET.write_text(f'{head},\n "models": {{\n  {body}\n }}\n}}\n', "utf-8")


if __name__ == "__main__":
    main()
