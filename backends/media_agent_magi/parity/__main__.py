"""Run every case of a folder, print a line for each, and say how many passed."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from media_agent_magi.parity.golden import GoldenFolder
from media_agent_magi.parity.runner import FAILED, LATER, PASSED, outcomes, sorted_files


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the folder named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m media_agent_magi.parity", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of golden data")
    folder: Path = parser.parse_args(arguments).folder
    if not folder.is_dir():
        _say(f"no folder at {folder}: name one that holds golden data")
        return 1
    counts: Counter[str] = Counter()
    golden = GoldenFolder(folder)
    stems, unknown = sorted_files(folder)
    for stem in stems:
        for outcome in outcomes(golden, stem):
            counts[outcome.state] += 1
            _say(str(outcome))
    for name in unknown:
        _say(f"unknown file: {name}")
    if not stems:
        _say(f"no case found in {folder}")
    _say(f"parity: {counts[PASSED]} passed, {counts[FAILED]} failed, {counts[LATER]} later")
    return 1 if counts[FAILED] or not counts else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
