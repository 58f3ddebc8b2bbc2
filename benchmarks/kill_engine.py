"""Kills videos of the engine at random moments and resumes them: `make kill-engine`.

`--model wan-causal` (`make bench-causal`) does so with a small LongLive of random weights in the
released layout instead of magi/tiny.

Each video is made by the command line in a process of its own, which is killed (SIGKILL) once so
many chunks are written and a part of a chunk's time has passed, both drawn anew for every kill; its
successors too, until one may finish. So kills fall in mid-video, however fast the machine is: while
a chunk or a state is made or written, or a successor starts. Every frame must equal that of the
video nobody disturbed.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.machine import describe_machine, load_average

RESULTS = Path(__file__).parent / "results"
PROMPTS = (
    "a red circle moving right on a black background",
    "a green square moving down on a navy background",
    "a yellow triangle moving up and left on a gray background",
)
CLI = (sys.executable, "-m", "media_agent.cli")


@dataclass(frozen=True, slots=True)
class Model:
    """A model to make videos with. weights: its folder, if it does not come with the program."""

    name: str
    prompts: tuple[str, ...] = PROMPTS
    options: tuple[str, ...] = ()
    weights: Path | None = None

    def register(self, data: Path) -> None:
        """Make it known to who uses a folder of data."""
        from media_agent.registry.model_folders import LocalModel, ModelFolders

        if self.weights is not None:
            backend, _, name = self.name.partition("/")
            model = LocalModel(name=name, backend=backend, folder=self.weights)
            ModelFolders(data).add(model)


TINY = Model("magi/tiny")


def causal(folder: Path) -> Model:
    """Write a small LongLive of random weights; a state is kept after every fourth block."""
    from tests.magi.released_wan import CAPTIONS, write_release

    options = ("--size", "32x32", "--option", "state_every=4")
    weights = write_release(folder / "weights", "longlive")
    return Model("wan-causal/longlive", CAPTIONS[:3], options, weights)


@dataclass(frozen=True, slots=True)
class Pace:
    """How the undisturbed video went: its chunks, and seconds from one to the next."""

    chunks: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one video."""

    kills: int
    chunks_at_kills: tuple[int, ...]  # announced when the process was killed
    resumed: int  # lives that resumed from a chunk, not from nothing
    is_equal: bool
    seconds: float


def main() -> int:
    """Make the undisturbed video, then disturb as many as it takes; write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=("magi/tiny", "wan-causal"), default=TINY.name)
    parser.add_argument("--kills", type=int, default=20, help="processes to kill, in all")
    parser.add_argument("--chunks", type=int, default=40, help="length of the video, in seconds")
    parser.add_argument("--kills-per-video", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    arguments = parser.parse_args()
    load = load_average()
    is_causal = arguments.model != TINY.name
    with tempfile.TemporaryDirectory() as folder:
        pace, outcomes = play(
            Path(folder),
            model=causal(Path(folder)) if is_causal else TINY,
            kills=arguments.kills,
            chunks=arguments.chunks,
            kills_per_video=arguments.kills_per_video,
            moment=at_random(random.Random(arguments.seed)),
        )
    kills = sum(outcome.kills for outcome in outcomes)
    equal = sum(outcome.is_equal for outcome in outcomes)
    midway = sum(0 < at < pace.chunks for each in outcomes for at in each.chunks_at_kills)
    print(
        f"{kills} kills of {len(outcomes)} videos of {pace.chunks} chunks, {midway} of them in "
        f"mid-video: {equal} equal the undisturbed video"
    )
    result = {
        "command": " ".join(["python", "-m", "benchmarks.kill_engine", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "load_before": load,
        "machine": describe_machine(),
        "model": arguments.model,
        "seconds_of_video": arguments.chunks,
        "chunks": pace.chunks,
        "kills": kills,
        "kills_in_mid_video": midway,
        "videos": len(outcomes),
        "equal": equal,
        "outcomes": [asdict(outcome) for outcome in outcomes],
    }
    path = RESULTS / ("kill-engine-causal.json" if is_causal else "kill-engine.json")
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if equal == len(outcomes) else 1


def at_random(moments: random.Random) -> "Moment":
    """Kill behind any of the chunks still to be written but the last, by part of a chunk later."""

    def moment(video: Video, pace: Pace) -> Callable[[], bool] | None:
        written = video.announced_chunks()
        if written >= pace.chunks - 1:
            return None
        chunk, part = moments.randrange(written, pace.chunks - 1), moments.random()
        ends: list[float] = []

        def is_time() -> bool:
            now = time.perf_counter()
            if not ends and video.announced_chunks() >= chunk:
                ends.append(now + part * pace.seconds)
            return bool(ends) and now >= ends[0]

        return is_time

    return moment


def play(
    folder: Path,
    *,
    kills: int,
    chunks: int,
    kills_per_video: int,
    moment: "Moment",
    model: Model = TINY,
) -> tuple[Pace, list[Outcome]]:
    """Make videos until so many processes were killed; compare each with the undisturbed one."""
    whole = Video(folder / "whole", chunks, model)
    pace = whole.live_undisturbed()
    expected = frames_digest(whole.path)
    outcomes: list[Outcome] = []
    while (done := sum(outcome.kills for outcome in outcomes)) < kills:
        video = Video(folder / f"video{len(outcomes)}", chunks, model)
        began = time.perf_counter()
        killed: list[int] = []
        resumed = 0
        for _ in range(min(kills_per_video, kills - done)):
            is_time = moment(video, pace)
            if is_time is None:
                break
            resumed += video.announced_chunks() > 0
            if video.live(is_time):
                break
            killed.append(video.announced_chunks())
        while not video.path.exists():
            resumed += video.announced_chunks() > 0
            video.live()
        outcome = Outcome(
            kills=len(killed),
            chunks_at_kills=tuple(killed),
            resumed=resumed,
            is_equal=frames_digest(video.path) == expected,
            seconds=round(time.perf_counter() - began, 2),
        )
        outcomes.append(outcome)
        print(f"video {len(outcomes)}: {outcome}", file=sys.stderr, flush=True)
    return pace, outcomes


class Video:
    """One video, made in as many lives as it takes."""

    def __init__(self, folder: Path, chunks: int, model: Model) -> None:
        self.folder, self.model = folder, model
        self.path = folder / "video.mp4"
        self.chunks = chunks
        self.folder.mkdir()
        model.register(self.folder / "data")

    def live(self, is_time: Callable[[], bool] = lambda: False) -> bool:
        """Start or resume the video; kill it when it is time; say whether it ended before."""
        with (self.folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                self._command(),
                env={**os.environ, "MEDIA_AGENT_DATA_DIR": str(self.folder / "data")},
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while (status := process.poll()) is None and not is_time():
            time.sleep(0.01)
        if status is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False
        if status != 0:
            log_text = (self.folder / "log.txt").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"{self._command()} ended with {status}:\n{log_text[-3000:]}")
        return True

    def live_undisturbed(self) -> Pace:
        """Make the video in one life, and return how it went."""
        first: list[float] = []

        def note() -> bool:
            if not first and self.announced_chunks() > 0:
                first.append(time.perf_counter())
            return False

        self.live(note)
        chunks, now = self.announced_chunks(), time.perf_counter()
        return Pace(chunks, (now - first[0]) / max(1, chunks - 1) if first else 0.0)

    def announced_chunks(self) -> int:
        """Return how many chunks the ledger knows: from there the video is resumed."""
        return self._query("events", "SELECT COUNT(chunk) FROM events")

    def _command(self) -> tuple[str, ...]:
        if self._query("jobs", "SELECT COUNT(*) FROM jobs") > 0:
            return (*CLI, "jobs", "resume")
        length = self.chunks / len(self.model.prompts)
        first, *others = self.model.prompts
        shots = [part for text in others for part in ("--shot", f"{text}@{length:.3f}")]
        return (
            *(*CLI, "generate", first, *shots),
            *(
                "--backend",
                self.model.name,
                *self.model.options,
                "--duration",
                str(self.chunks),
                "--seed",
                "11",
            ),
            *("--out", str(self.path)),
        )

    def _query(self, table: str, question: str) -> int:
        """Return a number from the ledger, 0 as long as it has no such table."""
        path = self.folder / "data" / "ledger.sqlite"
        if not path.exists():
            return 0
        with closing(sqlite3.connect(path)) as ledger:
            tables = {name for (name,) in ledger.execute("SELECT name FROM sqlite_master")}
            if table not in tables:
                return 0
            number: int = ledger.execute(question).fetchone()[0]
            return number


Moment = Callable[[Video, Pace], Callable[[], bool] | None]
"""A video and the pace of the undisturbed one -> whether it is time to kill it; None: no more."""


def frames_digest(path: Path) -> str:
    """Return a digest of all decoded images and their times."""
    import av

    digest = hashlib.sha256()
    with av.open(str(path)) as video:
        for frame in video.decode(video=0):
            digest.update(str(frame.pts).encode())
            digest.update(frame.to_ndarray(format="rgb24").tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
