"""Type-check what others write against media-agent, as their machines do: `make check` calls this.

A consumer and the Python of the README are checked by mypy in strict mode without plugins and by
pyright, which knows no plugin of pydantic; so a public model must say its defaults in a way that
every type checker reads.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSUMER = ROOT / "tests" / "project" / "outside" / "consumer.py"
SOURCES = (".", "schemas", "backends", "adapters")


def main() -> int:
    """Check both files with both type checkers; return 1 if one of them complains."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(CONSUMER, folder / "consumer.py")
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
        for number, block in enumerate(blocks, start=1):
            (folder / f"readme_{number}.py").write_text(block, encoding="utf-8")
        (folder / "mypy.ini").write_text(
            "[mypy]\nstrict = true\nexplicit_package_bases = true\nmypy_path = "
            + ":".join(str(ROOT / source) for source in SOURCES)
            + "\n",
            encoding="utf-8",
        )
        (folder / "pyrightconfig.json").write_text(
            json.dumps(
                {
                    "typeCheckingMode": "standard",
                    "pythonVersion": "3.11",
                    "extraPaths": [str(ROOT / source) for source in SOURCES],
                }
            ),
            encoding="utf-8",
        )
        files = sorted(path.name for path in folder.glob("*.py"))
        mypy = (
            "mypy",
            "--config-file=mypy.ini",
            "--cache-dir",
            str(ROOT / ".mypy_cache" / "outside"),
        )
        pyright = ("basedpyright", "--level", "error")
        python = ("--pythonpath", sys.executable)
        return max(run(folder, *mypy, *files), run(folder, *pyright, *python, *files))


def run(folder: Path, module: str, *arguments: str) -> int:
    """Run a type checker and show what it says only if it complains."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr, sep="", file=sys.stderr)
    return min(done.returncode, 1)


if __name__ == "__main__":
    sys.exit(main())
