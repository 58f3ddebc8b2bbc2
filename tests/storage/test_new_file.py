"""Where a file is written later: refused before any work if it could not be."""

import os
from pathlib import Path

import pytest

from media_agent.errors import InvalidRequestError
from media_agent.storage.files import write_atomically
from media_agent.storage.new_file import check_new_file


def refusal(path: Path, *, overwrite: bool = False, suffix: str = ".png") -> str:
    with pytest.raises(InvalidRequestError) as caught:
        check_new_file(path, "--sheet", overwrite=overwrite, suffix=suffix)
    return caught.value.message


@pytest.mark.parametrize("letter", ["a", "ö", "漢"])
def test_a_name_is_accepted_if_and_only_if_it_can_be_written(tmp_path: Path, letter: str) -> None:
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    most = (longest - len(".png")) // len(letter.encode())
    fits, too_long = (tmp_path / f"{letter * count}.png" for count in (most, most + 1))

    check_new_file(fits, "--sheet", overwrite=False, suffix=".png")
    write_atomically(fits, b"image")

    assert refusal(too_long).endswith("cannot be written: the name is too long")


def test_a_path_may_be_too_long_although_each_name_fits(tmp_path: Path) -> None:
    assert "the name is too long" in refusal(tmp_path / ("b/" * 3000) / "a.png")


def test_what_cannot_be_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken.png").touch()
    (tmp_path / "link.png").symlink_to("nowhere")
    (tmp_path / "folder.png").mkdir()

    assert "is a folder" in refusal(tmp_path / "folder.png", overwrite=True)
    assert "taken.png exists" in refusal(tmp_path / "taken.png")
    assert "link.png exists" in refusal(tmp_path / "link.png")
    assert "no such folder" in refusal(tmp_path / "no" / "a.png")
    assert "no such folder" in refusal(tmp_path / "taken.png" / "a.png")
    assert "does not end in .png" in refusal(tmp_path / "a.jpg")
    assert "no valid file name" in refusal(tmp_path / "a\0.png")
    check_new_file(tmp_path / "taken.png", "--sheet", overwrite=True, suffix=".png")
    check_new_file(tmp_path / "a.jpg", "--out", overwrite=False)


def test_a_folder_where_nobody_may_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "fixed"
    folder.mkdir()
    folder.chmod(0o555)

    assert "cannot be written to" in refusal(folder / "a.png")
