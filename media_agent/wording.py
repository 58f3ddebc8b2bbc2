"""Puts what an error says into the words of whoever reads it.

Messages and hints are written once, in the words of the command line: flags and commands. A program
reads the arguments and methods of the client instead, an agent the names of its tools. A clause of
a hint that is of no use to an agent is left out; clauses are separated by "; ".
"""

import re
from functools import lru_cache
from typing import NamedTuple

from media_agent_schemas.errors import ErrorInfo


class _Term(NamedTuple):
    """A flag or command, and what it is called elsewhere; None: an agent has nothing like it."""

    pattern: re.Pattern[str]
    python: str
    tools: str | None


def hide_paths(text: str) -> str:
    """Return a text with the names of files instead of their paths, for readers elsewhere."""
    if "/" not in text:
        return text
    return _PATH.sub(lambda found: found[0].rstrip("/").rpartition("/")[2], text)


def _term(pattern: str, python: str, tools: str | None) -> _Term:
    return _Term(re.compile(rf"(?<![\w-]){pattern}(?![\w-])"), python, tools)


_NAME = r"([\w/-]+(?:\.[\w/-]+)*)"
_TERMS = (
    _term("--allow-unknown-words", "allow_unknown_words=True", None),
    _term("--overwrite", "overwrite=True", None),
    _term("--policy adjust", 'policy="adjust"', 'policy "adjust"'),
    _term(f"--option {_NAME}=([0-9a-z]+)", r'options={"BACKEND": {"\1": "\2"}}', None),
    _term("--image", "an input of role first_frame", "first_frame"),
    _term(f"(?:--backend|--model) {_NAME}", r'model="\1"', r'model "\1"'),
    _term("(?:--backend|--model)", "model", "model"),
    _term("--max-cost", "max_cost_usd", "max_cost_usd"),
    _term(f"media-agent jobs resume {_NAME}", r'client.resume("\1")', r"\g<0>"),
    _term(f"media-agent jobs reconcile {_NAME}", r'client.reconcile("\1")', r"\g<0>"),
    _term(
        f"media-agent jobs cancel {_NAME}", r'client.cancel("\1")', r"cancel_video with job_id \1"
    ),
    _term(f"media-agent jobs rm {_NAME}", r'client.remove("\1")', r"\g<0>"),
    _term("media-agent jobs list", "client.list()", "list_videos"),
    _term("media-agent plan", "client.plan_all(request)", "plan_video"),
    _term("media-agent extend FILE", "client.extend(FILE)", "extend_video with file"),
    _term(f"media-agent extend {_NAME}", r'client.extend("\1")', r"extend_video with job_id \1"),
    _term(
        f"media-agent branch {_NAME} --at ([0-9]+)",
        r'client.branch("\1", at=\2)',
        r"extend_video with job_id \1 and keep_chunks \2",
    ),
    _term(
        f"media-agent branch {_NAME}",
        r'client.branch("\1")',
        r"extend_video with job_id \1 and keep_chunks",
    ),
    _term("media-agent backends", r"\g<0>", "list_video_backends"),
)
_OTHER_FLAG = re.compile(r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)")
_COMMAND = re.compile(r"(?<![\w/-])media-agent [a-z]+")
_PATH = re.compile(r"(?<![\w:/.~<>=-])~?(?!/v1/)(?:/[^\s/'\"`,;:()\[\]]+){2,}/?")
_ASK = " (ask a person to run it)"


def to_python(text: str) -> str:
    """Return a message or hint with the arguments and methods of `VideoClient`."""
    if "--" not in text and "media-agent" not in text:
        return text  # as most of the hundreds are that one plan makes
    return _to_python(text)


@lru_cache(maxsize=1024)
def _to_python(text: str) -> str:
    for term in _TERMS:
        text = term.pattern.sub(term.python, text)
    return _OTHER_FLAG.sub(_as_argument, text)


def to_tools(text: str) -> str:
    """Return a message in the names that an agent knows."""
    for term in _TERMS:
        if term.tools is not None:
            text = term.pattern.sub(term.tools, text)
    text = _OTHER_FLAG.sub(_as_argument, text)
    return text + _ASK if _COMMAND.search(text) and _ASK not in text else text


def hint_to_tools(hint: str) -> str | None:
    """Return a hint in the names that an agent knows; None: all of it is of no use there."""
    kept = "; ".join(clause for clause in hint.split("; ") if not _is_useless(clause))
    return to_tools(kept) if kept else None


def info_to_tools(error: ErrorInfo) -> ErrorInfo:
    """Return an error in the names that an agent knows."""
    hint = None if error.hint is None else hint_to_tools(error.hint)
    return error.model_copy(update={"message": to_tools(error.message), "hint": hint})


def _is_useless(clause: str) -> bool:
    return any(term.tools is None and term.pattern.search(clause) for term in _TERMS)


def _as_argument(flag: re.Match[str]) -> str:
    return flag[1].replace("-", "_")
