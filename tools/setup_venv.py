"""Make the project's virtual environment: `make` calls this once, with any Python.

Only the standard library, and written so that old interpreters can read it too: a machine which
lacks something gets one clear line that says what.
"""

import argparse
import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if sys.platform == "win32" else "bin")
LOG = VENV / "setup.log"
NEEDED_BYTES = 3 * 10**9
TICK_SECONDS = 15.0
NETWORK_SIGNS = (
    "Name or service not known",
    "Temporary failure in name resolution",
    "nodename nor servname",
    "Failed to establish a new connection",
    "Connection refused",
    "Read timed out",
    "Network is unreachable",
    "ProxyError",
)


class SetupError(Exception):
    """Something is missing on this machine; the message says what, and the way out."""


def main():
    """Create the environment and install the pinned torch, then media-agent with its extras."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--torch-index", default="", help="a package index to take torch from")
    arguments = parser.parse_args()
    index = ["--extra-index-url", arguments.torch_index] if arguments.torch_index else []
    try:
        check_machine()
        create_venv()
        install(
            "[1/2] installing torch (a large download; with it at hand, about a minute)",
            ["torch", *index],
        )
        install(
            "[2/2] installing media-agent and its tools (about a minute)",
            ["-e", ".[magi-weights,diffusers,dev]"],
        )
    except SetupError as error:
        sys.exit(f"setup: {error}")
    except KeyboardInterrupt:
        sys.exit("setup: interrupted; run the same command again to continue")


def check_machine():
    """Refuse a machine that cannot finish, before anything is downloaded.

    Raises:
        SetupError: naming what is missing.
    """
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < (3, 11):  # noqa: UP036  (reached under the wrong Python)
        raise SetupError(
            f"Python 3.11 or newer is needed, this is {version} ({sys.executable}). "
            "Name another one: make demo PYTHON=python3.11"
        )
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise SetupError(
                f"Python {version} has no '{module}' module. "
                f"On Debian and Ubuntu: apt install python3.{sys.version_info[1]}-venv"
            )
    free = shutil.disk_usage(str(ROOT)).free
    if not (BIN / "pip").exists() and free < NEEDED_BYTES:
        raise SetupError(
            f"about 3 GB of disk are needed for torch and the tools, {ROOT} has {free / 1e9:.1f} GB"
        )


def create_venv():
    """Create `.venv`, or keep the one that is there and works."""
    if (BIN / "python").exists():
        probe = subprocess.run([str(BIN / "python"), "-m", "pip", "--version"], capture_output=True)
        if probe.returncode == 0:
            return
    print(f"setup: making .venv with {sys.executable}", flush=True)
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode != 0:
        raise SetupError(f"could not make {VENV}: {(made.stderr or made.stdout).strip()}")


def install(title, requirements):
    """Run pip within constraints.txt, its words going to a log, and say that it is still at it.

    Raises:
        SetupError: with the end of pip's log, and a guess at the cause where it shows one.
    """
    print(f"setup: {title}", flush=True)
    command = [str(BIN / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["-c", "constraints.txt", *requirements]
    started = time.monotonic()
    with LOG.open("w", encoding="utf-8") as log:
        pip = subprocess.Popen(command, cwd=str(ROOT), stdout=log, stderr=subprocess.STDOUT)
        while True:
            try:
                code = pip.wait(timeout=TICK_SECONDS)
                break
            except subprocess.TimeoutExpired:
                print(f"setup:   still at it, {time.monotonic() - started:.0f} s", flush=True)
    if code != 0:
        raise SetupError(explain(LOG.read_text(encoding="utf-8", errors="replace")))


def explain(log):
    """Return what to tell the person whose pip failed."""
    lines = [line for line in log.splitlines() if line.strip() and "is ignored: it is" not in line]
    tail = "\n  ".join(lines[-6:])
    cause = "pip failed"
    if any(sign in log for sign in NETWORK_SIGNS):
        cause = "pip could not reach its package index (offline, or behind a proxy?)"
    elif "No space left on device" in log:
        cause = "the disk is full"
    elif "No matching distribution" in log:
        cause = "the package index has no build for this Python and platform (tested: 3.11)"
    return f"{cause}. Its whole output is in {LOG}, which ends:\n  {tail}"


if __name__ == "__main__":
    main()
