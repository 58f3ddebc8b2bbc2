"""The audio of chunks: as long as their frames, in one piece, and there again after a kill."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from media_agent.errors import GenerationFailedError, StorageError
from media_agent.video.audio import SAMPLE_RATE, Audio
from media_agent.video.chunk_file import read_chunk
from media_agent.video.container import open_video
from media_agent.video.growing import Video, Videos
from media_agent.video.probe import probe

RATE = 24_000
FPS = 23.976023976
SAMPLES_OF_A_FRAME = RATE * 1001 / 24_000


def pixels(frames: int) -> NDArray[np.uint8]:
    return np.zeros((frames, 32, 32, 3), np.uint8)


def tone(frames: int, loudness: float = 0.5, *, rate: int = RATE) -> Audio:
    """Return audio that is about as long as the frames, of one loudness."""
    count = int(frames * rate / FPS)
    wave = loudness * np.sign(np.sin(np.arange(count) * np.pi * 200 / rate))
    return Audio(np.stack([wave.astype(np.float32)] * 2), rate)


def read_samples(path: Path) -> NDArray[Any]:
    with open_video(path) as media:
        return np.concatenate([each.to_ndarray()[0] for each in media.decode(audio=0)])


def count_samples_in(path: Path) -> int:
    """Return the length that players use; decoders add what the last packet has over."""
    with open_video(path) as media:
        stream = media.streams.audio[0]
        assert (stream.rate, stream.start_time, stream.duration is None) == (SAMPLE_RATE, 0, False)
        return round((stream.duration or 0) * (stream.time_base or 0) * SAMPLE_RATE)


def chunk_path(folder: Path, index: int) -> Path:
    return folder / "chunks" / f"{index:08d}.chunk"


def test_the_finished_video_has_the_audio_of_its_chunks_to_the_sample(tmp_path: Path) -> None:
    with Video(tmp_path, fps=FPS) as video:
        for frames in (7, 1, 5):
            video.add(pixels(frames), tone(frames))
        path = video.finish("video.mp4", tags={"title": "heard"})

    facts = probe(path)
    assert (facts.frames, facts.has_audio) == (13, True)
    a_millisecond = SAMPLE_RATE / 1000  # in which MP4 counts here
    assert abs(count_samples_in(path) - 13 * SAMPLE_RATE / FPS) <= a_millisecond
    with open_video(path) as media:
        assert media.metadata["title"] == "heard"


def test_each_chunk_has_the_samples_from_its_first_frame_to_that_of_the_next(
    tmp_path: Path,
) -> None:
    with Video(tmp_path, fps=FPS) as video:
        for _ in range(6):
            video.add(pixels(1), tone(9))

    ends = np.cumsum([samples_of(tmp_path, index) for index in range(6)])
    assert list(ends) == [round(n * SAMPLES_OF_A_FRAME) for n in range(1, 7)]


def samples_of(folder: Path, index: int) -> int:
    audio = read_chunk(chunk_path(folder, index), index, index).audio
    assert audio is not None
    return len(audio.data) // 4


def test_a_silent_chunk_is_silent_and_what_follows_it_is_heard_in_time(tmp_path: Path) -> None:
    with Video(tmp_path, fps=24) as video:
        video.add(pixels(24))
        video.add(pixels(24), tone(24))
        video.add(pixels(24), tone(6))
        path = video.finish("video.mp4")

    samples = np.abs(read_samples(path))
    loud = [samples[n * SAMPLE_RATE // 4 :][2048:10_000].mean() > 0.3 for n in range(12)]
    assert loud == [False] * 4 + [True] * 5 + [False] * 3
    assert count_samples_in(path) == 3 * SAMPLE_RATE


def test_audio_is_there_again_when_the_video_is_resumed(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with Video(whole, fps=24) as video:
        for loudness in (0.2, 0.5, 0.8):
            video.add(pixels(8), tone(8, loudness))
        undisturbed = read_samples(video.finish("video.mp4"))
    with Video(killed, fps=24) as video:
        video.add(pixels(8), tone(8, 0.2))
        video.add(pixels(8), tone(8, 0.5))

    with Video(killed, fps=24, chunks=2) as video:
        video.add(pixels(8), tone(8, 0.8))
        resumed = read_samples(video.finish("video.mp4"))

    assert np.array_equal(undisturbed, resumed)
    assert chunk_path(whole, 1).read_bytes() == chunk_path(killed, 1).read_bytes()


def test_a_chunk_with_damaged_audio_is_not_taken(tmp_path: Path) -> None:
    with Video(tmp_path, fps=24) as video:
        video.add(pixels(8), tone(8))
    content = bytearray(chunk_path(tmp_path, 0).read_bytes())
    content[-1] ^= 1
    chunk_path(tmp_path, 0).write_bytes(content)

    with pytest.raises(StorageError, match="damaged"):
        read_chunk(chunk_path(tmp_path, 0), 0, 0)


def test_other_audio_makes_another_chunk(tmp_path: Path) -> None:
    with Video(tmp_path, fps=24) as video:
        video.add(pixels(8), tone(8, 0.5))

        assert video.is_last_chunk(pixels(8), tone(8, 0.5))
        assert not video.is_last_chunk(pixels(8), tone(8, 0.6))
        assert not video.is_last_chunk(pixels(8))


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (tone(8, rate=48_000), "48000 Hz, unlike"),
        (Audio(np.zeros((3, 8), np.float32), RATE), "one channel or two"),
        (Audio(np.zeros(8, np.float32), RATE), "one channel or two"),
        (Audio(np.zeros((1, 8), np.float32), 0), "at 0 Hz"),
        (Audio(np.full((2, 8), np.nan, np.float32), RATE), "no numbers"),
    ],
)
def test_audio_that_does_not_fit_fails_and_the_video_stays_as_it_was(
    tmp_path: Path, audio: Audio, said: str
) -> None:
    with Video(tmp_path, fps=24) as video:
        video.add(pixels(8), tone(8))

        with pytest.raises(GenerationFailedError, match=said):
            video.add(pixels(8), audio)

        assert (video.chunks, probe(video.finish("video.mp4")).frames) == (1, 8)


def test_one_channel_is_heard_on_both_sides_and_what_is_too_loud_is_cut(tmp_path: Path) -> None:
    with Video(tmp_path, fps=24) as video:
        video.add(pixels(1), Audio(np.full((1, 1000), 1.5, np.float32), RATE))

    audio = read_chunk(chunk_path(tmp_path, 0), 0, 0).audio
    assert audio is not None
    assert audio.data == b"\xff\x7f" * 2 * 1000


def test_videos_made_side_by_side_have_their_own_audio(tmp_path: Path) -> None:
    both = Audio(np.stack([tone(24, 0.25).samples, tone(24, 0.75).samples]), RATE)

    with Videos(tmp_path, count=2, fps=24) as videos:
        videos.add(np.stack([pixels(24)] * 2), both)
        heard = [np.abs(read_samples(video.finish("video.mp4"))).mean() for video in videos]
        with pytest.raises(GenerationFailedError, match="audio of 3 videos; 2 were asked"):
            videos.add(np.stack([pixels(24)] * 2), Audio(np.zeros((3, 2, 8), np.float32), RATE))

    assert heard == pytest.approx([0.25, 0.75], abs=0.05)
