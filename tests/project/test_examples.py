"""The Python on our pages is run, so that a reader can copy it."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.sync import BlockingVideoClient
from media_agent_schemas import JobStatus, VideoRequest

ROOT = Path(__file__).resolve().parents[2]


def python_blocks(page: str) -> list[str]:
    """Return the Python blocks of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder, with the sandbox as the default backend."""
    monkeypatch.setenv("MEDIA_AGENT_DEFAULT_BACKEND", "sandbox")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "my_backend"]:
        del sys.modules[name]


def test_the_python_of_the_readme_makes_a_video(
    surroundings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = python_blocks("README.md")
    (surroundings / "out").mkdir()  # `make demo` has made it

    exec(compile(block, "README.md", "exec"), {})

    assert (surroundings / "out" / "python.mp4").exists()
    assert (surroundings / "out" / "python.json").exists()
    assert "completed" in capsys.readouterr().out


def test_the_storyboard_of_the_how_to_is_a_valid_request() -> None:
    (block,) = python_blocks("docs/how-to/write-a-storyboard.md")
    names: dict[str, object] = {}

    exec(compile(block, "write-a-storyboard.md", "exec"), names)

    request = names["request"]
    assert isinstance(request, VideoRequest)
    assert request.seconds() == 8.0


def test_the_backend_of_the_how_to_makes_a_video(surroundings: Path) -> None:
    for block in python_blocks("docs/how-to/write-a-backend.md"):
        path = surroundings / block.splitlines()[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(block, encoding="utf-8")
    from my_backend.plugin import media_agent_backends

    specs = {spec.name: spec for spec in media_agent_backends()}
    registry = Registry(Discovery(specs))
    with BlockingVideoClient(
        client=VideoClient(settings=load_settings(), registry=registry)
    ) as client:
        job = client.generate(VideoRequest(prompt="snow", duration=1.5, model="noise", seed=0))

    assert job.status is JobStatus.COMPLETED, job.error
    assert job.artifacts[0].metadata is not None
    assert job.artifacts[0].metadata.frames == 36
