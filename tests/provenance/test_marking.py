"""What a request wants in its frames: nothing by default, and that costs nothing."""

import subprocess
import sys

import pytest

from media_agent.errors import InvalidRequestError
from media_agent.provenance import marking
from media_agent_schemas import Size, VideoMetadata, VideoRequest

PLAIN = """
import sys
from media_agent.provenance.marking import build_mark, check_marks
from media_agent_schemas import VideoRequest

request = VideoRequest(prompt="a fox")
check_marks(request)
assert build_mark(request, "job-1") is None
print(sorted(name for name in sys.modules if name in ("numpy", "PIL", "av") or "watermark" in name))
"""


def probed(width: int, height: int) -> VideoMetadata:
    return VideoMetadata(width=width, height=height, fps=24, frames=24, duration=1.0, codec="h264")


def test_what_nobody_asked_for_loads_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", PLAIN], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_marking_says_what_is_really_there() -> None:
    both = VideoRequest(prompt="a fox", watermark="encoded", visible_label="AI-generated")
    watermark = VideoRequest(prompt="a fox", watermark="all")

    told = marking.describe_marking(both, "job-1", probed(640, 360))
    small = marking.describe_marking(both, "job-1", probed(48, 48))

    assert told is not None
    assert told.label == "AI-generated"
    assert told.watermark is not None
    assert small is not None
    assert small.watermark is None
    assert marking.describe_marking(watermark, "job-1", probed(48, 48)) is None
    assert marking.describe_marking(VideoRequest(prompt="a"), "job-1", probed(640, 360)) is None


@pytest.mark.parametrize(
    ("asked", "missing"),
    [({"watermark": "encoded"}, "numpy"), ({"visible_label": "AI"}, "numpy and PIL")],
)
def test_without_its_packages_a_mark_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], missing: str
) -> None:
    monkeypatch.setattr(marking, "find_spec", lambda name: None)

    with pytest.raises(InvalidRequestError, match=f"needs {missing}") as caught:
        marking.check_marks(VideoRequest.model_validate({"prompt": "a fox", **asked}))

    assert "install" in str(caught.value.hint)


@pytest.mark.parametrize("label", ["a\nb", "x" * 61, "bell\a"])
def test_a_label_is_one_line_of_letters(label: str) -> None:
    with pytest.raises(ValueError, match="not one line of 1 to 60 letters"):
        VideoRequest(prompt="a fox", visible_label=label)


def test_an_empty_label_is_none() -> None:
    assert VideoRequest(prompt="a fox", visible_label="").visible_label is None


def test_small_frames_are_told_of_before_any_work() -> None:
    asked = VideoRequest(prompt="a", watermark="encoded", size=Size(width=48, height=320))

    assert marking.warn_of_marks(asked) == [
        "frames of 48x320 get no watermark: there is room for it from 64x64 on"
    ]
