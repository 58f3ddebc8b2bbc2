"""Reads our pages as somebody does who types what they say, from top to bottom.

A fenced block of `sh` is run by a shell that stops at the first error. A block of Python, TOML,
YAML or JSON is written to a file if its first line is `# NAME`, or if `<!-- file: NAME -->` stands
before it; TOML without a name is appended to media-agent.toml, and Python without one is run. Other
comments before a block:

    <!-- not run: REASON -->     what cannot be run here; `test_pages_run` counts these
    <!-- slow: REASON -->        only in `make test-all`
    <!-- exits: N -->            it shows an error, with this exit code
    <!-- background -->          it goes on until the page ends; we wait for its first line
    <!-- background: stderr -->  the same; its first line is on stderr

JOB_ID stands for the newest job, and http://127.0.0.1:8000 for a server at a port that is free.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "tutorial").glob("*.md")),
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
)
_FENCE = re.compile(
    r"(?P<notes>(?:^ *<!--.*?-->\n+)*)^(?P<indent> *)```(?P<language>\w*)\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
_NOTE = re.compile(r"<!-- (not run|slow|exits|background|file)(?:: (.*?))? -->", re.DOTALL)
_FILE = re.compile(r"# ([\w./-]+\.(?:py|toml|yaml|yml|json|txt))")
_RUN = {"sh", "python", "toml"}
_WRITTEN = {"python", "toml", "yaml", "json"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page, and what is said of it."""

    page: Path
    line: int
    language: str
    text: str
    notes: dict[str, str]

    @property
    def place(self) -> str:
        """Return where it is."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str | None:
        """Return the name of the file that it is."""
        if "file" in self.notes:
            return self.notes["file"]
        first = _FILE.match(self.text) if self.language in _WRITTEN else None
        return None if first is None else first[1]


def read_blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that can be run or written, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        notes = {name: " ".join(said.split()) for name, said in _NOTE.findall(fence["notes"])}
        line = text.count("\n", 0, fence.start("indent")) + 1
        body = re.sub(rf"(?m)^{fence['indent']}", "", fence["text"])
        found.append(Block(page, line, fence["language"], body, notes))
    return [block for block in found if block.language in _RUN or block.file is not None]
