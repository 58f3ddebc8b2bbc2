"""A person at the command line: a folder, settings, and `media-agent` as a black box."""

import base64
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange import Case

PATIENCE = 170.0  # seconds after which a command that has not ended counts as one without an end
_SETTINGS = {
    "fal": '[backends.fal]\nbase_url = "BASE"\nkey_env = "HOSTILE_KEY"\n[backends.fal.options]\n',
    "openai": '[backends.openai-compatible]\nbase_url = "BASE/v1"\nmodel = "wan"\n'
    'key_env = "HOSTILE_KEY"\n[backends.openai-compatible.options]\nserver = "FLAVOUR"\n',
    "http": """[backends.acme]
kind = "http"
base_url = "BASE"
key_env = "HOSTILE_KEY"
[backends.acme.options]
submit = "POST /jobs"
body = {text = "{prompt}", seconds = "{duration}", seed = "{seed}"}
poll = "GET /jobs/{id}"
state = "state"
done = ["succeeded"]
failed = ["failed"]
progress = "progress"
error = "message"
result = "url"
sizes = ["96x54"]
fps = [24]
max_duration = 10
usd_per_video = 0.1
""",
}
_PACE = "poll_seconds = 0.1\ntimeout_seconds = 2\ndeadline_seconds = 15\n"
_BACKENDS = {"fal": "fal/hostile/videos", "openai": "openai-compatible", "http": "acme"}
_SERVERS = {"sglang": "sglang", "vllm": "vllm-omni", "": "auto"}


@dataclass(slots=True)
class Person:
    """Runs commands in a folder of its own and remembers what they said."""

    case: Case
    folder: Path
    base: str
    said: list[str] = field(default_factory=list)
    codes: list[int | None] = field(default_factory=list)

    def settle(self) -> None:
        """Write the settings."""
        settings = _SETTINGS[self.case.kind].replace("BASE", self.base)
        settings = settings.replace("FLAVOUR", _SERVERS[self.case.flavour])
        (self.folder / "media-agent.toml").write_text(settings + _PACE)

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command."""
        own = {
            "MEDIA_AGENT_DATA_DIR": str(self.folder / "data"),
            "MEDIA_AGENT_CONFIG": str(self.folder / "media-agent.toml"),
            "HOSTILE_KEY": self.case.key,
            "COLUMNS": "300",
        }
        return subprocess.Popen(
            [sys.executable, "-m", "media_agent.cli", *words],
            cwd=self.folder,
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            start_new_session=True,
        )

    def end(self, process: "subprocess.Popen[str]", patience: float = PATIENCE) -> str:
        """Wait for a command; return what it printed. One without an end is killed."""
        try:
            out, err = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            self.codes.append(None)
        else:
            self.codes.append(process.returncode)
        self.said.append(f"$ {' '.join(process.args[2:])}\n{out}{err}")  # type: ignore[index]
        return out

    def run(self, *words: str) -> str:
        """Run a command to its end."""
        return self.end(self.begin(*words))

    def generate(self) -> "subprocess.Popen[str]":
        """Start to make the video."""
        words = ("--backend", _BACKENDS[self.case.kind], "--duration", "2", "--out", "video.mp4")
        return self.begin("generate", self.case.prompt, *words, "--json")

    def job(self) -> dict[str, Any] | None:
        """Return the job as the command line tells it."""
        text = self.run("jobs", "list", "--json")
        try:
            jobs = json.loads(text, parse_constant=_refuse_constant)["data"]
        except (ValueError, KeyError):
            return {"id": "", "status": "unreadable", "error": None}
        return dict(jobs[0]) if jobs else None

    def secrets(self) -> list[str]:
        """Return where the key stands, in whatever spelling."""
        places = [f"said {count}" for count, text in enumerate(self.said) if self._shows(text)]
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path.name != "media-agent.toml":
                text = path.read_bytes().decode("latin-1")
                if path.name == "ledger.sqlite":
                    text += _rows(path)
                if self._shows(text):
                    places.append(str(path.relative_to(self.folder)))
        return places

    def _shows(self, text: str) -> bool:
        for _ in range(3):
            if self.case.key in text:
                return True
            text = urllib.parse.unquote(_unescaped(text), errors="replace")
        return base64.b64encode(self.case.key.encode()).decode() in text


def _unescaped(text: str) -> str:
    r"""Undo \/, \" and \u0041, however often they were escaped."""
    text = re.sub(r"\\+u00([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text)
    return re.sub(r'\\+([/"\\])', r"\1", text)


def _rows(path: Path) -> str:
    """Return all that a SQLite file says, in one text."""
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as ledger:
            ledger.text_factory = lambda content: content.decode("utf-8", "replace")
            return "\n".join(ledger.iterdump())
    except (sqlite3.Error, UnicodeError):
        return ""


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
