import av
import numpy as np
import pytest

from media_agent.errors import StorageError
from media_agent.storage.files import sha256_of
from media_agent.testing.simulator.videos import write_video
from media_agent.video.probe import describe, probe


def brighten(frames):
    """Return frames of one grey each, each lighter than the one before."""
    return np.stack([np.full((64, 96, 3), 5 * number, np.uint8) for number in range(frames)])


@pytest.mark.parametrize(
    ("encoder", "codec"),
    [
        ("libx264", "h264"),
        ("libx265", "hevc"),
        ("libsvtav1", "av1"),  # which libdav1d decodes
        ("libvpx-vp9", "vp9"),
        ("mpeg4", "mpeg4"),
    ],
)
def test_the_codec_is_named_and_not_the_program_that_decodes_it(tmp_path, encoder, codec):
    if encoder not in av.codecs_available:
        pytest.skip(f"PyAV was built without {encoder}")
    with av.open(tmp_path / "video.mp4", "w") as container:
        stream = container.add_stream(encoder, rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for image in brighten(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())

    assert probe(tmp_path / "video.mp4").codec == codec


def test_a_probe_says_what_the_file_holds(tmp_path):
    write_video(tmp_path / "video.mp4", brighten(30), fps=24)

    found = probe(tmp_path / "video.mp4")

    assert (found.width, found.height, found.frames, found.fps) == (96, 64, 30, 24.0)
    assert (found.codec, found.pixel_format, found.container) == ("h264", "yuv420p", "mp4")
    assert found.duration == pytest.approx(1.25)
    assert found.has_audio is False
    assert found.size_bytes == (tmp_path / "video.mp4").stat().st_size


@pytest.mark.parametrize("fps", [1, 23.976023976023978, 25, 29.97, 60])
def test_every_frame_rate_is_kept(tmp_path, fps):
    write_video(tmp_path / "video.mp4", brighten(9), fps=fps)

    found = probe(tmp_path / "video.mp4")

    assert found.fps == pytest.approx(fps, rel=1e-9)
    assert found.frames == 9
    assert found.duration == pytest.approx(9 / fps, rel=1e-4)


def test_an_artifact_carries_the_digest_of_the_file(tmp_path):
    path = tmp_path / "video.mp4"
    write_video(path, brighten(3), fps=24)

    artifact = describe(path)

    assert artifact.sha256 == sha256_of(path)
    assert artifact.path == str(path)
    assert artifact.metadata is not None
    assert artifact.metadata.frames == 3


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 100])
def test_a_file_that_is_no_video_is_named(tmp_path, content):
    path = tmp_path / "noise.mp4"
    path.write_bytes(content)

    with pytest.raises(StorageError, match=r"noise\.mp4"):
        probe(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"gone\.mp4"):
        probe(tmp_path / "gone.mp4")
