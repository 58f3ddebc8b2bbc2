"""Attacks media-agent from outside, as a black box: `make hostile`.

A hostile upstream of its own answers in odd ways, and processes are killed at random moments. What
must be true at the end is stated by the generator from the protocol's view. Exit code 1 when a bar
is broken.
"""

import argparse
import hashlib
import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from catalogue import kill_cases, odd_cases, verdict_of
from exchange import Case
from judge import Finding, accepted, common_problems, evidence, promised_problems
from kills import kill_at_random, verdict_after
from oddity import Verdict
from person import Person

RESULTS = Path(__file__).parents[1] / "results" / "hostile.json"
LATE = 4.0  # seconds after which the latest video is there
BARS = ("paid", "undelivered", "wrong video", "no end", "secret")


@dataclass(frozen=True, slots=True)
class Stage:
    """Where it is played: the upstream's control socket, its evidence, the video it gives."""

    folder: Path
    video: str  # its digest

    def tell(self, message: dict[str, str]) -> dict[str, str]:
        """Tell the upstream to open or close a case."""
        with socket.socket(socket.AF_UNIX) as talk:
            talk.connect(str(self.folder / "control"))
            talk.sendall(json.dumps(message).encode() + b"\n")
            with talk.makefile() as answer:
                return dict(json.loads(answer.readline()))

    def evidence(self, case: Case) -> list[dict[str, Any]]:
        """Return what the upstream wrote down."""
        return evidence(self.folder, case)


@contextmanager
def set_stage() -> Iterator[Stage]:
    """Start the upstream in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        folder = Path(name)
        video = folder / "video.mp4"
        make_video(video)
        program = Path(__file__).with_name("server.py")
        words = [sys.executable, str(program), str(folder / "control"), str(video), name]
        server = subprocess.Popen(words, start_new_session=True)
        try:
            while not (folder / "control").exists():
                time.sleep(0.05)
            yield Stage(folder, hashlib.sha256(video.read_bytes()).hexdigest())
        finally:
            server.kill()
            server.wait()


def make_video(path: Path) -> None:
    """Write two seconds of true video, index in front, that do not compress to nothing."""
    import av

    dice = random.Random(7)
    options = {"movflags": "+faststart"}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 96, 54, "yuv420p"
        for _ in range(48):
            frame = av.VideoFrame(96, 54, "gray")
            plane = frame.planes[0]
            plane.update(dice.randbytes(plane.buffer_size))
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))


def play(stage: Stage, case: Case, *, keeps: bool = False) -> Finding:
    """Play one case to its end and judge it."""
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"{case.index.replace('/', '-')}-", dir=stage.folder))
    places = stage.tell({"open": case.dump()})
    person = Person(case, folder, places["base"])
    person.settle()
    kill = ""
    if case.index.startswith("kill"):
        kill = kill_at_random(person, lambda: stage.evidence(case))
        verdict = verdict_after(case, stage.evidence(case))
    else:
        verdict = verdict_of(case)
        person.end(person.generate())
    job = resume(person, verdict, began, at_most=5 if kill else 2)
    lines = stage.evidence(case)
    if kill:
        verdict = verdict_after(case, lines)
    if accepted(lines) and job and job["status"] == "outcome_unknown":
        person.run("jobs", "reconcile", job["id"])
    count = accepted(lines)
    problems = common_problems(person, job, lines)
    if job is not None or count:
        problems += promised_problems(verdict, person, job, count, stage.video)
    stage.tell({"close": case.index})
    notes = [*map(shorten, person.said), *map(json.dumps, lines)] if keeps else []
    if not keeps:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = round(time.monotonic() - began, 1)
    status = "none" if job is None else job["status"]
    error = ((job or {}).get("error") or {}).get("message", "")
    return Finding(case, verdict, status, count, problems, seconds, notes, kill, error[:300])


def shorten(said: str) -> str:
    """Leave out of a job in JSON what says nothing of its end."""
    start, end = said.find('"request": {'), said.rfind('"ref": ')
    return said if start < 0 or end < start else f"{said[:start]}... {said[end:]}"


def resume(
    person: Person, verdict: Verdict, began: float, *, at_most: int
) -> dict[str, Any] | None:
    """Resume the job as a person would, until it is over."""
    job = person.job()
    is_killed = person.case.index.startswith("kill")
    for _ in range(at_most):
        is_over = job is None or job["status"] in ("completed", "failed", "unreadable")
        is_hopeless = (
            job is not None
            and job["status"] in ("outcome_unknown", "cancelled")
            and verdict in (Verdict.ENDS, Verdict.NEVER, Verdict.REFUSED, Verdict.REFUSED_BARE)
        )
        if job is None or is_over or is_hopeless:
            break
        time.sleep(0.0 if is_killed else max(3.0, began + LATE + 2 - time.monotonic()))
        person.run("jobs", "resume", job["id"], "--json")
        job = person.job()
    return job


def summary(findings: list[Finding], seed: int) -> dict[str, Any]:
    """Return the bars, and the failures by oddity and by kind of problem."""
    kinds = Counter(problem.partition(":")[0] for f in findings for problem in f.problems)
    table: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for finding in findings:
        for name in [name for name, _ in finding.case.oddities] or ["(sane)"]:
            table[name][0] += 1
            table[name][1] += bool(finding.problems)
    return {
        "seed": seed,
        "cases": sum(f.case.index.startswith("odd") for f in findings),
        "kills": sum(f.case.index.startswith("kill") for f in findings),
        "right": sum(not f.problems for f in findings),
        "most_accepted_per_intent": max((f.accepted for f in findings), default=0),
        "problems": dict(kinds.most_common()),
        "bars_broken": {bar: kinds[bar] for bar in BARS if kinds[bar]},
        "by_oddity": {name: table[name] for name in sorted(table)},
        "wrong": [
            {
                "only": f.case.index,
                "oddities": [f"{name}: {str(value)[:80]}" for name, value in f.case.oddities],
                "protocol": f"{f.case.kind} {f.case.flavour}".strip(),
                "promised": f.verdict.name,
                "kill": f.kill,
                "ended": f.status,
                "said": f.error,
                "problems": f.problems,
            }
            for f in sorted(findings, key=lambda f: f.case.index)
            if f.problems
        ],
    }


def main() -> int:
    """Attack, say what was found, keep it; return 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=300, help="odd replies")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--only", help="play one again and say all: odd/17 or kill/4")
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the numbers go")
    arguments = parser.parse_args()
    cases = [*odd_cases(arguments.seed, 10_000 if arguments.only else arguments.cases)]
    cases += kill_cases(arguments.seed, 10_000 if arguments.only else arguments.kills)
    with set_stage() as stage:
        if arguments.only:
            case = next(each for each in cases if each.index == arguments.only)
            finding = play(stage, case, keeps=True)
            print("\n".join(finding.notes))
            print(json.dumps({**asdict(finding), "notes": None}, indent=1, default=str))
            print(f"promised {finding.verdict.name}:", finding.problems or "RIGHT")
            return bool(finding.problems)
        findings = []
        with ThreadPoolExecutor(arguments.at_once) as pool:
            for done in as_completed([pool.submit(play, stage, case) for case in cases]):
                findings.append(done.result())
                last = findings[-1]
                if last.problems:
                    odd = ", ".join(f"{n}: {str(v)[:60]}" for n, v in last.case.oddities)
                    print(f"\n{last.case.index} {last.kill} [{last.case.kind}: {odd}]")
                    print("", *last.problems, f"said: {last.error}", sep="  ")
                print(f"\r{len(findings)} of {len(cases)}", end="", flush=True)
    said = summary(findings, arguments.seed)
    print("\n" + json.dumps(said, indent=1))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(said, indent=1) + "\n")
    return bool(said["problems"])


if __name__ == "__main__":
    raise SystemExit(main())
