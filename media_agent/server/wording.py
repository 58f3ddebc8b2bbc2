"""Puts what an error says into the words of whoever calls over HTTP: routes instead of commands."""

import re

from media_agent.wording import hide_paths, to_python
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.plan import PlanReport

_NAME = r"([\w/-]+(?:\.[\w/-]+)*)"
_FIELDS = (("--allow-unknown-words", '"allow_unknown_words": true'),)
_ROUTES = tuple(
    (re.compile(rf"(?<![\w-])media-agent {pattern}(?![\w-])"), route)
    for pattern, route in (
        (rf"jobs (resume|reconcile|cancel) {_NAME}", r"POST /v1/jobs/\2/\1"),
        (rf"jobs rm {_NAME}", r"DELETE /v1/jobs/\1"),
        ("jobs list", "GET /v1/jobs"),
        ("plan", "POST /v1/plan"),
        ("extend FILE", "POST /v1/videos/extensions"),
        (rf"extend {_NAME}", r"POST /v1/jobs/\1/extend"),
        (rf"branch {_NAME}(?: --at [0-9]+)?", r"POST /v1/jobs/\1/branch"),
        (f"backends (?!lists){_NAME}", r"GET /v1/backends?backend=\1"),
        ("backends", "GET /v1/backends"),
    )
)


def to_http(text: str) -> str:
    """Return a message or hint with the routes and fields of the server, and without paths."""
    if "media-agent" in text:
        for pattern, route in _ROUTES:
            text = pattern.sub(route, text)
    for flag, field in _FIELDS:
        text = text.replace(flag, field)
    return hide_paths(to_python(text))


def info_to_http(error: ErrorInfo) -> ErrorInfo:
    """Return an error in the words of the server."""
    hint = None if error.hint is None else to_http(error.hint)
    return error.model_copy(update={"message": to_http(error.message), "hint": hint})


def report_to_http(report: PlanReport) -> PlanReport:
    """Return all who could make a video, and why others could not, in the words of the server."""
    candidates = [
        each.model_copy(update={"refusals": tuple(map(info_to_http, each.refusals))})
        for each in report.candidates
    ]
    said = {"candidates": tuple(candidates), "summary": to_http(report.summary)}
    return report.model_copy(update=said)
