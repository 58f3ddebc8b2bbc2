"""Files that machines share, in a folder and in an object store (one in memory)."""

from pathlib import Path

import pytest

pytest.importorskip("fsspec")

from media_agent.errors import ConfigurationError, StorageError
from media_agent.storage.shared_files import SharedFiles


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}://{tmp_path / 'shared'}"


def make_work(folder: Path, chunks: int) -> Path:
    for kind, suffix, first in (("chunks", "chunk", 0), ("states", "safetensors", 1)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + chunks):
            path = folder / kind / f"{number:08d}.{suffix}"
            path.write_bytes(f"{kind} {number}".encode() * 50)
    return folder


def names(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def test_another_machine_gets_the_chunks_before_a_token_and_its_state(
    url: str, tmp_path: Path
) -> None:
    SharedFiles(url).save_work("key", make_work(tmp_path / "a", 3))

    SharedFiles(url).load_work("key", tmp_path / "b", next_chunk=2)

    assert names(tmp_path / "b") == [
        "chunks/00000000.chunk",
        "chunks/00000001.chunk",
        "states/00000002.safetensors",
    ]
    for name in names(tmp_path / "b"):
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()


def test_a_chunk_of_another_try_is_replaced_and_one_that_is_the_same_stays(
    url: str, tmp_path: Path
) -> None:
    SharedFiles(url).save_work("key", make_work(tmp_path / "a", 2))
    here = make_work(tmp_path / "b", 2)
    same, other = here / "chunks" / "00000000.chunk", here / "chunks" / "00000001.chunk"
    other.write_bytes(b"x" * other.stat().st_size)
    before = same.stat().st_ino

    SharedFiles(url).load_work("key", here, next_chunk=2)

    assert other.read_bytes() == (tmp_path / "a" / "chunks" / other.name).read_bytes()
    assert same.stat().st_ino == before


def test_states_that_are_no_longer_kept_go_and_new_ones_come(url: str, tmp_path: Path) -> None:
    files, work = SharedFiles(url), make_work(tmp_path / "a", 1)
    files.save_work("key", work)

    make_work(work, 2)
    (work / "states" / "00000001.safetensors").unlink()
    files.save_work("key", work)
    SharedFiles(url).load_work("key", tmp_path / "b", next_chunk=2)

    assert "states/00000002.safetensors" in names(tmp_path / "b")
    SharedFiles(url).load_work("key", tmp_path / "c", next_chunk=1)
    assert names(tmp_path / "c") == ["chunks/00000000.chunk"]


def test_what_was_delivered_can_be_fetched_and_forgotten(url: str, tmp_path: Path) -> None:
    files, video = SharedFiles(url), tmp_path / "video.mp4"
    video.write_bytes(b"a video")

    files.publish("job", {"video.mp4": video})

    assert files.fetch("job", "video.mp4", tmp_path / "there" / "video.mp4")
    assert (tmp_path / "there" / "video.mp4").read_bytes() == b"a video"
    assert not files.fetch("job", "other.mp4", tmp_path / "other.mp4")
    files.forget("job")
    assert not files.fetch("job", "video.mp4", tmp_path / "again.mp4")


def test_the_work_of_a_finished_video_is_removed(url: str, tmp_path: Path) -> None:
    files = SharedFiles(url)
    files.save_work("key", make_work(tmp_path / "a", 1))

    files.remove_work("key")
    files.remove_work("key")
    files.load_work("key", tmp_path / "b", next_chunk=1)

    assert names(tmp_path / "b") == []


def test_nothing_half_written_is_left_where_a_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.local import LocalFileSystem

    files = SharedFiles(f"file://{tmp_path / 'shared'}")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr(LocalFileSystem, "mv", fail)
    with pytest.raises(StorageError, match="cannot be written: OSError"):
        files.save_work("key", make_work(tmp_path / "a", 1))

    assert names(tmp_path / "shared") == []


def test_a_place_of_no_known_kind_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no kind that fsspec knows"):
        SharedFiles("nope://x/y").check()


def test_trouble_shows_no_key_of_the_options(tmp_path: Path) -> None:
    (tmp_path / "shared").write_text("in the way")
    files = SharedFiles(f"file://{tmp_path / 'shared'}", {"auto_mkdir": True})

    with pytest.raises(StorageError) as caught:
        files.save_work("key", make_work(tmp_path / "a", 1))

    assert str(tmp_path / "a") not in str(caught.value)


def test_what_commands_made_of_a_video_is_shared_each_time_it_changes(
    url: str, tmp_path: Path
) -> None:
    files, work = SharedFiles(url), make_work(tmp_path / "a", 1)
    for said in ("{}", '{"last": 3}'):
        (work / "steered.json").write_text(said)
        files.save_work("key", work)

    files.load_work("key", tmp_path / "b", next_chunk=1)

    assert (tmp_path / "b" / "steered.json").read_text() == '{"last": 3}'
