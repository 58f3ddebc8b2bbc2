"""The example for OpenAI's client, as its page says to run it."""

import runpy
import sys
from pathlib import Path

import av
import pytest

from media_agent.config.settings import load_settings
from tests.server.serving import serving

EXAMPLE = Path(__file__).parents[3] / "examples" / "openai_client.py"


def test_the_example_makes_a_video_and_its_contact_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.mp4"
    with serving(load_settings(default_backend="sandbox")) as address:
        called = [str(EXAMPLE), "a fox", "--seconds", "1", "--out", str(out)]
        monkeypatch.setattr(sys, "argv", [*called, "--base-url", f"{address}v1"])

        runpy.run_path(str(EXAMPLE), run_name="__main__")

    with av.open(str(out)) as video:
        assert len([*video.decode(video=0)]) == 24
    assert (tmp_path / "a.mp4.jpg").read_bytes().startswith(b"\xff\xd8")
    assert "made by sandbox/slate" in capsys.readouterr().out
