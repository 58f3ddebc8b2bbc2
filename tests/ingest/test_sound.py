"""The sound of a source video goes, unchanged, with a video of the same timeline."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from media_agent.errors import InvalidRequestError
from media_agent.ingest.read import read_all, read_end
from media_agent.ingest.sound import copy_sound
from media_agent.testing.simulator.videos import write_video
from media_agent.video.codec import read_frames
from media_agent.video.probe import probe
from media_agent.video.remux import remux
from tests.ingest.test_read import LOSSLESS, drawn, encoded

CLICK = 1.0  # second at which the sound begins


def sounding(
    codec: str = "aac", container: str = "mp4", *, seconds: float = 2.0, late: float = 0.0
) -> bytes:
    """Return a video with sound: silence, and from `CLICK` of the images on a tone."""
    file = io.BytesIO()
    with av.open(file, "w", container) as out:
        video: Any = out.add_stream("libx264", 24)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio: Any = out.add_stream(codec, 48000)
        audio.layout, audio.bit_rate = "mono", 128_000
        for number, pixels in enumerate(drawn(48, (64, 48))):
            image = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p")
            image.pts, image.time_base = number + round(late * 24), Fraction(1, 24)
            out.mux(video.encode(image))
        out.mux(video.encode(None))
        size = audio.codec_context.frame_size or 1024
        for start in range(0, int((seconds + late) * 48000), size):
            times = np.arange(start, start + size) / 48000
            tone = (0.5 * np.sin(times * 2764) * (times >= CLICK + late)).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            out.mux(audio.encode(frame))
        out.mux(audio.encode(None))
    return file.getvalue()


def heard(path: Path) -> tuple[float, float]:
    """Return when the tone begins, and when the sound ends."""
    with av.open(str(path)) as file:
        frames = [
            (float(each.time or 0), np.abs(each.to_ndarray())) for each in file.decode(audio=0)
        ]
    begins = next(
        time + int(np.argmax(wave[0] > 0.1 * max(1, wave.max()))) / 48000
        for time, wave in frames
        if wave.max() > 0.1
    )
    return begins, frames[-1][0] + frames[-1][1].shape[-1] / 48000


def with_sound_of(source: bytes, tmp_path: Path, frames: int = 48) -> Path:
    silent, sound, target = (tmp_path / name for name in ("silent.mp4", "sound.mp4", "video.mp4"))
    write_video(silent, drawn(frames), fps=24)
    assert copy_sound(source, sound) > 0
    remux(silent, target, sound=sound, tags={"title": "a fox"})
    assert np.array_equal(read_frames(silent), read_frames(target))
    return target


@pytest.mark.parametrize(
    ("codec", "container"),
    [
        ("aac", "mp4"),
        ("aac", "matroska"),
        ("aac", "mov"),
        ("libopus", "matroska"),
        ("libmp3lame", "mp4"),
        ("flac", "matroska"),
    ],
)
@pytest.mark.parametrize("late", [0.0, 1.5])
def test_sound_stays_where_it_is_in_the_video(
    codec: str, container: str, late: float, tmp_path: Path
) -> None:
    video = with_sound_of(sounding(codec, container, late=late), tmp_path)

    begins, ends = heard(video)

    assert begins == pytest.approx(CLICK, abs=0.06)
    assert ends == pytest.approx(2.0, abs=0.1)
    assert probe(video).has_audio
    assert probe(video).frames == 48


def test_sound_is_cut_to_the_length_of_the_video(tmp_path: Path) -> None:
    video = with_sound_of(sounding(seconds=6.0), tmp_path, frames=36)

    assert heard(video)[1] == pytest.approx(1.5, abs=0.1)


def test_sound_is_not_encoded_again(tmp_path: Path) -> None:
    source = sounding()

    video = with_sound_of(source, tmp_path)

    with av.open(io.BytesIO(source)) as one, av.open(str(video)) as other:
        old, new = (
            [bytes(each) for each in file.demux(audio=0) if each.size] for file in (one, other)
        )
    assert new == old[: len(new)]
    assert len(new) > 90


def test_a_silent_video_has_no_sound_to_copy(tmp_path: Path) -> None:
    assert copy_sound(encoded(LOSSLESS, drawn(3)), tmp_path / "sound.mp4") == 0
    assert not (tmp_path / "sound.mp4").exists()


def test_sound_that_no_mp4_can_hold_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    source = sounding("wmav2", "asf")

    with pytest.raises(InvalidRequestError, match="its sound cannot be copied"):
        copy_sound(source, tmp_path / "sound.mp4")
    assert list(tmp_path.iterdir()) == []


def test_sound_that_is_not_used_is_told() -> None:
    told: list[str] = []

    read_end(sounding(), frames=1, tell=told.append)
    list(read_all(sounding(), limit=99, tell=told.append))
    list(read_all(sounding(), limit=99, tell=told.append, keeps_sound=True))

    assert [said.endswith("has sound, which the model does not use") for said in told] == [
        True,
        True,
    ]
