"""Records what the SDKs of providers send, for `tests/hosted/wire`: `make wire`.

The SDKs are installed into an environment of their own, .venv-wire. Each speaks to the simulator of
its provider on this machine, so no key is needed and nothing is paid for.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.wire.calls import Writer, write_files
from benchmarks.wire.intents import Given, load, names
from media_agent.testing import Simulator
from media_agent.testing.simulator.find import find_simulator
from media_agent_hosted.plugin import provider_specs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WIRE = ROOT / "tests" / "hosted" / "wire"
VENV = ROOT / ".venv-wire"
PATIENCE = 120.0  # seconds


def prepare(venv: Path) -> Path:
    """Return the Python of the environment of the SDKs; make it, or bring it up to date."""
    python, stamp = venv / "bin" / "python", venv / ".installed"
    wanted = (HERE / "requirements.txt").read_text("utf-8")
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(HERE / "requirements.txt")], check=True)
        stamp.write_text(wanted, "utf-8")
    return python


def record(name: str, python: Path, left_out: list[str]) -> dict[str, Any]:
    """Return what the SDK of a provider sends for each intent."""
    sdk = load(name)
    specs = {spec.name: spec for spec in provider_specs()}
    with tempfile.TemporaryDirectory() as folder:
        given = write_files(Path(folder))
        with find_simulator(sdk.provider, specs)(**sdk.simulator) as simulator:
            version = perform(name, python, simulator.url, given)
            writer = Writer(simulator, given, left_out)
            calls = split(simulator, writer, len(sdk.intents))
    intents = [
        {"kind": intent.kind, "request": intent.request, "calls": sent}
        for intent, sent in zip(sdk.intents, calls, strict=True)
    ]
    return {
        "provider": sdk.provider,
        "sdk": sdk.package,
        "version": version,
        "options": sdk.options,
        "simulator": sdk.simulator,
        "waits": sdk.waits,
        "intents": intents,
    }


def perform(name: str, python: Path, url: str, given: Given) -> str:
    """Let the SDK do what it is asked to; return its version.

    It sees none of our settings, and no proxy.
    """
    done = subprocess.run(
        [str(python), "-m", "benchmarks.wire.perform", name, url, str(given.folder)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(given.folder), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if done.returncode != 0:
        raise SystemExit(f"{name}: the SDK failed\n{done.stderr}")
    return done.stdout.split()[-1]


def split(simulator: Simulator, writer: Writer, count: int) -> list[list[dict[str, Any]]]:
    """Return the calls of each intent."""
    calls: list[list[dict[str, Any]]] = []
    for call in simulator.requests:
        if call.path.startswith("/__intent__/"):
            calls.append([])
        elif call.name != "file":  # a video at an address of its own, which is none of the API
            calls[-1].append(writer.describe(call))
    assert len(calls) == count, (len(calls), count)
    return calls


def main() -> None:
    """Record those that are named, or all."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(names())}; all by default")
    parser.add_argument("--venv", type=Path, default=VENV, help="the environment of the SDKs")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(names())
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    rules = yaml.safe_load((WIRE / "differences.yaml").read_text("utf-8"))
    python = prepare(arguments.venv)
    for name in arguments.names or names():
        said = record(name, python, list(rules["headers_left_out"]))
        path = WIRE / "recordings" / f"{name}.json"
        path.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", "utf-8")
        print(f"{name}: {said['sdk']} {said['version']}, {len(said['intents'])} intents")


if __name__ == "__main__":
    main()
