"""What was promised, held against what is there: the problems of one case."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange import WORDS, Case
from oddity import Verdict
from person import Person

ENDED = ("completed", "failed", "cancelled", "outcome_unknown")


@dataclass(slots=True)
class Finding:
    """What became of one case."""

    case: Case
    verdict: Verdict
    status: str
    accepted: int
    problems: list[str]
    seconds: float
    notes: list[str] = field(default_factory=list)
    kill: str = ""
    error: str = ""  # what media-agent said last


def evidence(folder: Path, case: Case) -> list[dict[str, Any]]:
    """Return what the upstream wrote down of a case."""
    path = folder / f"{case.index.replace('/', '-')}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def accepted(lines: list[dict[str, Any]]) -> int:
    """Return how often the intent was accepted."""
    return sum(line["what"] == "accepted" and line["ours"] for line in lines)


def common_problems(person: Person, job: dict[str, Any] | None, lines: list[Any]) -> list[str]:
    """Return what must never be, whatever the upstream did."""
    problems = []
    said = "\n".join(person.said)
    if accepted(lines) > 1:
        problems.append(f"paid: accepted {accepted(lines)} times")
    problems += [f"instrument: {line['error']}" for line in lines if line["what"] == "fault"]
    if any(line["what"] == "leak" for line in lines):
        problems.append("secret: the key went to a foreign host")
    if places := person.secrets():
        problems.append(f"secret: the key stands in {', '.join(places)}")
    if "Traceback (most recent" in said or "fault in media-agent itself" in said:
        problems.append("crash: a traceback, or 'a fault in media-agent itself'")
    if None in person.codes:
        problems.append("no end: a command did not end")
    if job is None:
        if accepted(lines):
            problems.append("lost: accepted, and no job knows of it")
        return problems
    if job["status"] not in ENDED:
        problems.append(f"no end: the job stays {job['status']}")
    if job["status"] in ("failed", "outcome_unknown") and not (job["error"] or {}).get("message"):
        problems.append(f"words: {job['status']} without a message")
    if not _is_readable(person.folder / "video.json"):
        problems.append("record: it does not read back as JSON")
    return problems


def promised_problems(
    verdict: Verdict, person: Person, job: dict[str, Any] | None, count: int, video: str
) -> list[str]:
    """Return where the end is another than the protocol promises; `video` is the digest due."""
    status = "none" if job is None else job["status"]
    if status == "completed":
        path = person.folder / "video.mp4"
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "nothing"
        if digest != video:
            return [f"wrong video: completed with {digest[:8]}, not {video[:8]}"]
    said = json.dumps(job) + "\n".join(person.said)
    problems = []
    match verdict:
        case Verdict.DELIVERED if status != "completed":
            problems.append(f"undelivered: {status}, the video can be had")
        case Verdict.PAID if status not in ("completed", "outcome_unknown"):
            problems.append(f"verdict: {status}, though nobody said that it failed")
        case Verdict.NEVER if status != "outcome_unknown":
            problems.append(f"verdict: {status}, though the video was never whole")
        case Verdict.FAILED if status not in ("failed", "cancelled"):
            problems.append(f"verdict: {status}, though the provider said that it failed")
        case Verdict.REFUSED | Verdict.REFUSED_BARE if status != "failed":
            problems.append(f"verdict: {status}, though it was refused")
    if verdict in (Verdict.FAILED, Verdict.REFUSED) and WORDS not in said:
        problems.append("words: those of the provider are not shown")
    if verdict in (Verdict.REFUSED, Verdict.REFUSED_BARE) and count:
        problems.append(f"instrument: refused and accepted {count} times")
    if count and "not accepted" in said:
        problems.append("words: 'not accepted' is said of accepted work")
    return problems


def _is_readable(path: Path) -> bool:
    """Whether a record is strict JSON, where there is one."""

    def refuse(name: str) -> float:
        raise ValueError(name)

    try:
        if path.exists():
            json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except ValueError:
        return False
    return True
