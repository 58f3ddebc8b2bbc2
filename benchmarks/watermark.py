"""Measures how well the watermark is read, and that it is read in no other video.

The clips are those of `benchmarks/quality.py`, which says where they come from; they are not part
of this project. `python benchmarks/watermark.py FOLDER` looks for their files below the folder, and
without one uses only what it draws itself, and videos of magi/tiny.

Windows of 48 frames are marked, each with another payload, encoded as we deliver them, then changed
and encoded once more by x264 as anybody would who passes a video on. What counts as read is the
right payload, and nothing else.

The unmarked videos are 48 frames long too. Decoding 10,000 of them says nothing more than decoding
some, so most are given to the reader as brightness on its grids: cut from the clips at a random
place, time, zoom and turn, or drawn. Some are encoded and read from their file.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType
from machine import describe_machine
from numpy.typing import NDArray
from quality import CLIPS

from media_agent.provenance.watermark import payload as codes
from media_agent.provenance.watermark import read
from media_agent.provenance.watermark.pattern import list_layouts
from media_agent.provenance.watermark.write import Watermarker
from media_agent.video.codec import iterate_images, write_images
from media_agent.video.planes import brightness_of, scale

RESULTS = Path(__file__).parent / "results" / "watermark.json"
FRAMES, FPS, SEED = 48, 24, 14
STEP = 24  # frames from one window of a clip to the next
SIZES = {480: 12, 640: 12, 1280: 1}  # pixels of width, and windows of a clip
EVERY = 12  # windows, of which one is changed in every way
UNMARKED, UNMARKED_FILES = 10_000, 200
MEASURED = 5  # of so many unmarked videos the strength of one is measured
Frames = list[av.VideoFrame]
Levels = NDArray[np.uint8]


@dataclass(frozen=True)
class Window:
    """Some frames (yuv420p) of a kind of video."""

    kind: str
    name: str
    frames: Frames


@dataclass(frozen=True)
class Change:
    """What is done to a marked video before it is read."""

    name: str
    crf: int | None = None
    scale: float = 1.0
    keep: float = 1.0
    """How much of width and height is left by a crop to the middle."""
    fps: int = FPS
    gain: float = 1.0
    seconds: float = FRAMES / FPS


MAIN = (Change("crf 23", 23), Change("crf 23, 3/4 size", 23, 0.75))
CHANGES = (
    *MAIN,
    Change("as delivered"),
    *(Change(f"crf {crf}", crf) for crf in (18, 28, 33)),
    *(Change(f"crf {crf}, 3/4 size", crf, 0.75) for crf in (18, 28)),
    Change("crf 23, half size", 23, 0.5),
    Change("crf 23, 3/2 size", 23, 1.5),
    Change("crf 23, 12 frames a second", 23, fps=12),
    Change("crf 23, 30 frames a second", 23, fps=30),
    Change("crf 23, brighter by 20 %", 23, gain=1.2),
    Change("crf 23, darker by 30 %", 23, gain=0.7),
    Change("crf 23, first 24 frames", 23, seconds=1.0),
    Change("as delivered, first frame", seconds=1 / FPS),
    Change("crf 23, 1 % cropped off", 23, keep=0.99),
    Change("crf 23, 5 % cropped off", 23, keep=0.95),
)


def to_frame(levels: Levels) -> av.VideoFrame:
    """Return brightness as a grey frame in yuv420p."""
    height, width = levels.shape
    values = np.full((height * 3 // 2, width), 128, np.uint8)
    values[:height] = levels
    return av.VideoFrame.from_ndarray(values, format="yuv420p")


def find_clips(folder: Path) -> Iterator[tuple[str, Path]]:
    for clip in CLIPS:
        found = sorted(folder.rglob(clip.name))
        if not found:
            sys.exit(f"{clip.name} of {clip.package} is not below {folder}")
        yield clip.name, found[0]


def cut_windows(name: str, path: Path, width: int) -> Iterator[Window]:
    """Yield windows of a clip, each beginning in the middle of the one before."""
    frames: Frames = []
    count = 0
    for image in iterate_images(path):
        height = round(width * image.height / image.width / 2) * 2
        frames.append(image.reformat(width, height, "yuv420p", interpolation="LANCZOS"))
        if len(frames) == FRAMES:
            yield Window(f"clips, {width} wide", f"{name} {count}", frames)
            frames, count = frames[STEP:], count + 1
        if count == SIZES[width]:
            return


def draw(kind: str, width: int, height: int, seed: int) -> Iterator[Levels]:
    """Yield 48 frames that are hard in one way."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    speed = random.uniform(0.5, 1.0)
    texture = random.normal(0, 1, (height, width + FRAMES * 12)).astype(np.float32)
    for _ in range(3):
        texture = sum(np.roll(texture, shift, axis) for shift in (0, 1) for axis in (0, 1)) / 4
    texture *= 30 / texture.std()
    for number in range(FRAMES):
        match kind:
            case "flat":
                levels = np.full((height, width), 40 + 150 * speed)
            case "dark":
                levels = 16 + 6 * np.sin((columns + number) / 40) + 4 * np.sin(rows / 30)
            case "smooth, slow pan":
                moved = columns + 2 * speed * number
                levels = 128 + 60 * np.sin(moved / 90) + 30 * np.sin(rows / 60)
            case "smooth, fast pan":
                moved = columns + 18 * speed * number
                levels = 128 + 60 * np.sin(moved / 90) + 30 * np.sin((rows + 4 * number) / 60)
            case "texture, still":
                levels = 120 + texture[:, :width]
            case "texture, fast pan":
                start = round(11 * speed * number)
                levels = 120 + texture[:, start : start + width]
            case "grain":
                levels = 120 + random.normal(0, 10, (height, width))
            case _:
                middle = width * (0.2 + 0.012 * speed * number)
                inside = (columns - middle) ** 2 + (rows - height / 2) ** 2 < (height / 5) ** 2
                levels = np.where(inside, 200.0, 60.0)
        yield np.clip(levels, 0, 255).astype(np.uint8)


DRAWN = (
    "flat",
    "dark",
    "smooth, slow pan",
    "smooth, fast pan",
    "texture, still",
    "texture, fast pan",
    "grain",
    "shapes",
)


def draw_windows() -> Iterator[Window]:
    for kind in DRAWN:
        for seed, size in enumerate(((640, 360), (480, 832))):
            frames = [to_frame(levels) for levels in draw(kind, *size, seed)]
            yield Window(f"drawn: {kind}", f"{kind} {size[0]}x{size[1]}", frames)


def make_tiny_windows(folder: Path) -> Iterator[Window]:
    """Yield videos of magi/tiny (64x64), and small ones of clips."""
    from media_agent.config.settings import Settings
    from media_agent.sync import BlockingVideoClient
    from media_agent_schemas.request import VideoRequest

    prompts = ("a red circle moving right", "a blue square moving up", "a green triangle")
    with BlockingVideoClient(settings=Settings(data_dir=folder / "data")) as client:
        for number, prompt in enumerate(prompts * 3):
            request = VideoRequest(prompt=prompt, num_frames=FRAMES, seed=number)
            job = client.generate(request, out=folder / f"tiny-{number}.mp4")
            frames = list(iterate_images(Path(str(job.artifacts[0].path))))
            yield Window("magi/tiny, 64x64", f"tiny {number}", frames)


def encode(path: Path, frames: Frames, crf: int, fps: int) -> None:
    """Encode as who passes a video on: x264 with its key frames and B-frames, preset veryfast."""
    options = {"crf": str(crf), "preset": "veryfast"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height = frames[0].width, frames[0].height
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, fps)
            frame.pict_type = PictureType.NONE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def apply(change: Change, delivered: Path, target: Path) -> Path:
    """Return the video after a change."""
    frames = list(iterate_images(delivered))[: max(1, round(change.seconds * FPS))]
    if change.crf is None and len(frames) == FRAMES:
        return delivered
    if change.fps != FPS:
        count = round(len(frames) * change.fps / FPS)
        frames = [frames[number * FPS // change.fps] for number in range(count)]
    changed = [_change(frame, change) for frame in frames]
    if change.crf is None:
        size = changed[0].width, changed[0].height
        write_images(target, changed, size=size, fps=FPS)
    else:
        encode(target, changed, change.crf, change.fps)
    return target


def _change(frame: av.VideoFrame, change: Change) -> av.VideoFrame:
    values = frame.to_ndarray(format="rgb24")
    height, width = values.shape[:2]
    high, wide = round(height * change.keep / 2) * 2, round(width * change.keep / 2) * 2
    top, left = (height - high) // 2, (width - wide) // 2
    values = values[top : top + high, left : left + wide]
    if change.gain != 1:
        values = np.clip(values.astype(np.float32) * change.gain, 0, 255).astype(np.uint8)
    size = (round(wide * change.scale / 2) * 2, round(high * change.scale / 2) * 2)
    image = av.VideoFrame.from_ndarray(np.ascontiguousarray(values), format="rgb24")
    return image.reformat(*size, "yuv420p", interpolation="BICUBIC")


def find_psnr(frames: Frames, marked: Frames) -> float:
    errors = [
        np.mean((brightness_of(a).astype(float) - brightness_of(b)) ** 2)
        for a, b in zip(frames, marked, strict=True)
    ]
    return float(10 * np.log10(255**2 / np.mean(errors)))


def try_window(
    window: Window, payload: int, folder: Path, changes: Sequence[Change]
) -> tuple[float, dict[str, str]]:
    """Return how near the marked frames are (dB), and what is read after each change."""
    mark = Watermarker(payload)
    psnr = find_psnr(window.frames, [mark(frame) for frame in window.frames])
    first = window.frames[0]
    delivered = folder / "delivered.mp4"
    size = first.width, first.height
    write_images(delivered, window.frames, size=size, fps=FPS, mark=mark)
    found = {}
    for change in changes:
        marks = read.read_watermark(apply(change, delivered, folder / "changed.mp4"))
        is_right = [each.payload for each in marks] == [payload]
        found[change.name] = "read" if is_right else "wrong" if marks else "none"
    return psnr, found


def measure_reading(windows: Iterator[Window], folder: Path) -> dict[str, object]:
    random = np.random.default_rng(SEED)
    rows: dict[str, dict[str, object]] = {}
    by_kind: dict[str, list[tuple[float, dict[str, str]]]] = {}
    for window in windows:
        results = by_kind.setdefault(window.kind, [])
        every = EVERY if window.kind.startswith("clips") else 2
        changes = MAIN if len(results) % every else CHANGES
        results.append(try_window(window, int(random.integers(2**32)), folder, changes))
        missed = [name for name, each in results[-1][1].items() if each != "read"]
        psnr = results[-1][0]
        print(f"{window.kind}: {window.name}: {psnr:.1f} dB; not read: {missed}", flush=True)
    for kind, results in by_kind.items():
        rows[kind] = {
            "videos": len(results),
            "psnr_db": {
                "mean": round(float(np.mean([psnr for psnr, _ in results])), 1),
                "least": round(min(psnr for psnr, _ in results), 1),
            },
            "read_of": {change.name: count_read(results, change) for change in CHANGES},
            "wrong": sum("wrong" in found.values() for _, found in results),
        }
    return rows


def count_read(results: list[tuple[float, dict[str, str]]], change: Change) -> list[int]:
    """Return how many were read after a change, and of how many."""
    tried = [found[change.name] for _, found in results if change.name in found]
    return [tried.count("read"), len(tried)]


def summarise(rows: dict[str, dict[str, object]]) -> dict[str, dict[str, list[int]]]:
    """Return how many were read of all clips, of what was drawn, and of magi/tiny."""
    summary = {}
    for group in ("clips", "drawn", "magi/tiny"):
        counts = [row["read_of"] for kind, row in rows.items() if kind.startswith(group)]
        if counts:
            summary[group] = {
                change.name: [
                    sum(each) for each in zip(*(row[change.name] for row in counts), strict=True)
                ]
                for change in CHANGES
            }
    return summary


def make_unmarked(clips: list[NDArray[np.uint8]], seed: int) -> Iterator[Levels]:
    """Yield the frames (brightness) of one video that has no mark."""
    random = np.random.default_rng(seed)
    if not clips or seed % 5 == 0:
        kind = DRAWN[seed // 5 % len(DRAWN)]
        yield from draw(kind, 320, 192, seed)
        return
    clip = clips[int(random.integers(len(clips)))]
    start = int(random.integers(max(1, len(clip) - FRAMES + 1)))
    height, width = clip.shape[1:]
    zoom = random.uniform(0.5, 1)
    high, wide = round(height * zoom), round(width * zoom)
    top, left = int(random.integers(height - high + 1)), int(random.integers(width - wide + 1))
    flips = [slice(None, None, -1 if random.random() < 0.5 else 1) for _ in range(2)]
    gain = random.uniform(0.5, 1.2)
    for frame in clip[start : start + FRAMES]:
        cut = frame[top : top + high, left : left + wide][flips[0], flips[1]]
        yield np.clip(cut * gain, 0, 255).astype(np.uint8)


def read_brightness(path: Path) -> NDArray[np.uint8]:
    return np.stack(
        [
            image.reformat(480, 270, "gray", interpolation="AREA").to_ndarray()
            for image in iterate_images(path)
        ]
    )


def measure_false_accepts(paths: list[Path], folder: Path) -> dict[str, object]:
    """Read videos without a mark; also say how often the bits fit, whatever their strength."""
    clips = [read_brightness(path) for path in paths]
    accepted = fits = 0
    strengths = []
    for seed in range(UNMARKED):
        frames = list(make_unmarked(clips, seed))
        if seed < UNMARKED_FILES:
            path = folder / "unmarked.mp4"
            images = [
                to_frame(levels[: len(levels) // 2 * 2, : levels.shape[1] // 2 * 2])
                for levels in frames
            ]
            size = images[0].width, images[0].height
            write_images(path, images, size=size, fps=FPS)
            accepted += bool(read.read_watermark(path))
        grids = [
            [scale(levels, each.width, each.height).astype(np.float32) for each in list_layouts()]
            for levels in frames
        ]
        accepted += bool(read.search_grids(grids))
        for number, layout in enumerate(list_layouts() if seed % MEASURED == 0 else ()):
            slots = sum(read.weigh(layout.transform(each[number])) for each in grids)
            sums = read.find_sums(layout, np.asarray(slots))
            strengths.append(float(np.abs(sums).mean()))
            fits += _fits(sums)
        if seed % 500 == 499:
            print(f"{seed + 1} unmarked videos: {accepted} accepted, {fits} fit", flush=True)
    return {
        "videos": UNMARKED,
        "of_them_encoded_and_read_from_a_file_as_well": UNMARKED_FILES,
        "accepted": accepted,
        "measured_tries": len(strengths),
        "tries_whose_bits_fit_whatever_their_strength": fits,
        "expected_of_them": round(len(strengths) * 2.0**-16, 2),
        "strength": {
            "least_accepted": codes.LEAST_STRENGTH,
            "mean": round(float(np.mean(strengths)), 2),
            "highest": round(max(strengths), 2),
        },
    }


def _fits(sums: NDArray[np.float64]) -> bool:
    size = float(np.abs(sums).mean())
    return size > 0 and codes.from_sums(sums * (2 * codes.LEAST_STRENGTH / size)) is not None


def measure_cost(work: Callable[[av.VideoFrame], object], frames: Frames) -> float:
    """Return milliseconds of the processor for a frame, the median of five rounds."""
    rounds = []
    for _ in range(5):
        began = time.process_time()
        for frame in frames:
            work(frame)
        rounds.append((time.process_time() - began) * 1000 / len(frames))
    return round(float(np.median(rounds)), 2)


def measure_costs() -> dict[str, object]:
    costs = {}
    for width, height in ((64, 64), (640, 360), (1280, 720), (1920, 1080)):
        frames = [to_frame(levels) for levels in draw("smooth, slow pan", width, height, 1)]
        mark = Watermarker(1)
        costs[f"{width}x{height}"] = {
            "write_ms": measure_cost(mark, frames),
            "read_ms": measure_cost(lambda frame: read.read_marks([frame]), frames),
        }
    return costs


PARTS = ("costs", "reading", "unmarked")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", help="where the clips are unpacked")
    parser.add_argument("--only", choices=PARTS, help="measure this and keep the rest as it is")
    arguments = parser.parse_args()
    folder: Path | None = arguments.folder
    parts = PARTS if arguments.only is None else (arguments.only,)
    clips = [] if folder is None else list(find_clips(folder))
    measured: dict[str, object] = {"machine": describe_machine(), "frames": FRAMES}
    with tempfile.TemporaryDirectory() as scratch:
        if "costs" in parts:
            measured["processor_ms_per_frame"] = measure_costs()
        if "reading" in parts:
            rows = measure_reading(list_windows(clips, Path(scratch)), Path(scratch))
            measured |= {"read_of": summarise(rows), "by_kind": rows}
        if "unmarked" in parts:
            paths = [path for _, path in clips]
            measured["unmarked"] = measure_false_accepts(paths, Path(scratch))
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() and len(parts) == 1 else {}
    RESULTS.write_text(json.dumps(known | measured, indent=1) + "\n")
    print(json.dumps(measured, indent=1))


def list_windows(clips: list[tuple[str, Path]], scratch: Path) -> Iterator[Window]:
    for name, path in clips:
        for width in SIZES:
            yield from cut_windows(name, path, width)
    yield from draw_windows()
    yield from make_tiny_windows(scratch)


if __name__ == "__main__":
    main()
