"""Run the tests with each Python that this machine has: `make test-all` calls this.

Only the standard library. Each Python gets an environment of its own, `.venv-3.12` and so on, with
the versions in constraints.txt; it is kept, and made again when these change. Found are the
interpreters on the PATH and those of pyenv.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.11", "3.12", "3.13")


def main() -> int:
    """Run the tests version by version, and say at the end what became of each."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--torch-index", default="", help="a package index to take torch from")
    parser.add_argument("--without-torch", action="store_true", help="leave out what needs torch")
    parser.add_argument("pytest", nargs="*", help="what else pytest is told, after --")
    arguments = parser.parse_args()
    said = {version: outcome(version, arguments) for version in VERSIONS}
    for version, words in said.items():
        print(f"Python {version}: {words}")
    return int(any(words.startswith("failed") for words in said.values()))


def outcome(version: str, arguments: argparse.Namespace) -> str:
    """Run the tests with one version; return what to say of it."""
    found = interpreter(version)
    if found is None:
        return "SKIPPED, this machine has none"
    print(f"test-all: Python {version}, {found}", flush=True)
    try:
        python = environment(found, version, arguments)
    except subprocess.CalledProcessError:
        return "failed: its environment could not be made"
    done = subprocess.run([str(python), "-m", "pytest", *arguments.pytest], cwd=ROOT)
    passed = "passed, WITHOUT what needs torch" if arguments.without_torch else "passed"
    return passed if done.returncode == 0 else f"failed, pytest ended with {done.returncode}"


def interpreter(version: str) -> str | None:
    """Return an interpreter of that version that starts, None where there is none."""
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    for each in (shutil.which(f"python{version}"), *map(str, reversed(pyenv))):
        if each is not None:
            asked = "import sys; print('%d.%d' % sys.version_info[:2])"
            told = subprocess.run([each, "-c", asked], capture_output=True, text=True)
            if told.stdout.strip() == version:
                return each
    return None


def environment(found: str, version: str, arguments: argparse.Namespace) -> Path:
    """Return the Python of the version's environment, with everything installed.

    Raises:
        CalledProcessError: that failed; pip has said why.
    """
    venv = ROOT / f".venv-{version}"
    python, stamp = venv / "bin" / "python", venv / ".ready"
    files = (ROOT / "pyproject.toml", ROOT / "constraints.txt")
    wanted = f"{arguments.without_torch}\n" + "".join(each.read_text("utf-8") for each in files)
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return python
    subprocess.run([found, "-m", "venv", "--clear", str(venv)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "-c", "constraints.txt"]
    if not arguments.without_torch:
        index = ["--extra-index-url", arguments.torch_index] if arguments.torch_index else []
        subprocess.run([*install, "torch", *index], cwd=ROOT, check=True)
    extras = "dev" if arguments.without_torch else "magi-weights,diffusers,dev"
    subprocess.run([*install, "-e", f".[{extras}]"], cwd=ROOT, check=True)
    stamp.write_text(wanted, "utf-8")
    return python


if __name__ == "__main__":
    sys.exit(main())
