"""A file that goes into a video is read whole, or refused in words, and never waited for."""

import hashlib
import os
import socket
from pathlib import Path

import pytest

from media_agent.errors import InvalidRequestError
from media_agent.ingest.digests import digests_of
from media_agent_schemas.media import InputRole, MediaInput

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a file system without pipes")


def medium(path: Path) -> MediaInput:
    return MediaInput(role=InputRole.FIRST_FRAME, path=str(path))


def test_a_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"image")

    assert digests_of([medium(path)]) == {str(path): hashlib.sha256(b"image").hexdigest()}


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    os.mkfifo(path)
    monkeypatch.setattr(Path, "is_file", lambda self: True)  # as it was a moment ago

    with pytest.raises(
        InvalidRequestError, match=f"{path} cannot be read: it is not a regular file"
    ):
        digests_of([medium(path)])


@pytest.mark.parametrize("kind", ["folder", "socket", "gone", "nul"])
def test_what_cannot_be_read_is_said_with_its_role(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("a\0b" if kind == "nul" else "a.png")
    if kind == "folder":
        path.mkdir()
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))

    with pytest.raises(InvalidRequestError, match=r"first_frame .* cannot be read: ") as caught:
        digests_of([medium(path)])

    assert "a folder" in str(caught.value) or kind != "folder"
