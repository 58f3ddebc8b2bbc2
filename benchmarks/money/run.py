"""Counts what 1,000 jobs cost through one fault mix, here and elsewhere: `make money-bench`.

A simulated provider runs in a process of its own and knows what it accepted; each acceptance is
paid. A program of each library asks it for 1,000 videos, is killed on the way and started
again. Counted are dollars paid twice, videos that were paid and never arrived, and jobs of which
their program has no word at the end. The libraries of others are installed into environments of
their own (.venv-money-NAME) and only run.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.money import mix
from benchmarks.money.draw import draw

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = HERE.parent / "results"
LONGEST = 900.0  # seconds that a program may take, all its lives together
PATIENCE = 0.05


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program that asks for videos, and the library that it uses."""

    name: str
    program: str
    api: str
    packages: Sequence[str] = ()
    """Absent: this project, as it is here."""
    how: str = ""

    @property
    def python(self) -> Path:
        """Return its Python."""
        if not self.packages:
            return Path(sys.executable)
        return ROOT / f".venv-money-{self.program.replace('_', '-')}" / "bin" / "python"


CONTESTANTS = (
    Contestant(
        "media-agent",
        "media_agent",
        "openai",
        how="generate with an idempotency key, again after a restart",
    ),
    Contestant(
        "LiteLLM Router",
        "litellm",
        "openai",
        ("litellm==1.109.1",),
        "its defaults (2 retries); the program polls, and asks again if a poll or download fails",
    ),
    Contestant(
        "genblaze",
        "genblaze",
        "openai",
        ("genblaze-core==0.3.8", "genblaze-openai==0.3.4"),
        "SoraProvider.invoke with its defaults; resume after a restart",
    ),
    Contestant("media-agent (fal)", "media_agent", "fal", how="as above, with the backend fal"),
    Contestant(
        "fal-client",
        "fal_client",
        "fal",
        ("fal-client==1.0.3",),
        "its defaults (10 attempts); get_handle after a restart; the video is fetched by hand",
    ),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the jobs of one contestant."""

    name: str
    packages: Sequence[str]
    how: str
    jobs: int
    accepted: int
    paid_usd: float
    paid_twice_usd: float
    videos: int
    videos_lost: int
    without_an_answer: int
    kills: int
    seconds: float
    said: Mapping[str, int] = field(default_factory=dict)
    """The ends that the program was told, by their first word."""


def play(contestant: Contestant, folder: Path, jobs: int, seed: int) -> Outcome:
    """Let one contestant ask for all videos."""
    began = time.monotonic()
    with provide(contestant.api, jobs, seed) as url:
        killed = live(contestant, folder, url, jobs, began + LONGEST)
        paid = ask(url)["paid"]
    results = {line["job"]: line["said"] for line in read_lines(folder / "results.jsonl")}
    arrived = {path.stem for path in (folder / "videos").glob("*.mp4") if is_whole(path)}
    twice = sum(count - 1 for count in paid.values())
    return Outcome(
        name=contestant.name,
        packages=contestant.packages,
        how=contestant.how,
        jobs=jobs,
        accepted=sum(paid.values()),
        paid_usd=round(sum(paid.values()) * mix.USD_PER_VIDEO, 2),
        paid_twice_usd=round(twice * mix.USD_PER_VIDEO, 2),
        videos=len(arrived),
        videos_lost=len(paid.keys() - arrived),
        without_an_answer=jobs - len(results),
        kills=killed,
        seconds=round(time.monotonic() - began, 1),
        said=dict(Counter(said.partition(":")[0] for said in results.values())),
    )


@contextmanager
def provide(api: str, jobs: int, seed: int) -> Iterator[str]:
    """Run the provider, and give its address."""
    command = [sys.executable, "-m", "benchmarks.money.provider", api, str(jobs), str(seed)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def live(contestant: Contestant, folder: Path, url: str, jobs: int, until: float) -> int:
    """Run the program of a contestant to its end, killed now and then; return how often."""
    left, killed = mix.kills(jobs), 0
    program = HERE / "contestants" / f"run_{contestant.program}.py"
    variables = {"MONEY_API": contestant.api, "OPENAI_BASE_URL": f"{url}/v1"}
    command = [str(contestant.python), str(program), url, str(folder), str(jobs)]
    folder.mkdir(parents=True)
    with (folder / "log.txt").open("w") as log:
        while time.monotonic() < until:
            process = subprocess.Popen(
                command, env={**os.environ, **variables}, stdout=log, stderr=log
            )
            while process.poll() is None and time.monotonic() < until:
                if left and ask(url)["accepted"] >= left[0]:
                    process.kill()
                    left.pop(0)
                    killed += 1
                    break
                time.sleep(PATIENCE)
            else:
                process.kill()
                process.wait()
                return killed
            process.wait()
    return killed


def ask(url: str) -> dict:
    """Return what the provider accepted."""
    with urllib.request.urlopen(f"{url}/__money__", timeout=10) as reply:  # our own
        return json.load(reply)


def read_lines(path: Path) -> list[dict]:
    """Return the whole lines of a diary; the last one may have been cut off by a kill."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def is_whole(path: Path) -> bool:
    """Return whether a video has all its frames."""
    from media_agent.errors import MediaAgentError
    from media_agent.ingest.completeness import check_whole

    try:
        check_whole(path)
    except MediaAgentError:
        return False
    return True


def install(contestant: Contestant) -> None:
    """Install the library of a contestant into an environment of its own, once."""
    if not contestant.packages or contestant.python.exists():
        return
    folder = contestant.python.parents[1]
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run(
        [contestant.python, "-m", "pip", "install", "--quiet", *contestant.packages], check=True
    )


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as text."""
    heads = ("", "accepted", "paid twice", "videos", "lost", "no answer", "seconds")
    rows = [
        (
            each.name,
            str(each.accepted),
            f"{each.paid_twice_usd:.2f} USD",
            str(each.videos),
            str(each.videos_lost),
            str(each.without_an_answer),
            f"{each.seconds:.0f}",
        )
        for each in outcomes
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = (
        [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        for row in (heads, *rows)
    )
    return "\n".join("  ".join(line) for line in lines)


def main() -> int:
    """Play all contestants, print a table, and write results/money.json and money.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=mix.JOBS)
    parser.add_argument("--seed", type=int, default=mix.SEED)
    parser.add_argument("--only", help="a part of the name of a contestant; writes nothing")
    parser.add_argument("--log", type=Path, help="where the diaries and logs go; default: nowhere")
    given = parser.parse_args()
    chosen = [each for each in CONTESTANTS if given.only is None or given.only in each.name]
    outcomes = []
    with tempfile.TemporaryDirectory() as name:
        for number, contestant in enumerate(chosen):
            install(contestant)
            outcomes.append(play(contestant, Path(name, str(number)), given.jobs, given.seed))
            print(f"{outcomes[-1].name}: {outcomes[-1].said}", flush=True)
            if given.log is not None:
                shutil.copytree(Path(name, str(number)), given.log / str(number))
    print(table(outcomes))
    if given.only is None:
        content = {
            "command": "python -m benchmarks.money.run",
            "machine": describe_machine(),
            "seed": given.seed,
            "usd_per_video": mix.USD_PER_VIDEO,
            "faults": {**mix.SHARES},
            "killed_at": mix.kills(given.jobs),
            "outcomes": [asdict(each) for each in outcomes],
        }
        (RESULTS / "money.json").write_text(json.dumps(content, indent=1) + "\n")
        draw(content["outcomes"], RESULTS / "money.png")  # type: ignore[arg-type]
    own = [each for each in outcomes if each.name == "media-agent"]
    is_kept = all(
        (each.paid_twice_usd, each.videos_lost, each.without_an_answer) == (0, 0, 0) for each in own
    )
    return 0 if is_kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
