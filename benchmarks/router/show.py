"""The results of the router's simulation as tables and as a plot."""

from pathlib import Path
from typing import Any

_WIDTH, _ROW, _LEFT, _TOP = 900, 22, 230, 40
_MOST = 2.0  # times the oracle, the end of the axis
_COLOURS = {"learned": "#1f77b4", "oracle": "#2ca02c"}


def format_tables(found: dict[str, Any]) -> str:
    """Return the results in Markdown: cost over that of the oracle, by kind of world."""
    kinds = found["kinds"]
    lines = [
        f"Cost per request over that of the oracle: mean over {found['seeds']} of 20 seeds, of "
        f"{found['requests']:,} requests, ± half of the 95 % interval. A second of waiting costs "
        f"{found['usd_per_second']:g} USD. {found['cpu_seconds']:.0f} s of CPU.",
        "",
        f"| rule | {' | '.join(kinds)} |",
        f"| --- |{' --- |' * len(kinds)}",
    ]
    names = list(next(iter(kinds.values()))["rules"])
    for name in names:
        cells = [_cell(each["rules"][name]["over_oracle"]) for each in kinds.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    usd = [f"{each['rules']['oracle']['usd']['mean']:.4f}" for each in kinds.values()]
    lines.append(f"| the oracle itself, USD per request | {' | '.join(usd)} |")
    for name in next(iter(kinds.values()))["over_best_static"]:
        cells = [_cell(each["over_best_static"][name]) for each in kinds.values()]
        lines.append(f"| {name}, over the best static rule of each seed | {' | '.join(cells)} |")
        worst = [f"{each['worst_over_best_static'][name]:.3f}" for each in kinds.values()]
        lines.append(f"| the same, in the worst seed | {' | '.join(worst)} |")
    return "\n".join(lines) + "\n"


def draw_plot(found: dict[str, Any], path: Path) -> None:
    """Draw a bar for each rule and kind of world: its cost over that of the oracle."""
    from PIL import Image, ImageDraw

    groups = [
        (kind, [(name, each["over_oracle"]) for name, each in data["rules"].items()])
        for kind, data in found["kinds"].items()
    ]
    height = _TOP + sum(_ROW * (len(rows) + 2) for _, rows in groups)
    image = Image.new("RGB", (_WIDTH, height), "white")
    draw = ImageDraw.Draw(image)
    draw.text((10, 12), "Cost per request over that of the oracle (bars from 1.0)", "black")
    top = _TOP
    for kind, rows in groups:
        draw.text((10, top), kind, "black")
        top += _ROW
        for name, over in rows:
            mean, half = over["mean"], over["half_interval"] or 0.0
            colour = next((c for word, c in _COLOURS.items() if name.startswith(word)), "#999999")
            draw.text((20, top + 4), name, "black")
            draw.rectangle((_LEFT, top + 3, max(_LEFT + 1, _x(mean)), top + _ROW - 5), colour)
            draw.line((_x(mean - half), top + 10, _x(mean + half), top + 10), "black", 2)
            draw.text((_x(mean + half) + 6, top + 4), f"{mean:.3f}", "black")
            top += _ROW
        top += _ROW
    image.save(path)


def _cell(value: dict[str, float | None]) -> str:
    half = value["half_interval"]
    return f"{value['mean']:.3f}" + ("" if half is None else f" ± {half:.3f}")


def _x(ratio: float) -> float:
    share = (min(max(ratio, 1.0), _MOST) - 1) / (_MOST - 1)
    return _LEFT + share * (_WIDTH - _LEFT - 70)
