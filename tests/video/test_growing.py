import subprocess
import sys
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from media_agent.errors import GenerationFailedError, NotResumableError, StorageError
from media_agent.storage.work_folder import state_name
from media_agent.video.chunk_file import StoredChunk, read_chunk
from media_agent.video.codec import encode_chunk, iterate_frames, read_frames
from media_agent.video.growing import Video


def chunk(number, frames=6, width=64):
    video = np.full((frames, 64, width, 3), 40, np.uint8)
    for frame in range(frames):
        left = (number * frames + frame) % 44
        video[frame, 10:30, left : left + 20] = (255, 255, 0)
    return video


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_growing_video_can_be_read_after_every_chunk(tmp_path):
    seen = []

    with Video(tmp_path, fps=24) as video:
        for number in range(3):
            video.add(chunk(number))
            seen.append(len(read_frames(video.part_path)))

    assert seen == [6, 12, 18]


def test_the_finished_video_has_the_frames_of_the_growing_one(tmp_path):
    with Video(tmp_path, fps=24) as video:
        video.add(chunk(0))
        video.add(chunk(1, frames=2))
        path = video.finish("video.mp4")

    assert path == tmp_path / "video.mp4"
    assert np.array_equal(read_frames(path), read_frames(video.part_path))
    assert len(read_frames(path)) == 8


def test_a_video_rebuilt_after_a_kill_has_the_same_bytes(tmp_path):
    with Video(tmp_path / "whole", fps=24) as whole:
        for number in range(4):
            whole.add(chunk(number))
    killed = Video(tmp_path / "killed", fps=24)
    for number in range(3):
        killed.add(chunk(number))
    killed.close()
    killed.part_path.write_bytes(b"half a chunk")

    with Video(tmp_path / "killed", fps=24, chunks=2) as video:
        video.add(chunk(2))
        video.add(chunk(3))

    assert video.part_path.read_bytes() == whole.part_path.read_bytes()
    assert (video.chunks, video.frames) == (4, 24)


def test_who_opened_a_video_earlier_can_add_nothing_to_it_any_more(tmp_path):
    earlier = Video(tmp_path, fps=24)
    earlier.add(chunk(0))

    with Video(tmp_path, fps=24, chunks=1) as video:
        for add in (
            lambda: earlier.add(chunk(7)),
            lambda: earlier.add_state(lambda path: path.write_bytes(b"earlier")),
            lambda: earlier.finish("video.mp4"),
        ):
            with pytest.raises(StorageError):
                add()
        video.add(chunk(1))
        grown = video.part_path.read_bytes()
        earlier._append(
            StoredChunk(1, 6, 6, encode_chunk(chunk(7), fps=24, index=1, start_frame=6))
        )
        earlier.close()

    assert names(tmp_path / "chunks") == ["00000000.chunk", "00000001.chunk"]
    assert names(tmp_path / "states") == []
    assert video.part_path.read_bytes() == grown
    assert names(tmp_path) == ["chunks", "states", "video.part.mp4"]


def test_what_is_on_its_way_when_another_one_opens_the_video_does_not_arrive(tmp_path):
    earlier = Video(tmp_path, fps=24)
    opened = []

    def save(path):
        path.write_bytes(b"earlier")
        opened.append(Video(tmp_path, fps=24))

    with pytest.raises(StorageError):
        earlier.add_state(save)

    assert names(tmp_path / "states") == []


def test_chunks_after_the_point_of_resuming_are_forgotten(tmp_path):
    with Video(tmp_path, fps=24) as video:
        for number in range(3):
            video.add(chunk(number))

    with Video(tmp_path, fps=24, chunks=1) as video:
        assert len(read_frames(video.part_path)) == 6

    assert [path.name for path in (tmp_path / "chunks").iterdir()] == ["00000000.chunk"]


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "swap"])
def test_a_chunk_that_is_not_what_was_written_is_refused(tmp_path, damage):
    with Video(tmp_path, fps=24) as video:
        video.add(chunk(0))
        video.add(chunk(1))
    path = tmp_path / "chunks" / "00000001.chunk"
    content = path.read_bytes()
    match damage:
        case "truncate":
            path.write_bytes(content[:-1])
        case "flip":
            path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        case "remove":
            path.unlink()
        case "swap":
            path.write_bytes((tmp_path / "chunks" / "00000000.chunk").read_bytes())

    with pytest.raises(StorageError, match=r"00000001\.chunk"):
        read_chunk(path, 1, 6)
    with (
        Video(tmp_path, fps=24, chunks=2) as video,
        pytest.raises(NotResumableError, match=r"00000001\.chunk"),
    ):
        video.check_whole()


def test_what_comes_before_a_damaged_chunk_is_a_video_and_nothing_is_lost(tmp_path):
    video_with_states(tmp_path, 4, keep=3)
    (tmp_path / "chunks" / "00000002.chunk").write_bytes(b"half")
    before = contents(tmp_path)

    with Video(tmp_path, fps=24, chunks=4) as video:
        path = video.finish("video.partial.mp4")
        with pytest.raises(NotResumableError) as caught:
            video.check_whole()

    assert len(read_frames(path)) == 12
    assert "branch JOB --at 2" in caught.value.hint
    path.unlink()
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("states", "hint"),
    [
        ((), "branch JOB --at 2 "),
        ((1, 4), "branch JOB --at 1 "),
        ((3, 4), "generate the video again"),
    ],
)
def test_a_damaged_video_says_where_it_can_be_left(tmp_path, states, hint):
    with Video(tmp_path, fps=24) as video:
        for number in range(3):
            video.add(chunk(number))
    for number in states:
        (tmp_path / "states" / state_name(number)).touch()
    (tmp_path / "chunks" / "00000002.chunk").unlink()

    with Video(tmp_path, fps=24, chunks=3) as video, pytest.raises(NotResumableError) as caught:
        video.check_whole()

    assert hint in caught.value.hint


def test_what_others_put_into_the_folders_is_left_alone(tmp_path):
    with Video(tmp_path, fps=24) as video:
        video.add(chunk(0))
    strange = [tmp_path / "chunks" / "notes.chunk", tmp_path / "states" / "x.safetensors"]
    for path in strange:
        path.touch()
    (tmp_path / "chunks" / "00000009.chunk").mkdir()

    with Video(tmp_path, fps=24, chunks=1) as video:
        video.check_whole()

    assert all(path.exists() for path in strange)


def test_chunks_of_two_sizes_make_no_video(tmp_path):
    with Video(tmp_path, fps=24) as video:
        video.add(chunk(0))

        with pytest.raises(GenerationFailedError, match=r"chunk 1 has 80x64 frames"):
            video.add(chunk(1, width=80))

        assert len(read_frames(video.part_path)) == 6


def test_nothing_unfinished_lies_around(tmp_path):
    with Video(tmp_path, fps=24) as video:
        video.add(chunk(0))
        video.finish("video.mp4")

    assert list(tmp_path.rglob("*.tmp")) == []


NOISE = """
import sys, tracemalloc
from pathlib import Path
import numpy as np
from media_agent.video.growing import Video

folder = Path(sys.argv[1])
noise = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), np.uint8)
"""


def bytes_printed_by(program, folder):
    """Run it in a process of its own: only its own memory counts, whatever else happens."""
    command = [sys.executable, "-c", NOISE + program, str(folder)]
    return [int(word) for word in subprocess.check_output(command, timeout=60).split()]


def test_memory_does_not_grow_with_the_video(tmp_path):
    program = """
with Video(folder, fps=24) as video:
    video.add(noise)
    tracemalloc.start()
    video.add(noise)
    after_one = tracemalloc.get_traced_memory()[0]
    for _ in range(28):
        video.add(noise)
    print(tracemalloc.get_traced_memory()[0] - after_one, noise.nbytes)
"""
    grown, chunk_size = bytes_printed_by(program, tmp_path)

    assert grown < chunk_size / 2


def test_no_more_than_a_few_chunks_are_held_while_a_video_is_finished_or_rebuilt(tmp_path):
    program = """
with Video(folder, fps=24) as video:
    for _ in range(60):
        video.add(noise)
    tracemalloc.start()
    video.finish("video.mp4")
    size = video.part_path.stat().st_size
with Video(folder, fps=24, chunks=60):
    print(tracemalloc.get_traced_memory()[1], size)
"""
    held, video_size = bytes_printed_by(program, tmp_path)

    assert held < video_size / 8


def noise(frames=6):
    return np.random.default_rng(0).integers(0, 256, (frames, 64, 64, 3), np.uint8)


@pytest.mark.parametrize("missing", [1, 1000, 5000])
def test_a_reader_in_the_middle_of_a_write_gets_every_whole_chunk(tmp_path, missing):
    with Video(tmp_path, fps=24) as video:
        for number in range(3):
            video.add(noise(6 + number))
    whole, torn = video.part_path, tmp_path / "torn.mp4"
    torn.write_bytes(whole.read_bytes()[:-missing])

    seen = []
    with suppress(StorageError):  # says where the whole part ends
        seen.extend(iterate_frames(torn))

    assert 13 <= len(seen) < 21
    assert np.array_equal(seen[:13], read_frames(whole)[:13])


@pytest.mark.parametrize(("budget", "kept"), [(0, [9]), (12, [8, 9]), (None, [1, 4, 6, 8, 9])])
def test_older_states_are_thinned_out_within_a_budget(tmp_path, budget, kept):
    with Video(tmp_path, fps=24) as video:
        for number in range(9):
            video.add(chunk(number))
            video.add_state(lambda path: path.write_text("state"))
            video.forget_states(keep=2, known=video.chunks, budget_bytes=budget)

    names = sorted(path.name for path in (tmp_path / "states").iterdir())
    assert names == [state_name(number) for number in kept]


def test_no_state_is_forgotten_that_somebody_may_still_resume_from(tmp_path):
    with Video(tmp_path, fps=24) as video:
        for number in range(5):
            video.add(chunk(number))
            video.add_state(lambda path: path.write_text("state"))
        video.forget_states(keep=1, known=3, budget_bytes=0)

    names = sorted(path.name for path in (tmp_path / "states").iterdir())
    assert names == [state_name(number) for number in (3, 4, 5)]


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def video_with_states(folder, chunks, resume_at=0, announce=lambda chunks: None, keep=1):
    """Make a video as a worker does; state n is the number n."""
    with Video(folder, fps=24, chunks=resume_at) as video:
        if resume_at:
            assert (folder / "states" / state_name(resume_at)).read_text() == str(resume_at)
        for number in range(resume_at, chunks):
            video.add(chunk(number))
            video.add_state(lambda path, following=number + 1: path.write_text(str(following)))
            announce(video.chunks)
            video.forget_states(keep=keep, known=video.chunks, budget_bytes=keep)
        video.finish("video.mp4")


class KilledError(BaseException):
    """Stands for the end of the process: from then on no file operation works."""


class Killer:
    """Ends all file operations in a folder from that number on, so that nothing is tidied up."""

    def __init__(self):
        self.folder, self.left = None, 0
        sys.addaudithook(self)  # stays for ever, and does nothing without a folder

    def __call__(self, event, arguments):
        if self.folder is None or event not in ("open", "os.rename", "os.remove", "os.mkdir"):
            return
        if str(self.folder) in str(arguments[0]):
            self.left -= 1
            if self.left <= 0:
                raise KilledError

    @contextmanager
    def at(self, operation, folder):
        self.folder, self.left = folder, operation
        try:
            yield
        finally:
            self.folder = None


@pytest.fixture(scope="module")
def killer():
    return Killer()


def test_a_video_killed_at_any_file_operation_continues_from_what_was_announced(tmp_path, killer):
    video_with_states(tmp_path / "whole", 3)
    whole = (tmp_path / "whole" / "video.part.mp4").read_bytes()

    for operation in range(1, 1000):
        folder, said = tmp_path / f"kill-{operation}", [0]
        try:
            with killer.at(operation, folder):
                video_with_states(folder, 3, announce=said.append)
            break
        except KilledError:
            video_with_states(folder, 3, resume_at=said[-1])
        assert (folder / "video.part.mp4").read_bytes() == whole
        assert names(folder / "states")[-1] == state_name(3)
        assert list((folder / "chunks").glob("*.tmp")) == []

    assert 30 < operation < 999
