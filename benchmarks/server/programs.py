"""The programs of the comparison: started, watched from outside, ended."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

HERE = Path(__file__).parent
PATIENCE = 300.0  # seconds that a program has to answer for the first time
BACKENDS = {"slow": 3600.0, "quick": 2.0, "steps": 8.0, "large": 0.1}
"""The seconds until a video is done at each mock upstream."""
LITELLM_KEY = "sk-bench"


@dataclass
class Program:
    """One program that listens on a port of this machine."""

    name: str
    command: list[str]
    port: int
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_at: str = "/v1/models"
    start_seconds: float = 0.0
    process: psutil.Popen | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        begin = time.perf_counter()
        with self.log.open("ab") as log:
            self.process = psutil.Popen(
                self.command, env={**os.environ, **self.environment}, stdout=log, stderr=log
            )
        while not self._answers():
            if self.process.poll() is not None or time.perf_counter() - begin > PATIENCE:
                raise RuntimeError(f"{self.name} does not answer; see {self.log}")
            time.sleep(0.02)
        self.start_seconds = time.perf_counter() - begin

    def end(self) -> None:
        """End it and all that it started."""
        if self.process is None:
            return
        with contextlib.suppress(psutil.Error, subprocess.TimeoutExpired):
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
        for each in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()

    def cpu_seconds(self) -> float:
        """Return the processor time that it has taken, with its children."""
        times = [each.cpu_times() for each in self._processes()]
        return sum(each.user + each.system for each in times)

    def memory_mb(self) -> float:
        """Return the memory that it holds, with its children."""
        return sum(each.memory_info().rss for each in self._processes()) / 1e6

    @contextlib.contextmanager
    def peak_memory(self) -> Iterator[list[float]]:
        """Give the most memory that it held meanwhile, in the first place of the list."""
        peak, ended = [self.memory_mb()], threading.Event()

        def watch() -> None:
            while not ended.wait(0.02):
                peak[0] = max(peak[0], self.memory_mb())

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield peak
        finally:
            ended.set()
            thread.join()

    def _processes(self) -> list[psutil.Process]:
        if self.process is None:
            return []
        try:
            return [self.process, *self.process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.ready_at}", timeout=2)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def allow_many_connections() -> None:
    """Let this process, and those that it starts, open thousands of files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 16_384), most))


def upstreams(folder: Path, videos: Mapping[str, Path]) -> dict[str, Program]:
    """Return the mock upstreams, by the name of the backend that asks them."""
    found = {}
    for name, seconds in BACKENDS.items():
        port = free_port()
        words = [str(port), "--seconds", str(seconds), "--video", str(videos[name])]
        command = [sys.executable, str(HERE / "upstream.py"), *words]
        log = folder / f"{name}.log"
        found[name] = Program(f"upstream {name}", command, port, log)
    return found


def own_folders(folder: Path) -> dict[str, str]:
    """Return the variables that keep media-agent off what the user has."""
    return {"MEDIA_AGENT_DATA_DIR": str(folder / "data"), "XDG_CONFIG_HOME": str(folder)}


def media_agent(folder: Path, ports: Mapping[str, int]) -> Program:
    """Return our server, which asks the upstreams at these ports."""
    sections = [
        f'[backends.{name}]\nkind = "openai-compatible"\nmodel = "sora-2"\n'
        f'base_url = "http://127.0.0.1:{port}/v1"\n'
        f"[backends.{name}.options]\npoll_seconds = {0.5 if name == 'steps' else 2}\n"
        for name, port in ports.items()
    ]
    settings = folder / "media-agent.toml"
    sections.append('[provenance]\nsign = "off"\n')  # LiteLLM hands videos on as they are
    settings.write_text("\n".join(sections), encoding="utf-8")
    port = free_port()
    command = [str(Path(sys.executable).with_name("media-agent")), "serve", "--port", str(port)]
    environment = own_folders(folder) | {"MEDIA_AGENT_CONFIG": str(settings)}
    return Program("media-agent", command, port, folder / "media-agent.log", environment)


def litellm(folder: Path, ports: Mapping[str, int], venv: Path) -> Program:
    """Return LiteLLM's proxy, which asks the upstreams at these ports."""
    models = [
        f"  - model_name: {name}\n    litellm_params:\n      model: openai/sora-2\n"
        f"      api_base: http://127.0.0.1:{port}/v1\n      api_key: sk-none\n"
        for name, port in ports.items()
    ]
    settings = folder / "litellm.yaml"
    text = "model_list:\n" + "".join(models) + "litellm_settings:\n  telemetry: false\n"
    settings.write_text(text, encoding="utf-8")
    port = free_port()
    words = ["--config", str(settings), "--host", "127.0.0.1", "--port", str(port)]
    command = [str(venv / "bin" / "litellm"), *words]
    environment = {"LITELLM_MASTER_KEY": LITELLM_KEY, "LITELLM_LOG": "ERROR"}
    return Program(
        "LiteLLM",
        command,
        port,
        folder / "litellm.log",
        environment,
        ready_at="/health/liveliness",
    )
