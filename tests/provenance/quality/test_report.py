"""What is found in videos that are spoilt in one way, and that a good one passes."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from media_agent.errors import StorageError
from media_agent.provenance.quality.embedding import EmbeddingSpec
from media_agent.provenance.quality.report import inspect_video
from media_agent.testing.simulator.videos import Video, make_video
from media_agent.video.probe import probe
from media_agent_schemas import Finding, FindingKind, QualityReport
from tests.provenance.quality.conftest import FPS, Frames, Inspect, draw


def kinds(report: QualityReport) -> list[FindingKind]:
    return [finding.kind for finding in report.findings]


def only(report: QualityReport) -> Finding:
    (finding,) = report.findings
    return finding


def test_a_good_video_passes(inspect: Inspect, good: Frames) -> None:
    report = inspect(good).report

    assert report.findings == ()
    assert report.drift is not None
    assert report.drift.colour < 2
    assert report.drift.sharpness == pytest.approx(1, abs=0.3)
    assert report.motion > 1
    assert report.repeated == 0
    assert report.loudness is None


def test_a_video_of_the_simulators_passes(tmp_path: Path) -> None:
    (tmp_path / "video.mp4").write_bytes(make_video(Video()))

    assert inspect_video(tmp_path / "video.mp4").report.findings == ()


def test_the_report_says_what_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(make_video(Video()))

    report = inspect_video(path).report

    assert report.video == probe(path)
    assert report.bits_per_second == pytest.approx(8 * path.stat().st_size, abs=1)  # it takes 1 s


def test_a_spliced_video_is_flagged_where_it_jumps(inspect: Inspect, good: Frames) -> None:
    found = only(inspect(np.concatenate([good[:20], draw(28, shift=60)])).report)

    assert found.kind is FindingKind.CUT
    assert found.start == found.end == 20 / FPS
    assert found.value > found.limit
    assert "frame 20" in found.message


def test_a_jump_where_a_segment_begins_says_so(tmp_path: Path, inspect: Inspect) -> None:
    inspect(np.concatenate([draw(20), draw(28, shift=60)]))

    report = inspect_video(tmp_path / "video.mp4", boundaries=[20]).report

    assert "where a chunk, window or segment begins" in only(report).message
    assert report.boundaries is not None
    assert (report.boundaries.count, report.boundaries.worst_frame) == (1, 20)
    assert report.boundaries.worst_score > 3


def test_boundaries_that_do_not_show_score_about_1(tmp_path: Path, inspect: Inspect) -> None:
    inspect(draw())

    report = inspect_video(tmp_path / "video.mp4", boundaries=[12, 24, 36, 48]).report

    assert report.boundaries is not None
    assert report.boundaries.count == 3  # there is no frame 48
    assert report.boundaries.score == pytest.approx(1, abs=0.2)


def test_a_frozen_stretch_is_flagged_with_its_time(inspect: Inspect, good: Frames) -> None:
    frozen = np.concatenate([good[:20], good[19:20].repeat(12, axis=0), good[20:36]])

    found = only(inspect(frozen).report)

    assert found.kind is FindingKind.FROZEN
    assert (found.start, found.end) == (19 / FPS, 32 / FPS)
    assert found.value == 0.5
    assert found.message == "the image stands still for 0.54 s"


def test_frames_that_are_shown_twice_are_flagged_as_repeated(inspect: Inspect) -> None:
    report = inspect(np.repeat(draw(24), 2, axis=0)).report

    assert only(report).kind is FindingKind.REPEATED
    assert report.repeated == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("level", "kind"), [(0, FindingKind.BLACK), (128, FindingKind.BLANK)], ids=["black", "grey"]
)
def test_images_with_nothing_in_them_are_flagged(
    inspect: Inspect, good: Frames, level: int, kind: FindingKind
) -> None:
    good[:8] = level

    report = inspect(good).report

    (found,) = (each for each in report.findings if each.kind is kind)
    assert (found.start, found.end) == (0, 8 / FPS)


def test_brightness_that_goes_up_and_down_is_flagged(inspect: Inspect, good: Frames) -> None:
    good[::2] += 10

    report = inspect(good).report

    assert kinds(report) == [FindingKind.FLICKER]
    assert report.flicker == pytest.approx(10, abs=2)


def test_colour_that_moves_away_steadily_is_flagged(inspect: Inspect, good: Frames) -> None:
    way = np.linspace(0, 1, len(good))[:, None, None, None] * np.array([0.25, 0, -0.25])

    report = inspect((good * (1 + way)).clip(0, 255).astype(np.uint8)).report

    assert kinds(report) == [FindingKind.COLOUR_DRIFT]


def test_light_that_comes_and_goes_is_no_drift(inspect: Inspect, good: Frames) -> None:
    way = np.sin(np.linspace(0, 3 * np.pi, len(good)))[:, None, None, None] * 0.2

    report = inspect((good * (1 + way)).clip(0, 255).astype(np.uint8)).report

    assert kinds(report) == []


def test_contrast_that_fades_is_flagged(inspect: Inspect, good: Frames) -> None:
    way = np.linspace(1, 0.25, len(good))[:, None, None, None]
    mean = good.mean(axis=(0, 1, 2))

    report = inspect((mean + (good - mean) * way).astype(np.uint8)).report

    assert FindingKind.CONTRAST_DRIFT in kinds(report)
    assert report.drift is not None
    assert report.drift.contrast < 0.6


def test_another_scene_is_less_like_the_first_one(inspect: Inspect, good: Frames) -> None:
    same = inspect(good).report.drift
    good[24:] = 255 - good[24:]
    other = inspect(good).report.drift

    assert same is not None
    assert other is not None
    assert same.subject is not None
    assert other.subject is not None
    assert same.subject > 0.9 > other.subject + 0.1


def test_a_better_embedding_can_be_given(tmp_path: Path, inspect: Inspect, good: Frames) -> None:
    inspect(good)
    looked_at: list[tuple[int, ...]] = []

    def embed(thumb: Frames) -> np.ndarray:
        looked_at.append(thumb.shape)
        return np.array([1.0, 0.0] if len(looked_at) <= 7 else [0.0, 1.0], np.float32)

    spec = EmbeddingSpec("mine", lambda: embed, width=64, height=36)
    drift = inspect_video(tmp_path / "video.mp4", embedding=spec).report.drift

    assert drift is not None
    assert drift.subject == 0
    assert set(looked_at) == {(36, 64, 3)}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_very_short_video_has_a_report(inspect: Inspect, count: int) -> None:
    report = inspect(draw(count)).report

    assert report.video.frames == count
    assert report.drift is None
    assert report.findings == ()


def test_a_file_that_is_no_video_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "video.mp4").write_text("no video")

    with pytest.raises(StorageError, match="not a readable video"):
        inspect_video(tmp_path / "video.mp4")


def write_with_sound(path: Path, level: float) -> None:
    """Write a video of the simulators with a tone of 440 Hz in it, uncompressed."""
    samples = level * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    sound = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), "fltp", "mono")
    sound.sample_rate = 48_000
    sound.pts = 0
    with (
        av.open(io.BytesIO(make_video(Video())), "r") as video,
        av.open(str(path), "w", format="matroska") as out,
    ):
        pictures = out.add_stream_from_template(video.streams.video[0])
        tone = out.add_stream("pcm_f32le", rate=48_000, layout="mono")
        tone.time_base = Fraction(1, 48_000)
        for packet in video.demux(video.streams.video[0]):
            if packet.dts is not None:
                packet.stream = pictures
                out.mux(packet)
        resampler = av.AudioResampler("flt", "mono", 48_000)
        for frame in resampler.resample(sound):
            out.mux(tone.encode(frame))
        out.mux(tone.encode(None))


@pytest.mark.parametrize(
    ("level", "found", "peak"),
    [(0.5, [], -6.0), (0.0, [FindingKind.SILENT], -120.0), (1.2, [FindingKind.CLIPPED], 1.6)],
    ids=["heard", "silent", "clipped"],
)
def test_sound_is_measured(
    tmp_path: Path, level: float, found: list[FindingKind], peak: float
) -> None:
    write_with_sound(tmp_path / "video.mkv", level)

    report = inspect_video(tmp_path / "video.mkv").report

    assert kinds(report) == found
    assert report.loudness is not None
    assert report.loudness.peak_dbfs == pytest.approx(peak, abs=0.1)
    if level == 0:
        assert report.loudness.integrated_lufs is None
    else:  # a sine in one channel: RMS is 3 dB below its peak, and R 128 takes off 0.7 dB
        assert report.loudness.integrated_lufs == pytest.approx(peak - 3.0 - 0.7, abs=0.5)
