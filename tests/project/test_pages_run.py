"""README, tutorial and how-to guides are run from top to bottom in a clean folder."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project.pages import PAGES, ROOT, Block, read_blocks

_PATIENCE = 300  # seconds for one block, on a machine that does much else
_COPIED = shutil.ignore_patterns("__pycache__")
_KEYS = ("FAL_KEY", "ACME_KEY", "MY_SERVER_KEY", "XAI_API_KEY", "REPLICATE_API_TOKEN")
NOT_RUN = {  # how many blocks of each page cannot be run; look at a new one
    "README.md": 4,
    "docs/how-to/add-a-hosted-provider.md": 3,
    "docs/how-to/check-parity.md": 1,
    "docs/how-to/endless-video-on-a-12-gb-card.md": 3,
    "docs/how-to/manage-jobs.md": 4,
    "docs/how-to/observe.md": 2,
    "docs/how-to/run-in-a-container.md": 4,
    "docs/how-to/run-magi-on-your-gpu.md": 4,
    "docs/how-to/serve-videos.md": 2,
    "docs/how-to/simulate-a-provider.md": 1,
    "docs/how-to/steer-and-branch.md": 1,
    "docs/how-to/train-magi-tiny.md": 2,
    "docs/how-to/use-a-diffusers-model.md": 10,
    "docs/how-to/use-a-gradio-app.md": 2,
    "docs/how-to/use-an-openai-compatible-server.md": 5,
    "docs/how-to/use-comfyui.md": 2,
    "docs/how-to/use-hunyuan-helios-and-svd.md": 2,
    "docs/how-to/use-ltx.md": 2,
    "docs/how-to/use-open-sora.md": 4,
    "docs/how-to/use-wan-and-skyreels.md": 5,
    "docs/how-to/use-with-mcp.md": 4,
    "docs/how-to/write-a-backend.md": 1,
    "docs/tutorial/first-video.md": 1,
}


class Reader:
    """Somebody at a terminal, in an empty home with a folder that holds what `make` has built."""

    def __init__(self, folder: Path, *, patience: float = _PATIENCE) -> None:
        self.folder = folder / "video"
        self._patience = patience
        self._background: list[subprocess.Popen[str]] = []
        self._port = find_free_port()
        self._environment = self._prepare(folder)

    def _prepare(self, folder: Path) -> dict[str, str]:
        for name in ("home", "bin", "video/.venv/bin", "data"):
            (folder / name).mkdir(parents=True)
        (self.folder / ".venv" / "bin" / "activate").touch()
        (self.folder / "examples").symlink_to(ROOT / "examples")
        for name, arguments in (("python", ""), ("media-agent", "-m media_agent.cli")):
            command = folder / "bin" / name
            command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
            command.chmod(0o755)
        site, checkout = str(folder / "site"), str(self.folder / "adapters")
        paths = (str(folder / "bin"), os.environ["PATH"])
        kept = {
            name: os.environ[name] for name in ("LANG", "OMP_NUM_THREADS") if name in os.environ
        }
        return (
            kept
            | dict.fromkeys(_KEYS, "not-a-key-of-anybody")
            | {
                "HOME": str(folder / "home"),
                "PATH": os.pathsep.join(paths),
                "PYTHONPATH": os.pathsep.join(
                    (site, checkout, str(self.folder), *filter(None, sys.path))
                ),
                "PIP_TARGET": site,  # what a page installs; nothing is fetched
                "PIP_NO_INDEX": "1",
                "PIP_NO_DEPS": "1",
                "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this switch as its opposite
                "PYTHONUNBUFFERED": "1",
                "MEDIA_AGENT_DATA_DIR": str(folder / "data"),
                "MEDIA_AGENT_SERVER__PORT": str(self._port),
            }
        )

    def check_out(self) -> None:
        """Have a checkout of ours, as far as a contributor of a provider changes it."""
        for name in ("adapters", "tools", "docs/reference", "changelog.d", "tests/hosted"):
            shutil.copytree(ROOT / name, self.folder / name, ignore=_COPIED)

    def follow(self, block: Block) -> None:
        """Do what a block says: write its file, or run it."""
        if block.file is not None:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "toml":
            with (self.folder / "media-agent.toml").open("a", encoding="utf-8") as settings:
                settings.write(block.text)
        elif block.language == "python":
            self._run(block, [sys.executable, "-c", self._fill_in(block.text)])
        elif "background" in block.notes:
            self._start(block)
        else:
            self._run(block, ["bash", "-e", "-c", self._fill_in(block.text)])

    def leave(self) -> None:
        """Press Ctrl-C in every other terminal."""
        for process in self._background:
            os.killpg(process.pid, signal.SIGINT)
        for process in self._background:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _run(self, block: Block, command: list[str]) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=self._patience,
        )
        said = f"{block.place}\n{block.text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert done.returncode == int(block.notes.get("exits", "0")), said

    def _start(self, block: Block) -> None:
        """Start a command and wait for its first line, which says that it is there."""
        log = self.folder.parent / f"background-{len(self._background)}.txt"
        said = log.with_suffix(".errors.txt")
        with log.open("w", encoding="utf-8") as output, said.open("w", encoding="utf-8") as errors:
            process = subprocess.Popen(
                ["bash", "-c", block.text],
                cwd=self.folder,
                env=self._environment,
                stdout=output,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self._background.append(process)
        until = time.monotonic() + self._patience
        first = said if block.notes["background"] == "stderr" else log
        while "\n" not in first.read_text(encoding="utf-8"):
            assert process.poll() is None, f"{block.place}\n{said.read_text(encoding='utf-8')}"
            assert time.monotonic() < until, f"{block.place} says nothing"
            time.sleep(0.05)

    def _fill_in(self, text: str) -> str:
        text = text.replace("127.0.0.1:8000", f"127.0.0.1:{self._port}")
        if "JOB_ID" not in text:
            return text
        folders = sorted(
            (self.folder.parent / "data" / "work").iterdir(), key=lambda each: each.stat().st_mtime
        )
        return text.replace("JOB_ID", folders[-1].name)


def find_free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reading = Reader(tmp_path)
    yield reading
    reading.leave()


def follow(reader: Reader, page: Path, *, also_slow: bool) -> None:
    if page.name == "add-a-hosted-provider.md":
        reader.check_out()
    for block in read_blocks(page):
        if "not run" in block.notes or ("slow" in block.notes and not also_slow):
            continue
        reader.follow(block)


def needs(page: Path) -> None:
    if page.name in {"README.md", "first-video.md", "write-a-storyboard.md"}:
        pytest.importorskip("torch")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_says_works_from_top_to_bottom(page: Path, reader: Reader) -> None:
    needs(page)

    follow(reader, page, also_slow=False)


SLOW = [page for page in PAGES if any("slow" in block.notes for block in read_blocks(page))]


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW, ids=lambda page: page.stem)
def test_what_takes_long_on_a_page_works_too(page: Path, reader: Reader) -> None:
    needs(page)

    follow(reader, page, also_slow=True)


def test_a_block_that_is_not_run_has_a_reason_and_is_counted() -> None:
    blocks = [block for page in PAGES for block in read_blocks(page)]
    left_out = [block for block in blocks if "not run" in block.notes]

    counted = Counter(str(block.page.relative_to(ROOT)) for block in left_out)

    assert [block.place for block in left_out if len(block.notes["not run"]) < 10] == []
    assert dict(counted) == NOT_RUN
    assert len(blocks) > 2 * len(left_out)


def test_a_page_that_is_wrong_is_found(reader: Reader, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\nmedia-agent generate --no-such-flag\n```\n", encoding="utf-8")
    block = Block(ROOT / "README.md", 1, "sh", "media-agent generate --no-such-flag", {})

    with pytest.raises(AssertionError, match="no-such-flag"):
        reader.follow(block)
