"""One set of models, the tool definitions of several vendors.

References are resolved in place, because some services refuse a `$ref`, others words next to one.
"""

import inspect
from collections.abc import Collection
from typing import Literal, assert_never, get_args

from pydantic import JsonValue

from media_agent.tools.arguments import ToolArguments
from media_agent.tools.job_arguments import TOOLS

Dialect = Literal["openai", "openai-responses", "anthropic", "json-schema"]
"""openai: Chat Completions; openai-responses: Responses; both in strict mode."""

DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

_STRICT = ("type", "enum", "const", "anyOf", "items", "description")

Node = dict[str, JsonValue]


def tool_definitions(
    dialect: Dialect = "json-schema", *, routes: Collection[str] = ()
) -> list[dict[str, JsonValue]]:
    """Return the tools as a list to hand to a language model, ready for JSON.

    `routes` are the names of those in the settings; without any, no tool has an argument for them.
    """
    return [_build_definition(tool, dialect, routes) for tool in TOOLS]


def _build_definition(tool: type[ToolArguments], dialect: Dialect, routes: Collection[str]) -> Node:
    head: Node = {"name": tool.tool, "description": " ".join(inspect.getdoc(tool).split())}  # type: ignore[union-attr]  # every tool has one
    schema = _build_schema(tool)
    _name_routes(schema, routes)
    match dialect:
        case "openai":
            function: Node = {**head, "strict": True, "parameters": _make_strict(schema)}
            return {"type": "function", "function": function}
        case "openai-responses":
            return {"type": "function", **head, "strict": True, "parameters": _make_strict(schema)}
        case "anthropic":
            return {**head, "input_schema": _make_brief(schema)}
        case "json-schema":
            return {**head, "schema": _make_brief(schema)}
        case unknown:
            assert_never(unknown)


def _build_schema(tool: type[ToolArguments]) -> Node:
    """Return the JSON Schema of the arguments, in one piece."""
    schema: Node = tool.model_json_schema()
    definitions = schema.pop("$defs", {})
    assert isinstance(definitions, dict)
    resolved = _resolve(schema, definitions)
    assert isinstance(resolved, dict)
    resolved.pop("description", None)  # it is that of the tool
    return resolved


def _name_routes(schema: Node, routes: Collection[str]) -> None:
    """Let the argument `route` take what the settings have, so that no model invents one."""
    properties = schema["properties"]
    assert isinstance(properties, dict)
    route = properties.get("route")
    if not isinstance(route, dict):
        return
    if not routes:
        del properties["route"]
        return
    route["description"] = f"{route['description']} One of: {', '.join(sorted(routes))}."


def _resolve(node: JsonValue, definitions: Node) -> JsonValue:
    """Return the node with its references replaced by what they refer to, and without titles."""
    if isinstance(node, list):
        return [_resolve(each, definitions) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = str(node["$ref"]).rpartition("/")[2]
        target = definitions[name]
        assert isinstance(target, dict)
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    properties = node.get("properties")
    shown = {key: _resolve(value, definitions) for key, value in node.items() if key != "title"}
    if isinstance(properties, dict):  # where "title" would be the name of a field
        shown["properties"] = {
            name: _resolve(value, definitions) for name, value in properties.items()
        }
    return shown


def _make_brief(node: Node) -> Node:
    """Return the node without what only says that a field may be absent: each word is paid for.

    Null and "" are taken all the same when the tool is called.
    """
    kept: Node = {
        key: value for key, value in node.items() if key != "default" and value is not None
    }
    kinds = kept.get("anyOf")
    if isinstance(kinds, list):
        others = [_make_brief_if_object(each) for each in kinds if each != {"type": "null"}]
        kept["anyOf"] = others
        if len(others) == 1 and isinstance(others[0], dict):
            del kept["anyOf"]
            kept = {**others[0], **kept}
    if isinstance(items := kept.get("items"), dict):
        kept["items"] = _make_brief({**items, "description": None})  # said by the list itself
    properties = kept.get("properties")
    if isinstance(properties, dict):
        kept["properties"] = {
            name: _make_brief_if_object(each) for name, each in properties.items()
        }
    return kept


def _make_brief_if_object(node: JsonValue) -> JsonValue:
    return _make_brief(node) if isinstance(node, dict) else node


def _make_strict(node: Node) -> Node:
    """Return the node as strict mode takes it: every field required, nothing else allowed.

    What it knows no word for (defaults, limits, patterns) is in the descriptions, and is checked
    when the tool is called.
    """
    kept: Node = {key: node[key] for key in _STRICT if key in node}
    if isinstance(node.get("anyOf"), list):
        kept["anyOf"] = [_make_strict_if_object(each) for each in node["anyOf"]]  # type: ignore[union-attr]  # a list
    if "items" in node:
        kept["items"] = _make_strict_if_object(node["items"])
    properties = node.get("properties")
    if isinstance(properties, dict):
        kept["properties"] = {
            name: _make_strict_if_object(each) for name, each in properties.items()
        }
        kept["required"] = list(properties)
        kept["additionalProperties"] = False
    return kept


def _make_strict_if_object(node: JsonValue) -> JsonValue:
    return _make_strict(node) if isinstance(node, dict) else node
