"""Install the lowest versions that pyproject.toml allows, and try them: `make lowest` calls this.

Only the standard library. Pinned are the direct dependencies of media-agent itself, of its extras
`local` and `testing`, and of what the tests run with; what these need is the newest that fits.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-lowest"
PINS = VENV / "lowest.txt"
EXTRAS = ("local", "testing")
TOOLS = ("anyio", "hypothesis", "respx", "setuptools")  # of the extra `dev`, for the tests
# It starts, plans, makes, joins; hosted APIs, by their simulators; the ledger; what comes in.
TESTS = (
    "tests/cli/test_process.py",
    "tests/cli/commands/videos/test_generate.py",
    "tests/cli/commands/test_plan.py",
    "tests/cli/commands/jobs/test_jobs.py",
    "tests/cli/commands/setup/test_config.py",
    "tests/video/test_concat.py",
    "tests/ledger",
    "tests/storage",
    "tests/ingest/test_read.py",
    "tests/ingest/test_hostile_files.py",
    "tests/builtin/test_sandbox.py",
    "tests/builtin/test_sandbox_conformance.py",
    "tests/video/test_codec.py",
    "tests/hosted",
    "tests/schemas",
)
_LOWEST = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*>=\s*([0-9][0-9A-Za-z.]*)")


def main() -> int:
    """Make the environment from scratch and run the tests in it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--print", action="store_true", help="only print the versions")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = list(find_lowest(project))
    if parser.parse_args().print:
        print("\n".join(pins))
        return 0
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    PINS.write_text("\n".join(pins) + "\n", encoding="utf-8")
    python = str(VENV / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "-r", str(PINS)]
    subprocess.run([*install, "-e", str(ROOT)], cwd=ROOT, check=True)
    return subprocess.run([python, "-m", "pytest", *TESTS], cwd=ROOT).returncode


def find_lowest(project: dict[str, dict[str, list[str]]]) -> Iterator[str]:
    """Yield each requirement as `name==version`, at its lower bound."""
    extras = project["optional-dependencies"]
    tools = (each for each in extras["dev"] if each.startswith(TOOLS))
    wanted = [*project["dependencies"], *(each for name in EXTRAS for each in extras[name]), *tools]
    for requirement in wanted:
        found = _LOWEST.match(requirement)
        if found is not None:
            yield f"{found[1]}=={found[2]}"


if __name__ == "__main__":
    sys.exit(main())
