"""What a ComfyUI server says of work: its queue, its history, and why it refused a workflow."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError, MediaAgentError
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.parsing.lenient import text, trim
from media_agent_hosted.providers.comfyui.workflow import Workflow

KEY_FIELD = "media_agent_key"
"""In `extra_data`, which the server keeps: our name for the work, if it chose another itself."""


@dataclass(frozen=True, slots=True)
class Queued:
    """Work in the queue."""

    work: str
    key: str | None
    position: int
    """0 while it runs, else how many are before it and itself."""


def read_queue(body: JsonValue) -> list[Queued]:
    """Return the work in the queue, what runs first."""
    said = body if isinstance(body, dict) else {}
    running, pending = _entries(said.get("queue_running")), _entries(said.get("queue_pending"))
    pending.sort(key=lambda entry: _number(entry[0]))
    return [
        *(Queued(str(entry[1]), _key_in(entry), 0) for entry in running),
        *(Queued(str(entry[1]), _key_in(entry), place) for place, entry in enumerate(pending, 1)),
    ]


def is_queue(body: JsonValue) -> bool:
    """Whether an answer is about the queue at all."""
    return isinstance(body, dict) and isinstance(body.get("queue_running"), list)


class State(StrEnum):
    """How work ended that the history knows."""

    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Past:
    """Work in the history."""

    work: str
    key: str | None
    state: State
    word: str
    """How the server spells its state; "" where it says none, as old ones do."""
    why: str
    """Why it failed, in words."""
    outputs: dict[str, JsonValue] = field(default_factory=dict)
    """What each node gave, by its id."""


def read_history(body: JsonValue, workflow: Workflow | None = None) -> dict[str, Past]:
    """Return the work in the history, by its name."""
    said = body if isinstance(body, dict) else {}
    return {
        name: _past(name, entry, workflow)
        for name, entry in said.items()
        if isinstance(entry, dict) and ("outputs" in entry or "status" in entry)
    }


def refusal(reply: Reply, workflow: Workflow) -> MediaAgentError | None:
    """Return which nodes a workflow was refused for; None: it is another refusal."""
    body = reply.object()
    problems = list(node_problems(body, workflow))
    if reply.status != 400 or not (problems or isinstance(body.get("error"), dict)):
        return None
    error = body.get("error")
    words = text(error.get("message")) if isinstance(error, dict) else None
    detail = text(error.get("details")) if isinstance(error, dict) else None
    said = "; ".join(problems) or ": ".join(filter(None, (words, detail))) or "no reason"
    return InvalidRequestError(
        f"{reply.host} refuses the workflow: {trim(said)}",
        hint="open the workflow on that server: its models and nodes must be installed there",
    )


def node_problems(body: JsonValue, workflow: Workflow) -> Iterator[str]:
    """Yield what the server says is wrong with single nodes, in words."""
    by_node = body.get("node_errors") if isinstance(body, dict) else None
    for node, problem in by_node.items() if isinstance(by_node, dict) else ():
        errors = problem.get("errors") if isinstance(problem, dict) else None
        for error in errors if isinstance(errors, list) else ():
            if isinstance(error, dict):
                said = (text(error.get("message")), text(error.get("details")))
                yield f"{workflow.describe(node)}: {trim(', '.join(filter(None, said)))}"


def _entries(entries: JsonValue) -> list[list[JsonValue]]:
    """Return the entries of a queue: a number, the name of the work, its workflow, more data."""
    found = entries if isinstance(entries, list) else []
    return [each for each in found if isinstance(each, list) and len(each) > 1]


def _number(value: JsonValue) -> float:
    return value if isinstance(value, int | float) else 0.0


def _key_in(entry: JsonValue) -> str | None:
    extra = entry[3] if isinstance(entry, list) and len(entry) > 3 else None
    return text(extra.get(KEY_FIELD)) if isinstance(extra, dict) else None


def _past(name: str, entry: dict[str, JsonValue], workflow: Workflow | None) -> Past:
    status, outputs = entry.get("status"), entry.get("outputs")
    word = text(status.get("status_str")) or "" if isinstance(status, dict) else ""
    messages = status.get("messages") if isinstance(status, dict) else None
    told = dict(_messages(messages))
    state = State.UNKNOWN
    if "execution_interrupted" in told:
        state = State.INTERRUPTED
    elif "execution_error" in told or word == "error":
        state = State.FAILED
    elif word == "success" or not word:
        state = State.DONE
    return Past(
        name,
        _key_in(entry.get("prompt")),
        state,
        word,
        _explain(told.get("execution_error"), workflow),
        outputs if isinstance(outputs, dict) else {},
    )


def _messages(messages: JsonValue) -> Iterator[tuple[str, dict[str, JsonValue]]]:
    """Yield the messages of work: each a list of its name and its data."""
    for message in messages if isinstance(messages, list) else ():
        match message:
            case [str() as name, dict() as data]:
                yield name, data


def _explain(error: dict[str, JsonValue] | None, workflow: Workflow | None) -> str:
    """Return why a node failed; a long traceback is left out."""
    if error is None:
        return "it does not say why"
    node = text(error.get("node_id")) or "?"
    kind = text(error.get("node_type")) or ""
    where = f"node {node} ({kind})" if workflow is None else workflow.describe(node)
    said = (text(error.get("exception_type")), text(error.get("exception_message")))
    return f"{where}: {trim(': '.join(filter(None, said)) or 'it does not say why')}"
