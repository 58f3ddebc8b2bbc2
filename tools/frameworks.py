"""Run the tests of the agent tools with the frameworks installed: `make frameworks`.

They are large, so they get an environment of their own, .venv-frameworks.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WANTED = ROOT / "tools" / "frameworks-requirements.txt"
VENV = ROOT / ".venv-frameworks"
TESTS = ("tests/tools/agents/test_executors.py", "tests/tools/agents/test_frameworks.py")


def prepare() -> Path:
    """Return the Python of the environment; make it, or bring it up to date."""
    python, stamp = VENV / "bin" / "python", VENV / ".installed"
    wanted = WANTED.read_text("utf-8") + (ROOT / "pyproject.toml").read_text("utf-8")
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-e", f"{ROOT}[local]", "-r", str(WANTED)], check=True)
        stamp.write_text(wanted, "utf-8")
    return python


def main() -> int:
    """Run the tests; one that is skipped is a framework that could not be imported."""
    command = [str(prepare()), "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *TESTS]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    return done.returncode or int("SKIPPED" in done.stdout)


if __name__ == "__main__":
    sys.exit(main())
