"""Runs media-agent against the released routes of open video servers: `make open-servers`.

Their wheels are fetched from the package index, unpacked into a folder of their own, and served
over an engine without a model, so that no GPU is needed. What was asked of the engine, what came
back and how each job ended is printed and written into results/open-servers.json.
"""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from cases import CASES, Case
from PIL import Image

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "open-servers.json"
VERSIONS = {"sglang": "0.5.23", "vllm-omni": "0.30.0", "fastvideo": "0.2.1"}
NEEDS = (
    *("fastapi==0.165.0", "uvicorn==0.54.0", "python-multipart==0.0.34"),
    *("orjson==3.13.0", "aiofiles==25.1.0"),
)
PATIENCE = 120.0  # seconds after which a command counts as one without an end
_SETTINGS = """[backends.mine]
kind = "openai-compatible"
base_url = "http://127.0.0.1:{port}"
model = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
[backends.mine.options]
server = "{server}"
poll_seconds = 0.2
"""


def prepare(folder: Path, server: str) -> list[Path]:
    """Unpack a server's wheel and what its routes need, once; return where they are."""
    wanted = {"needs": NEEDS, server: (f"{server}=={VERSIONS[server]}",)}
    for name, packages in wanted.items():
        if not (folder / name / ".ready").exists():
            bare = [] if name == "needs" else ["--no-deps"]
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target"]
            subprocess.run([*pip, str(folder / name), *bare, *packages], check=True)
            (folder / name / ".ready").touch()
    return [folder / name for name in wanted]


@dataclass(slots=True)
class Server:
    """One server in a process of its own, which can be killed and started again."""

    name: str
    paths: list[Path]
    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        paths = [*map(str, self.paths), str(HERE), os.environ.get("PYTHONPATH", "")]
        words = [self.name, str(self.port), str(self.paths[-1]), str(self.folder)]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "serve.py"), *words],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                stdout=log,
                stderr=log,
            )
        for _ in range(1200):
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/models", timeout=5)
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        said = (self.folder / "server.log").read_text("utf-8", errors="replace")
        raise SystemExit(f"{self.name} does not start: {said[-2000:]}")

    def kill(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def asked(self) -> list[dict[str, Any]]:
        """Return what its engine was asked for so far."""
        path = self.folder / "asked.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]


@contextmanager
def losing_a_reply(port: int) -> Iterator[int]:
    """Yield the port of a proxy that passes everything on, but no reply to the first POST."""
    lost = threading.Event()
    gate = socket.create_server(("127.0.0.1", 0))

    def pass_on(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as upstream:
            begin = client.recv(65536)
            if begin.startswith(b"POST") and not lost.is_set():
                lost.set()
                upstream.sendall(begin)
                client.settimeout(0.5)
                with suppress(OSError):
                    while more := client.recv(65536):
                        upstream.sendall(more)
                upstream.recv(65536)
                return
            pump = threading.Thread(target=_pump, args=(client, upstream), daemon=True)
            upstream.sendall(begin)
            pump.start()
            _pump(upstream, client)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = gate.accept()
                threading.Thread(target=_quietly, args=(pass_on, client), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield gate.getsockname()[1]
    gate.close()


def _quietly(work: Any, *args: Any) -> None:
    with suppress(OSError):
        work(*args)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def play(server: Server, case: Case, folder: Path) -> dict[str, Any]:
    """Play one case; return what was asked for, what the engine heard, and how it ended."""
    asked_before = len(server.asked())
    if case.meanwhile == "lose reply":
        with losing_a_reply(server.port) as port:
            job = _generate(server, case, folder, port)
    else:
        job = _generate(server, case, folder, server.port)
    heard = server.asked()[asked_before:]
    seen = _probe(folder / "video.mp4")
    ends = case.ends if isinstance(case.ends, str) else case.ends[server.name]
    is_right = job["status"] == ends and len(heard) <= 1
    if is_right and ends == "completed":
        is_right = bool(heard and seen) and case.holds(heard[0], seen)
    return {
        "case": case.name,
        "asked": " ".join(case.words),
        "engine": heard[0] if heard else None,
        "submissions": len(heard),
        "video": seen or None,
        "status": job["status"],
        "error": job.get("error"),
        "warnings": job.get("warnings", []),
        "right": is_right,
    }


def _generate(server: Server, case: Case, folder: Path, port: int) -> dict[str, Any]:
    Image.new("RGB", (64, 48), "navy").save(folder / "start.png")
    named = server.name if case.told else "auto"
    (folder / "media-agent.toml").write_text(_SETTINGS.format(port=port, server=named))
    before = len(server.asked())
    backend = () if "--model" in case.words else ("--backend", "mine")
    words = ("generate", case.prompt, *backend, *case.words, "--out", "video.mp4", "--json")
    process = _command(folder, *words)
    if case.meanwhile in ("cancel", "kill server"):
        _wait(lambda: len(server.asked()) > before)
        time.sleep(1.0)  # the reply is on its way
        if case.meanwhile == "cancel":
            process.send_signal(signal.SIGINT)
        else:
            server.kill()
            server.start()
    try:
        process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return {"status": "no end"}
    listed, _ = _command(folder, "jobs", "list", "--json").communicate()
    jobs = json.loads(listed)["data"]
    if not jobs:
        return {"status": "failed", "error": {"message": "refused before anything was sent"}}
    shown, _ = _command(folder, "jobs", "show", jobs[0]["id"], "--json").communicate()
    return dict(json.loads(shown))


def _command(folder: Path, *words: str) -> "subprocess.Popen[str]":
    own = {
        "MEDIA_AGENT_DATA_DIR": str(folder / "data"),
        "MEDIA_AGENT_CONFIG": str(folder / "media-agent.toml"),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "media_agent.cli", *words],
        cwd=folder,
        env={**os.environ, **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait(is_so: Any) -> None:
    until = time.monotonic() + PATIENCE
    while not is_so() and time.monotonic() < until:
        time.sleep(0.1)


def _probe(path: Path) -> dict[str, Any]:
    """Return what a video really is, nothing if there is none."""
    import av

    if not path.exists():
        return {}
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        frames = sum(1 for _ in file.decode(stream))
        rate = Fraction(stream.average_rate or 0)
        return {
            "width": stream.width,
            "height": stream.height,
            "frames": frames,
            "fps": float(rate),
        }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as gate:
        return int(gate.getsockname()[1])


def main() -> None:
    """Play the cases; exit with 1 if one does not end as it must."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("out/open-servers"))
    parser.add_argument("--server", choices=VERSIONS, action="append")
    parser.add_argument("--case", default="", help="only cases with this text in their name")
    options = parser.parse_args()
    is_right = True
    for name in options.server or VERSIONS:
        paths = prepare(options.folder.resolve(), name)
        with tempfile.TemporaryDirectory(prefix=f"{name}-") as text:
            server = Server(name, paths, Path(text), _free_port())
            server.start()
            played = []
            try:
                for number, case in enumerate(CASES):
                    if options.case not in case.name:
                        continue
                    (folder := Path(text, str(number))).mkdir()
                    named = replace(case, prompt=f"{case.prompt} {number}")  # as no other
                    played.append(play(server, named, folder))
                    _print(name, played[-1])
            finally:
                server.kill()
        is_right &= all(entry["right"] for entry in played)
        _write(name, played)
    raise SystemExit(not is_right)


def _write(name: str, played: list[dict[str, Any]]) -> None:
    """Write what was played into the results; other cases and servers keep theirs."""
    results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    known = {entry["case"]: entry for entry in results.get(name, {}).get("cases", [])}
    known |= {entry["case"]: entry for entry in played}
    kept = [known[case.name] for case in CASES if case.name in known]
    results[name] = {"version": VERSIONS[name], "cases": kept}
    text = re.sub(
        rf"{re.escape(tempfile.gettempdir())}/{name}-\w+/", "", json.dumps(results, indent=2)
    )
    RESULTS.write_text(text + "\n")


def _print(server: str, entry: dict[str, Any]) -> None:
    mark = "ok " if entry["right"] else "NO "
    error = entry["error"] or {}
    said = error.get("message") or "; ".join(entry["warnings"])
    print(f"{mark} {server:10} {entry['case']:40} {entry['status']:16} {said[:120]}", flush=True)
    if not entry["right"]:
        print(json.dumps(entry, indent=2), flush=True)


if __name__ == "__main__":
    main()
