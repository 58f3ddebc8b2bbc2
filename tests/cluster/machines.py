"""Machines of a cluster, each a data folder with its settings, on which workers are started."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings

_MAIN = "from media_agent.cli import main; raise SystemExit(main())"
_READY = "working;"


@dataclass
class Machine:
    """One machine; its settings name what all share: the ledger, and where files lie."""

    folder: Path
    ledger: SecretStr | None
    files: Path
    fal_url: str
    queue: str = ""
    """More lines of [backends.fal.queue]."""
    poll_seconds: float = 0.2
    prefix: list[str] = field(default_factory=list)
    """A command that runs another one elsewhere, such as in a network namespace."""
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        ledger = "" if self.ledger is None else f'ledger = "{self.ledger.get_secret_value()}"'
        self.settings.write_text(
            f"""
            data_dir = "{self.folder / "data"}"
            default_backend = "fal"
            quality = "off"
            threads = 1
            {ledger}
            [provenance]
            sign = "off"
            [jobs]
            runner = "dbos"
            files = "file://{self.files}"
            [backends.fal]
            base_url = "{self.fal_url}"
            key = "key-of-tests-1234"
            [backends.fal.options]
            poll_seconds = {self.poll_seconds}
            allow_plain_http = true
            [backends.fal.queue]
            {self.queue}
            [backends.magi.queue]
            models = ["tiny"]
            """,
            encoding="utf-8",
        )

    @property
    def settings(self) -> Path:
        return self.folder / "media-agent.toml"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    def client(self) -> VideoClient:
        """Return a client that hands its jobs to workers."""
        return VideoClient(settings=load_settings(config=self.settings))

    def start(self, queues: str, *more: str, drain: float = 1) -> "subprocess.Popen[bytes]":
        """Start a worker; it takes a while until it works."""
        environment = {**os.environ, "MEDIA_AGENT_CONFIG": str(self.settings)}
        environment.pop("MEDIA_AGENT_DATA_DIR", None)
        words = ["worker", "--queues", queues, "--drain-seconds", str(drain), "--log", *more]
        with self.log.open("ab") as log:
            worker = subprocess.Popen(
                [*self.prefix, sys.executable, "-c", _MAIN, *words],
                env=environment,
                stderr=log,
                stdout=log,
            )
        self.workers.append(worker)
        return worker

    def wait_until_ready(self, count: int = 1) -> None:
        """Wait until so many workers that were started here work."""
        self.wait_for(_READY, count)

    def wait_for(self, said: str, count: int = 1) -> None:
        """Wait until the workers of this machine have said something so many times."""
        deadline = time.monotonic() + 300
        while self.log.read_text(encoding="utf-8").count(said) < count:
            ended = [each.returncode for each in self.workers if each.poll() is not None]
            if time.monotonic() > deadline or len(ended) == len(self.workers):
                raise AssertionError(f"{said!r} is not in:\n{self.log.read_text()}")
            time.sleep(0.05)

    def end(self) -> None:
        """End all workers, without asking."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGKILL)
                worker.wait()
