"""What curves of a long video say: is its end like its start? And how they look."""

import statistics
from pathlib import Path
from typing import Any

import numpy as np

from media_agent_magi.tiny.config import SAMPLER

OURS, THEIRS = "#c03030", "#3050c0"
SKIPPED = 10  # chunks until allocators and threads have settled
EARLY = 20
STEADY = slice(SKIPPED, -SAMPLER.window_size)  # at the end fewer chunks are in work


def judge(rows: dict[str, list[float]]) -> dict[str, float | list[float]]:
    """Return memory at the end over that at chunk 20, and how chunk times behave."""
    memory = rows["megabytes"][SKIPPED:]
    at_20, at_end = max(memory[: EARLY - SKIPPED]), max(memory)
    seconds = np.array(rows["seconds"])[STEADY]
    relative = seconds / np.array(local_medians(rows["yardstick"]))[STEADY]
    middle = float(np.median(relative))
    low, high = slope_interval(relative)
    return {
        "chunks": len(rows["megabytes"]),
        "peak_megabytes_at_20": at_20,
        "peak_megabytes_at_end": at_end,
        "memory_ratio": at_end / at_20,
        "chunk_seconds_p50": float(np.median(seconds)),
        "p99_over_p50": float(np.percentile(seconds, 99) / np.median(seconds)),
        "relative_p99_over_p50": float(np.percentile(relative, 99)) / middle,
        "relative_slope_percent_per_100_chunks": [100 * 100 * x / middle for x in (low, high)],
    }


def local_medians(values: list[float], reach: int = 4) -> list[float]:
    """Return the median of each value and its neighbours."""
    return [
        statistics.median(values[max(0, i - reach) : i + reach + 1]) for i in range(len(values))
    ]


def slope_interval(values: "np.ndarray[Any, Any]", draws: int = 500) -> tuple[float, float]:
    """Return the 95 % interval of the slope per chunk: residuals drawn in blocks of 10."""
    x = np.arange(len(values))
    line = np.polyfit(x, values, 1)
    residuals = values - np.polyval(line, x)
    generator = np.random.default_rng(0)
    slopes = []
    for _ in range(draws):
        starts = generator.integers(0, len(values) - 10, -(-len(values) // 10))
        drawn = np.concatenate([residuals[s : s + 10] for s in starts])[: len(values)]
        slopes.append(line[0] + np.polyfit(x, drawn, 1)[0])
    low, high = np.percentile(slopes, (2.5, 97.5))
    return float(low), float(high)


def draw(panels: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Draw two panels a row: a title, and lines over the chunks, each in its colour."""
    from PIL import Image, ImageDraw

    width, height, margin = 460, 200, 46
    image = Image.new("RGB", (2 * width, -(-len(panels) // 2) * height), "white")
    pen = ImageDraw.Draw(image)
    for number, (title, lines) in enumerate(panels.items()):
        top, left = number // 2 * height + 26, number % 2 * width + margin
        inner, down = width - margin - 14, height - 60
        most = 1.15 * max(max(values[SKIPPED:]) for values in lines.values())
        pen.rectangle((left, top, left + inner, top + down), outline="#999999")
        for colour, values in lines.items():
            shown = values[SKIPPED:]
            points = [
                (left + inner * i / (len(shown) - 1), top + down * (1 - value / most))
                for i, value in enumerate(shown)
            ]
            pen.line(points, fill=colour, width=1)
        pen.text((left, top - 16), title, fill="black")
        pen.text((left - 40, top - 4), f"{most:.3g}", fill="black")
        pen.text((left - 14, top + down - 6), "0", fill="black")
        pen.text((left, top + down + 4), f"chunk {SKIPPED}", fill="black")
        pen.text((left + inner - 60, top + down + 4), f"chunk {len(values)}", fill="black")
    image.save(path, optimize=True)


def ends(seconds: list[float]) -> float | None:
    """Return how much longer the last steady chunks took than the first, None of a short video."""
    steady = seconds[STEADY]
    if len(steady) < SKIPPED:
        return None
    fifth = len(steady) // 5
    return statistics.median(steady[-fifth:]) / statistics.median(steady[:fifth])
