"""Calls a server at random for minutes: as described, and in sequences (`make fuzz-server`)."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def main() -> None:
    """Take turns until the time is over; the first reply that is wrong ends it with its call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    end = time.monotonic() + 60 * parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEDIA_AGENT_DATA_DIR"] = folder
        from media_agent.config.settings import load_settings
        from media_agent.server.app import build_app
        from tests.server.fuzzed import fuzz, quick_settings, serving
        from tests.server.sequences import try_sequences

        made = sequences = 0
        while time.monotonic() < end:
            with serving(build_app(quick_settings())) as base:
                made += fuzz(base, examples=20)
            with serving(build_app(load_settings(default_backend="sandbox"))) as base:
                try_sequences(base, count=20)
                sequences += 20
            print(f"{made} single calls and {sequences} sequences without a wrong reply")


if __name__ == "__main__":
    main()
