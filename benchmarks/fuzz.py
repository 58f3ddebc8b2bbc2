"""Gives odd input to all that reads what others wrote, for minutes: `make fuzz`.

Each target runs in a process of its own, which a crash or a hang ends alone. Whatever breaks a rule
of `tests/fuzz/rules.py` is a finding, by the place in our code where it shows; the files of the
last example stay in out/fuzz. Exit code 1 when something was found.
"""

import argparse
import faulthandler
import os
import random
import resource
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]
EXAMPLES = 50  # of a round
HANGS = 120.0  # seconds of an example
MEMORY = 8 << 30  # bytes of addresses, after which nothing more is given
SERVER = "server"
OURS = ("media_agent", "schemas", "backends", "adapters")


def main() -> int:
    """Try each target in turn; say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5, help="of each target")
    parser.add_argument("--only", nargs="*", help="targets; all if not given")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    number = int(time.time()) if arguments.seed is None else arguments.seed
    if arguments.inside:
        return work(arguments.inside, 60 * arguments.minutes, number)
    from tests.fuzz.targets import TARGETS

    named = (*TARGETS, SERVER)
    unknown = {*(arguments.only or ())} - {*named}
    if unknown:
        parser.error(f"unknown target {', '.join(unknown)}; there is {', '.join(named)}")
    found = [run(name, arguments.minutes, number) for name in arguments.only or named]
    print("\n".join(["", *(line for _, line in found)]))
    return any(is_found for is_found, _ in found)


def run(name: str, minutes: float, number: int) -> tuple[bool, str]:
    """Let a process try one target; return whether it found something, and a line about it."""
    words = ["--inside", name, "--minutes", str(minutes), "--seed", str(number)]
    folder = ROOT / "out" / "fuzz" / name
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONFAULTHANDLER": "1"}
    done = subprocess.run([sys.executable, __file__, *words], env=environment, check=False)
    if done.returncode in (0, 1):
        return bool(
            done.returncode
        ), f"{name}: {'FINDINGS' if done.returncode else 'nothing found'}"
    return True, f"{name}: THE PROCESS ENDED with {done.returncode}; its last files: {folder}"


def work(name: str, seconds: float, number: int) -> int:
    """Try one target until the time is over; return 1 when something was found."""
    import logging

    from tests.fuzz.targets import TARGETS, attempt, isolate

    if name == SERVER:
        isolate(ROOT / "out" / "fuzz" / name)
        return call_server(seconds)
    logging.captureWarnings(True)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    end = time.monotonic() + seconds
    folder = ROOT / "out" / "fuzz" / name
    tried, found = 0, Counter[str]()
    isolate(folder)
    with TARGETS[name](folder) as example:

        def watched(dice: random.Random) -> None:
            nonlocal tried
            tried += 1
            faulthandler.dump_traceback_later(HANGS, exit=True)
            example(dice)

        while time.monotonic() < end:
            number += 1
            try:
                attempt(watched, examples=EXAMPLES, number=number)
            except Exception as raised:  # noqa: BLE001  # any is a finding
                is_group = isinstance(raised, ExceptionGroup)  # of what did not happen again
                error = raised.exceptions[0] if is_group else raised
                place = where(error)
                found[place] += 1
                if found[place] == 1:
                    print(f"\n{name}, seed {number - 1}: {place}", flush=True)
                    print("".join(traceback.format_exception(error)[-30:]), flush=True)
        faulthandler.cancel_dump_traceback_later()
    print(f"{name}: {tried} examples, {len(found)} findings")
    for place, count in found.most_common():
        print(f"  {count} x {place}")
    return bool(found)


def call_server(seconds: float) -> int:
    """Call a server at random, as it describes itself and in sequences; a wrong reply is raised."""
    from media_agent.config.settings import load_settings
    from media_agent.server.app import build_app
    from tests.server.fuzzed import fuzz, quick_settings, serving
    from tests.server.sequences import try_sequences

    end = time.monotonic() + seconds
    made = sequences = 0
    while time.monotonic() < end:
        with serving(build_app(quick_settings())) as base:
            made += fuzz(base, examples=20)
        with serving(build_app(load_settings(default_backend="sandbox"))) as base:
            try_sequences(base, count=20)
            sequences += 20
    print(f"{SERVER}: {made} single calls and {sequences} sequences without a wrong reply")
    return 0


def where(error: BaseException) -> str:
    """Return the kind of an error, and the last line of our code that it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    names = [
        each for each in frames if f"{ROOT}/" in each.filename and "/.venv" not in each.filename
    ]
    ours = [each for each in names if each.filename[len(str(ROOT)) + 1 :].startswith(OURS)]
    last = (ours or names or frames)[-1]
    said = str(error).partition("\n")[0][:160]
    return f"{type(error).__name__} at {last.filename}:{last.lineno}: {said}"


if __name__ == "__main__":
    raise SystemExit(main())
