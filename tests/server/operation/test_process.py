"""A server as a process: ended and killed in the middle of a video, and started again."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

SERVE = "import sys; from media_agent.cli import main; sys.exit(main())"
REQUEST = {
    "prompt": "x",
    "duration": 6,
    "fps": 4,
    "size": {"width": 32, "height": 32},
    "options": {"sandbox": {"latency_seconds": 3}},
}


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a server; yields it, and its address."""
    variables = {"MEDIA_AGENT_DATA_DIR": str(folder), "MEDIA_AGENT_DEFAULT_BACKEND": "sandbox"}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, "serve", "--port", "0"],
        env={**os.environ, **variables},
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert address is not None, line + process.stderr.read()
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield process, address[0]
    finally:
        process.kill()
        process.wait()


def hear(
    base: str, job_id: str, after: int, *, chunks: int = 99, heard: threading.Event | None = None
) -> list[tuple[int, str]]:
    """Return the events after a number, up to so many chunks, or to the end of the stream."""
    events: list[tuple[int, str]] = []
    headers = {"Last-Event-ID": str(after)} if after >= 0 else {}
    url = f"{base}/v1/jobs/{job_id}/events"
    with httpx.stream("GET", url, headers=headers, timeout=60) as reply:
        if heard is not None:
            heard.set()
        number = -1
        for line in reply.iter_lines():
            if line.startswith("id: "):
                number = int(line[4:])
            if line.startswith("event: "):
                events.append((number, line[7:]))
                chunks -= line == "event: chunk.ready"
                if chunks == 0:
                    break
    return events


def test_a_video_survives_the_end_and_the_death_of_its_server(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, base):
        job = httpx.post(f"{base}/v1/jobs", json={"request": REQUEST}, timeout=60).json()
        heard = hear(base, job["id"], -1, chunks=1)
        begun = threading.Event()
        listening = threading.Thread(
            target=hear, args=(base, job["id"], heard[-1][0]), kwargs={"heard": begun}
        )
        listening.start()
        assert begun.wait(30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        listening.join(30)
        assert not listening.is_alive()
    with serving(tmp_path) as (process, base):
        heard += hear(base, job["id"], heard[-1][0], chunks=2)
        process.kill()
    with serving(tmp_path) as (process, base):
        heard += hear(base, job["id"], heard[-1][0])
        done = httpx.get(f"{base}/v1/jobs/{job['id']}").json()

    assert done["status"] == "completed"
    assert done["artifacts"][0]["metadata"]["frames"] == 24
    assert [number for number, _ in heard] == list(range(len(heard)))
    assert [kind for _, kind in heard].count("chunk.ready") == 6
    assert heard[-1][1] == "job.completed"
