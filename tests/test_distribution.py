"""Where we were installed from, and how its extras are installed."""

import json
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest

from media_agent import distribution


class Installed(Distribution):
    def __init__(self, origin: dict[str, Any] | None) -> None:
        self._origin = origin

    def read_text(self, filename: str) -> str | None:
        if filename == "direct_url.json" and self._origin is not None:
            return json.dumps(self._origin)
        return "Version: 7.1\n" if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        return Path(path)


@pytest.mark.parametrize(
    ("origin", "hint"),
    [
        (None, "pip install 'media-agent-video[magi]'"),
        (
            {"url": "file:///home/me/my%20video", "dir_info": {"editable": True}},
            "pip install -e '/home/me/my video[magi]'",
        ),
        ({"url": "file:///home/me/video", "dir_info": {}}, "pip install '/home/me/video[magi]'"),
        (
            {"url": "file:///tmp/media_agent_video-7.1-py3-none-any.whl", "archive_info": {}},
            "pip install '/tmp/media_agent_video-7.1-py3-none-any.whl[magi]'",
        ),
        (
            {"url": "https://git.example/v.git", "vcs_info": {"vcs": "git"}},
            "pip install 'media-agent-video[magi] @ git+https://git.example/v.git'",
        ),
    ],
    ids=str,
)
def test_an_extra_is_installed_from_where_we_came_from(
    origin: dict[str, Any] | None, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distribution, "_installed", lambda: Installed(origin))

    assert distribution.install_hint("magi") == hint
    assert distribution.own_version() == "7.1"


def test_from_a_source_that_is_not_installed_it_names_the_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distribution, "_installed", lambda: None)

    root = Path(__file__).resolve().parents[1]
    assert distribution.install_hint("local") == f"pip install -e '{root}[local]'"
    assert distribution.own_version() is None
