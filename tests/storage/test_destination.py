"""The place of a video: checked before any work, filled at the end, never half-done."""

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from media_agent.errors import InvalidRequestError, StorageError
from media_agent.storage.destination import find_free, reserve
from media_agent.storage.files import storage_errors, write_atomically


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"video")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "out"
    path.mkdir()
    yield path
    path.chmod(0o755)


def refusal(video: Path, *, overwrite: bool = False) -> str:
    with pytest.raises(InvalidRequestError) as caught, reserve(video, overwrite=overwrite):
        pass
    return f"{caught.value.message} ({caught.value.hint})"


def test_a_video_is_put_in_its_place_and_nothing_else_stays(folder: Path, source: Path) -> None:
    with reserve(folder / "a.mp4") as destination:
        place = destination.publish(source, complete=True)

    assert place.read_bytes() == b"video"
    assert [path.name for path in folder.iterdir()] == ["a.mp4"]


def test_a_stopped_video_does_not_get_the_final_name(folder: Path, source: Path) -> None:
    with reserve(folder / "a.mp4") as destination:
        place = destination.publish(source, complete=False)

    assert place.name == "a.partial.mp4"
    assert not (folder / "a.mp4").exists()


def test_a_folder_is_no_place(folder: Path) -> None:
    assert "is a folder" in refusal(folder)


def test_another_ending_is_refused_with_a_name_that_works(folder: Path) -> None:
    assert "use a.mp4" in refusal(folder / "a.avi")
    assert "use a.mp4" in refusal(folder / "a.partial.mp4")


def test_a_missing_parent_is_said_with_the_command_that_makes_it(folder: Path) -> None:
    assert f"mkdir -p {folder / 'no'}" in refusal(folder / "no" / "a.mp4")


def test_a_parent_that_is_a_file_is_refused(folder: Path, source: Path) -> None:
    assert "is a file, not a folder" in refusal(source / "a.mp4")


def test_a_read_only_folder_is_refused_even_to_the_almighty(folder: Path) -> None:
    folder.chmod(0o555)

    assert "is read-only" in refusal(folder / "a.mp4")


def test_what_exists_is_refused_unless_it_may_be_replaced(folder: Path, source: Path) -> None:
    video = folder / "a.mp4"
    video.write_bytes(b"old")

    assert "--overwrite" in refusal(video)
    with reserve(video, overwrite=True) as destination:
        destination.publish(source, complete=True)
    assert video.read_bytes() == b"video"


def test_a_read_only_video_is_not_replaced(folder: Path) -> None:
    video = folder / "a.mp4"
    video.write_bytes(b"old")
    video.chmod(0o444)

    assert "is read-only" in refusal(video, overwrite=True)


def test_a_link_to_nowhere_is_no_free_place(folder: Path) -> None:
    video = folder / "a.mp4"
    video.symlink_to(folder / "gone")

    assert "not a regular file" in refusal(video, overwrite=True)


def test_a_foreign_json_file_beside_it_is_not_replaced(folder: Path) -> None:
    (folder / "a.json").write_text("{}")

    assert "a.json exists" in refusal(folder / "a.mp4")


def test_a_name_that_is_none_is_refused(folder: Path) -> None:
    assert "is not a valid file name" in refusal(folder / "a\0b.mp4")
    assert "too long" in refusal(folder / f"{'a' * 300}.mp4")


def test_a_second_run_to_the_same_place_is_refused_at_once(folder: Path) -> None:
    with reserve(folder / "a.mp4"):
        assert "another run is writing to it" in refusal(folder / "a.mp4")
        assert "another run is writing to it" in refusal(folder / "." / "a.mp4", overwrite=True)
        with reserve(folder / "b.mp4"):
            pass

    with reserve(folder / "a.mp4"):
        pass


def test_a_place_that_is_taken_from_a_run_belongs_to_whoever_took_it(folder: Path) -> None:
    with reserve(folder / "a.mp4"):
        taken = reserve(folder / "a.mp4", force=True)
        taken.__enter__()

    assert "another run is writing to it" in refusal(folder / "a.mp4")
    taken.__exit__(None, None, None)
    assert list(folder.iterdir()) == []


def reserve_and_die(video: Path) -> None:
    """Die as a killed process does, without cleaning up."""
    context = reserve(video)
    context.__enter__()
    os._exit(9)


def test_a_killed_run_does_not_keep_its_place(folder: Path) -> None:
    process = multiprocessing.get_context("fork").Process(
        target=reserve_and_die, args=(folder / "a.mp4",)
    )
    process.start()
    process.join()

    with reserve(folder / "a.mp4"):
        pass

    assert list(folder.iterdir()) == []


def test_a_file_that_appears_meanwhile_is_not_replaced(folder: Path, source: Path) -> None:
    with reserve(folder / "a.mp4") as destination:
        (folder / "a.mp4").write_bytes(b"another's")

        with pytest.raises(StorageError, match="appeared while the video was being generated"):
            destination.publish(source, complete=True)

    assert (folder / "a.mp4").read_bytes() == b"another's"
    assert [path.name for path in folder.iterdir()] == ["a.mp4"]


def test_a_disk_that_fills_up_leaves_nothing(
    folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with reserve(folder / "a.mp4") as destination:
        monkeypatch.setattr("os.fsync", full)

        with pytest.raises(StorageError, match=r"a\.mp4 cannot be written: the disk is full"):
            destination.publish(source, complete=True)

    assert list(folder.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "a.json"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError), storage_errors(str(path)):
        write_atomically(path, b"new")

    assert path.read_bytes() == b"old"
    assert [path.name for path in folder.iterdir()] == ["a.json"]


@pytest.mark.parametrize("letter", ["a", "字", "🦊"])
@pytest.mark.parametrize("videos", [1, 12])
def test_a_name_either_fits_with_all_that_is_made_of_it_or_is_refused_before_work(
    folder: Path, source: Path, letter: str, videos: int
) -> None:
    accepted, refused = [], []
    for length in range(150 // len(letter.encode()), 252 // len(letter.encode()) + 1):
        try:
            with reserve(folder / f"{letter * length}.mp4", videos=videos) as destination:
                for number in range(1, videos + 1):
                    destination.publish(source, complete=True, number=number)
                    destination.publish(source, complete=False, number=number)
                for complete in (True, False):
                    write_atomically(destination.record_of(complete), b"{}")
            accepted.append(length * len(letter.encode()))
        except InvalidRequestError as error:
            refused.append(error.message)

    longest = len("-12.partial.mp4" if videos > 1 else ".partial.json")
    assert refused
    assert all("the name is too long" in each for each in refused)
    assert 255 - longest - len(letter.encode()) < max(accepted) <= 255 - longest


def test_a_refused_name_leaves_nothing(folder: Path) -> None:
    assert "too long by 3 bytes" in refusal(folder / f"{'a' * 245}.mp4")
    assert list(folder.iterdir()) == []


def test_the_first_free_place_is_one_where_nothing_is(folder: Path) -> None:
    video = folder / "a.mp4"
    assert find_free(video) == video
    video.with_suffix(".json").write_text("somebody's")
    assert find_free(video) == folder / "a-2.mp4"
