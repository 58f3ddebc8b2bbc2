"""A workflow in ComfyUI's API format: its nodes, and the places in it that a request fills."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import JsonValue

from media_agent.storage.files import ordinary_file
from media_agent.suggest import did_you_mean
from media_agent_hosted.parsing.lenient import text

_LARGEST = 16 * 2**20  # bytes of a workflow
_DEEPEST = 100  # levels; some code that meets the values calls itself for each
_HOW_TO_EXPORT = "export it in ComfyUI with Workflow > Export (API)"


@dataclass(frozen=True, slots=True)
class Place:
    """One input of one node."""

    node: str
    input: str


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its title in the editor, its type, and its inputs."""

    title: str
    kind: str
    inputs: Mapping[str, JsonValue]


class Workflow:
    """The nodes of a workflow, by their ids."""

    def __init__(self, graph: dict[str, JsonValue]) -> None:
        """Read the nodes.

        Raises:
            ValueError: it is in another format, in words.
        """
        if isinstance(graph.get("nodes"), list):
            raise ValueError(f"it is in the format of the editor; {_HOW_TO_EXPORT}")
        self._graph = graph
        self.nodes = {name: _read_node(name, node) for name, node in graph.items()}
        if not self.nodes:
            raise ValueError(f"it has no nodes; {_HOW_TO_EXPORT}")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a workflow from its file.

        Raises:
            ValueError: it cannot be read, or is in another format; in words.
        """
        try:
            with ordinary_file(path) as file:
                content = file.read(_LARGEST + 1)
            graph = json.loads(content) if len(content) <= _LARGEST else {}
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
        except (ValueError, RecursionError):
            raise ValueError(f"{path} is not JSON; {_HOW_TO_EXPORT}") from None
        if len(content) > _LARGEST:
            raise ValueError(f"{path} is larger than the {_LARGEST} bytes that are read")
        if not isinstance(graph, dict):
            raise ValueError(f"{path} is not a workflow; {_HOW_TO_EXPORT}")
        if _is_deeper(graph, _DEEPEST):
            raise ValueError(f"{path} is nested more than {_DEEPEST} levels deep")
        try:
            return cls(graph)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def find_node(self, name: str) -> str:
        """Return the id of the node that has this id, or else this title.

        Raises:
            ValueError: there is none, or there are several; in words.
        """
        if name in self.nodes:
            return name
        found = [each for each, node in self.nodes.items() if node.title == name]
        if len(found) > 1:
            raise ValueError(
                f"{len(found)} nodes have the title {name!r}: use an id ({', '.join(found)}), "
                "or give them different titles"
            )
        if not found:
            titles = {node.title for node in self.nodes.values() if node.title}
            raise ValueError(f"no node is called {name!r}; {did_you_mean(name, titles)}")
        return found[0]

    def find_place(self, written: str) -> Place:
        """Return the place that is written as NODE.INPUT, such as "KSampler.seed" or "3.seed".

        Raises:
            ValueError: it does not exist, or is wired to another node; in words.
        """
        name, dot, wanted = written.rpartition(".")
        if not dot or not name or not wanted:
            raise ValueError(f"{written!r} is not NODE.INPUT, such as KSampler.seed")
        node_id = self.find_node(name.strip())
        node, wanted = self.nodes[node_id], wanted.strip()
        if wanted not in node.inputs:
            known = [each for each, value in node.inputs.items() if not _is_wire(value)]
            raise ValueError(
                f"{self.describe(node_id)} has no input {wanted!r}; {did_you_mean(wanted, known)}"
            )
        value = node.inputs[wanted]
        if isinstance(value, list) and _is_wire(value):
            raise ValueError(
                f"input {wanted!r} of {self.describe(node_id)} is wired to "
                f"{self.describe(str(value[0]))}: name the input of that node"
            )
        return Place(node_id, wanted)

    def value_at(self, place: Place) -> JsonValue:
        """Return what the workflow itself has at a place."""
        return self.nodes[place.node].inputs[place.input]

    def describe(self, node_id: str) -> str:
        """Return what a person calls a node: its title and its id."""
        node = self.nodes.get(node_id)
        return f"node {node_id}" if node is None else f"{node.title or node.kind} (node {node_id})"

    def fill(self, values: Mapping[Place, JsonValue]) -> dict[str, JsonValue]:
        """Return the workflow with these values at their places; all else stays as it is."""
        graph = copy.deepcopy(self._graph)
        for place, value in values.items():
            node = graph[place.node]
            assert isinstance(node, dict)
            inputs = node["inputs"]
            assert isinstance(inputs, dict)
            inputs[place.input] = value
        return graph


def _read_node(name: str, node: JsonValue) -> Node:
    kind = node.get("class_type") if isinstance(node, dict) else None
    if not isinstance(node, dict) or not isinstance(kind, str):
        raise ValueError(f"{name!r} is not a node with a class_type; {_HOW_TO_EXPORT}")
    meta, inputs = node.get("_meta"), node.setdefault("inputs", {})
    if not isinstance(inputs, dict):
        raise ValueError(f"the inputs of node {name} are not an object; {_HOW_TO_EXPORT}")
    title = text(meta.get("title")) if isinstance(meta, dict) else None
    return Node(title or "", kind, inputs)


def _is_deeper(value: JsonValue, levels: int) -> bool:
    """Whether lists and objects are nested over more levels than these."""
    here: list[JsonValue] = [value]
    for _ in range(levels + 1):
        here = [
            inner
            for each in here
            if isinstance(each, list | dict)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return bool(here)


def _is_wire(value: JsonValue) -> bool:
    """Whether a value is the output of another node: its id, and the number of the output."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    )
