"""Kills: when, how, and what is promised of a job whose process is gone."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from catalogue import hides_time
from exchange import Case
from oddity import Verdict
from person import Person

_STARTS = 0.7  # seconds that a command takes before it does anything
_MOMENTS = ("any", "submit", "accepted", "answered", "poll", "done", "video", "sending")
_WAYS = ("KILL", "KILL", "KILL", "KILL", "TERM", "STOP")
_SURE = 0.5  # seconds after which a reply that was sent counts as received

Look = Callable[[], list[dict[str, Any]]]


def kill_at_random(person: Person, look: Look) -> str:
    """Start to make a video and kill the process at a random moment; return how and when."""
    dice = random.Random(person.case.nonce)
    moment, way = dice.choice(_MOMENTS), dice.choice(_WAYS)
    wait = dice.uniform(0.0, 2.5) if moment == "any" else dice.choice((0, 0.01, 0.05, 0.3))
    process = person.generate()
    if moment == "any":
        time.sleep(_STARTS)
    else:
        _wait_until(moment, process, look)
    time.sleep(wait)
    note(person, "killed", way)
    if way == "STOP":
        _take_over(person, process)
    else:
        with suppress(ProcessLookupError):
            os.kill(process.pid, getattr(signal, f"SIG{way}"))
        person.end(process, 30)
        if way == "TERM" and None in person.codes:
            person.said.append("(a process that was told to end did not end)")
    return f"{way} {wait:.2f} s after {moment}"


def note(person: Person, what: str, way: str) -> None:
    """Write into the evidence when the process was killed."""
    path = person.folder.parent / f"{person.case.index.replace('/', '-')}.jsonl"
    with path.open("a") as file:
        file.write(json.dumps({"at": time.time(), "what": what, "way": way}) + "\n")


def _take_over(person: Person, process: "subprocess.Popen[str]") -> None:
    """Stop the process, take its job over, and let it wake up in the middle of it."""
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGSTOP)
    job = person.job()
    other = None
    if job is not None and job["id"] and job["status"] != "completed":
        other = person.begin("jobs", "resume", job["id"], "--take-over", "--json")
        time.sleep(random.Random(person.case.nonce).uniform(0.3, 2.0))
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGCONT)
    if other is not None:
        person.end(other)
    person.end(process)


def _wait_until(moment: str, process: "subprocess.Popen[str]", look: Look) -> None:
    """Wait until the upstream has seen the moment, or the process has ended."""
    while process.poll() is None:
        for line in look():
            is_done = moment == "done" and line["what"] == "poll" and line.get("done")
            if is_done or line["what"] == moment:
                return
        time.sleep(0.005)


def verdict_after(case: Case, lines: list[dict[str, Any]]) -> Verdict:
    """Return what is promised, from what the upstream saw before the kill.

    Whoever polled had the receipt; a list that repeats prompts is as good as one. A process that
    was told to end (TERM) may have cancelled what was not yet done.
    """
    at = next((line["at"] for line in lines if line["what"] == "killed"), time.time())
    way = next((line["way"] for line in lines if line["what"] == "killed"), "")
    before = [line for line in lines if line["at"] <= at]
    is_done = any(line["what"] in ("poll", "video") and line.get("done") for line in before)
    if way == "TERM" and not is_done:
        return Verdict.ENDS
    was_submitted = any(line["what"] == "submit" for line in before)
    has_receipt = any(line["what"] in ("poll", "result", "video") for line in before) or any(
        line["what"] == "answered" and line["step"] == "submit" and line["at"] < at - _SURE
        for line in before
    )
    is_shown = case.flavour == "vllm" and not hides_time(case) and was_submitted
    if has_receipt or is_shown:
        return Verdict.DELIVERED
    return Verdict.PAID  # also before: the intent may be kept, and who knows whether it was sent
