"""What each program keeps: the ids that its library told it, and what came of each job.

A program that is killed starts again with the same diary. It asks for a job anew only if neither an
id nor a result of it is known. Standard library only: it runs in every environment.
"""

import json
import sys
import urllib.request
from pathlib import Path

AT_ONCE = 16
POLL_SECONDS = 0.2
DEADLINE_SECONDS = 240.0
POLLS_IN_VAIN = 10  # failed polls in a row until a program gives a job up
DOWNLOADS = 3  # attempts


class Diary:
    """The files of one program."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self.folder = folder
        self.videos = folder / "videos"
        self.videos.mkdir(parents=True, exist_ok=True)
        self.ids = {line["job"]: line["id"] for line in self._read("ids")}
        self._done = {line["job"] for line in self._read("results")}
        self.left = [number for number in range(jobs) if number not in self._done]

    def note_id(self, number: int, name: str) -> None:
        """Keep where the work on a job is."""
        self.ids[number] = name
        self._write("ids", {"job": number, "id": name})

    def note_result(self, number: int, said: str) -> None:
        """Keep what came of a job, in a word."""
        self._write("results", {"job": number, "said": said[:300]})

    def path(self, number: int) -> Path:
        """Return where the video of a job belongs."""
        return self.videos / f"{number:04d}.mp4"

    def _read(self, name: str) -> list[dict]:
        path = self.folder / f"{name}.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def _write(self, name: str, line: dict) -> None:
        with (self.folder / f"{name}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


def prompt_of(number: int) -> str:
    """Return the prompt of a job, which the provider knows it by."""
    return f"clip-{number:04d}: a red kite over a lake"


def download(url: str) -> bytes:
    """Fetch a video as a short program does: again if that fails, and whole.

    Raises:
        OSError: it cannot be had.
    """
    for attempt in range(DOWNLOADS):
        try:
            with urllib.request.urlopen(url, timeout=30) as reply:  # our own provider
                return reply.read()
        except Exception:  # IncompleteRead too
            if attempt == DOWNLOADS - 1:
                raise
    raise OSError(url)


def arguments() -> tuple[str, Diary]:
    """Return the address of the provider, and the diary."""
    return sys.argv[1], Diary(Path(sys.argv[2]), int(sys.argv[3]))
