"""Says how often magi/tiny shows what it is asked for: `python -m media_agent_magi.adherence`."""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from media_agent_magi.generating.engine import Engine
from media_agent_magi.generating.video import VideoOptions
from media_agent_magi.tiny.description import WEIGHTS, Guidance
from media_agent_magi.tiny.loader import load_tiny
from media_agent_magi.world.failures import write_failures
from media_agent_magi.world.renderer import SceneBatch, render, to_uint8
from media_agent_magi.world.scene import CHUNK_FRAMES, COLOURS
from media_agent_magi.world.scores import Frames, Share, chance_levels
from media_agent_magi.world.trial import (
    Case,
    ChunkGroup,
    Generate,
    Smoothness,
    VideoResult,
    draw_cases,
    groups,
    run,
    smoothness,
)

_COLUMNS = ("background", "shape", "colour", "motion", "single", "strict", "empty")


@dataclass(frozen=True, slots=True)
class Report:
    """Adherence of one setting."""

    title: str
    groups: list[ChunkGroup]
    smoothness: Smoothness | None  # None where prompts change or there is one chunk only
    true_smoothness: Smoothness | None  # the renderer's own

    def as_json(self) -> dict[str, object]:
        """Return plain data; shares as right, total, value and 95 % interval."""
        return {
            "title": self.title,
            "groups": {
                name: {key: _share_json(share) for key, share in shares.items()}
                for name, shares in zip(_paths(self.groups), _shares(self.groups), strict=True)
            },
            "chance": chance_levels(),
            "smoothness": _smoothness_json(self.smoothness),
            "true_smoothness": _smoothness_json(self.true_smoothness),
        }

    def as_text(self) -> str:
        """Return the tables."""
        lines = [self.title, _row("per cent", "chunks", [*_COLUMNS[:5], *_COLUMNS[6:]], "strict")]
        for group in self.groups:
            values = {key: _percent(share.value) for key, share in group.shares.items()}
            low, high = group.shares["strict"].interval
            strict = f"{values['strict']} ({_percent(low)}-{_percent(high)})"
            rest = [values[key] for key in _COLUMNS if key != "strict"]
            lines.append(_row(group.name, str(group.shares["strict"].total), rest, strict))
        chance = chance_levels()
        cells = [_percent(chance[key]) for key in _COLUMNS[:4]]
        strict = f"{100 * chance['strict']:.2f} (a model deaf to the prompt)"
        lines.append(_row("chance", "", [*cells, "", ""], strict))
        if self.smoothness is not None and self.true_smoothness is not None:
            lines.append(f"{'median seam score':<18}{'pixel':>12}{'motion':>12}{'background':>12}")
            lines[-1] += f"{'comb':>12}{'frozen':>12}"
            lines.append(_smoothness_row("videos", self.smoothness))
            lines.append(_smoothness_row("the truth", self.true_smoothness))
            lines.append("px moved from each of the four frames of a latent frame to the next")
            lines.append(_moves_row("videos", self.smoothness))
            lines.append(_moves_row("the truth", self.true_smoothness))
        return "\n".join(lines) + "\n"


def judge(
    generate: Generate, cases: Sequence[Case], title: str
) -> tuple[Report, list[VideoResult]]:
    """Generate and read every case, and report; progress goes to a terminal's stderr."""
    results = []
    for result in run(generate, cases):
        results.append(result)
        if sys.stderr.isatty():
            end = "\n" if len(results) == len(cases) else "\r"
            sys.stderr.write(f"{len(results)} of {len(cases)} videos{end}")
    return report(results, title), results


def report(results: Sequence[VideoResult], title: str) -> Report:
    """Put the results together."""
    descriptions = [result.case.descriptions for result in results]
    steady = all(len(set(chunks)) == 1 < len(chunks) for chunks in descriptions)
    if not steady:
        return Report(title, groups(results), None, None)
    truths = [true_video(result.case) for result in results]
    videos = smoothness([result.frames for result in results], truths)
    return Report(title, groups(results), videos, smoothness(truths, truths))


def generate_plainly(engine: Engine, video: VideoOptions) -> Generate:
    """Return what makes videos from their prompts and what `video` gives besides."""

    def generate(prompts: list[str], seed: int) -> Iterator[Frames]:
        first = video.first_chunk
        length = CHUNK_FRAMES * (len(prompts) - first)
        options = replace(video, num_frames=length)
        for chunk in engine.video(lambda number: prompts[number], (seed,), options):
            yield engine.decode(chunk)[0]

    return generate


def continuing(engine: Engine, cases: Sequence[Case], video: VideoOptions) -> Generate:
    """Return what makes videos whose first chunk is the truth, continued like any video."""
    by_seed = {case.seed: case for case in cases}

    def generate(prompts: list[str], seed: int) -> Iterator[Frames]:
        source = true_video(by_seed[seed])[:CHUNK_FRAMES]
        yield source
        going_on = replace(video, prefix=engine.encode(source), first_chunk=1)
        yield from generate_plainly(engine, going_on)(prompts, seed)

    return generate


def restyling(engine: Engine, cases: Sequence[Case], video: VideoOptions) -> Generate:
    """Return what makes each video out of the true one in another colour."""
    by_seed = {case.seed: case for case in cases}

    def generate(prompts: list[str], seed: int) -> Iterator[Frames]:
        case = by_seed[seed]
        number = COLOURS.index(case.descriptions[0].colour) + 1 + seed % (len(COLOURS) - 1)
        colour = COLOURS[number % len(COLOURS)]
        twins = tuple(replace(each, colour=colour) for each in case.descriptions)
        source = engine.encode(true_video(replace(case, descriptions=twins)))
        yield from generate_plainly(engine, replace(video, source=source))(prompts, seed)

    return generate


def true_video(case: Case) -> Frames:
    """Render the case as it should be: (T, 64, 64, 3) uint8."""
    frames = CHUNK_FRAMES * len(case.descriptions)
    video: Frames = to_uint8(render(SceneBatch.of([case.scene()]), frames))[0].numpy()
    return video


def main(arguments: Sequence[str] | None = None, load: Callable[[Path], Engine] = load_tiny) -> int:
    """Run the command; return its exit status: 2 if the model cannot be run as asked."""
    options = _parser().parse_args(arguments)
    if options.from_truth and options.chunks == 1:
        sys.stderr.write("adherence: --from-truth needs --chunks 2 or more\n")
        return 2
    cases = draw_cases(options.prompts, options.chunks, options.seed, switch=options.switch)
    guidance = None if options.guidance is None else Guidance(*options.guidance)
    reports, results = [], []
    try:
        engine = load(options.weights)
        for steps in options.steps or [engine.models.sampler.num_steps]:
            video = VideoOptions(num_inference_steps=steps, guidance=guidance)
            model: Generate = partial(engine.generate, num_inference_steps=steps, guidance=guidance)
            if options.from_truth:
                model = continuing(engine, cases, video)
            elif options.restyle is not None:
                model = restyling(engine, cases, replace(video, strength=options.restyle))
            judged, videos = judge(model, cases, _title(options, steps))
            sys.stdout.write(judged.as_text() + "\n")
            sys.stdout.flush()
            reports.append(judged.as_json())
            results += videos
    except ValueError as error:
        sys.stderr.write(f"adherence: {error}\n")
        return 2
    if options.json is not None:
        options.json.write_text(json.dumps(reports, indent=2, allow_nan=False) + "\n")
    if options.failures is not None:
        write_failures(options.failures, results)
    return 0


def _title(options: argparse.Namespace, steps: int) -> str:
    kind = "switching with every chunk" if options.switch else "steady"
    if options.from_truth:
        kind += ", the first chunk true"
    if options.restyle is not None:
        kind += f", restyled from another colour, strength {options.restyle:g}"
    videos = f"{options.prompts} prompts, {options.chunks} chunks each, {kind}"
    return f"magi/tiny: {videos}; {steps} steps, seed {options.seed}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m media_agent_magi.adherence", description=__doc__
    )
    parser.add_argument("--prompts", type=_positive, default=100, help="videos to ask for")
    parser.add_argument("--chunks", type=_positive, default=2, help="chunks of each video")
    parser.add_argument("--seed", type=int, default=1, help="draws prompts and noise")
    parser.add_argument("--switch", action="store_true", help="change the prompt with every chunk")
    parser.add_argument(
        "--from-truth",
        action="store_true",
        help="continue a true chunk in each video",
    )
    parser.add_argument(
        "--restyle",
        type=float,
        metavar="STRENGTH",
        help="make each video out of the true one in another colour",
    )
    parser.add_argument("--steps", type=_positive, nargs="+", help="denoising steps, a table each")
    parser.add_argument(
        "--guidance",
        type=float,
        nargs=3,
        metavar=("FIRST", "SWITCH", "STEADY"),
        help="text guidance",
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder of the weights")
    parser.add_argument("--json", type=_target, metavar="FILE", help="also write the numbers here")
    parser.add_argument(
        "--failures", type=_target, metavar="PNG", help="draw the chunks that are wrong"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number


def _target(text: str) -> Path:
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a file in an existing folder")
    return path


def _row(name: str, chunks: str, cells: Sequence[str], strict: str) -> str:
    return f"{name:<18}{chunks:>7}" + "".join(f"{cell:>11}" for cell in cells) + f"   {strict}"


def _smoothness_row(name: str, values: Smoothness) -> str:
    cells = [f"{value:.2f}" for value in asdict(values.seams).values()]
    return f"{name:<18}" + "".join(
        f"{c:>12}" for c in [*cells, f"{_percent(values.frozen.value)} %"]
    )


def _moves_row(name: str, values: Smoothness) -> str:
    return f"{name:<18}" + "".join(f"{move:>12.3f}" for move in values.moves)


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"


def _shares(rows: Sequence[ChunkGroup]) -> list[dict[str, Share]]:
    return [row.shares for row in rows]


def _paths(rows: Sequence[ChunkGroup]) -> list[str]:
    """Name the rows so that the indented ones say whose part they are."""
    names, parent = [], ""
    for row in rows:
        parent = parent if row.name.startswith(" ") else row.name
        names.append(parent if row.name == parent else f"{parent}, {row.name.strip()}")
    return names


def _share_json(share: Share) -> dict[str, object]:
    value = None if math.isnan(share.value) else share.value
    return {"right": share.right, "total": share.total, "value": value, "interval": share.interval}


def _smoothness_json(values: Smoothness | None) -> dict[str, float | None] | None:
    if values is None:
        return None
    moves = {f"move_{phase}": move for phase, move in enumerate(values.moves, start=1)}
    numbers = {**asdict(values.seams), "frozen": values.frozen.value, **moves}
    return {key: None if math.isnan(value) else value for key, value in numbers.items()}


if __name__ == "__main__":
    sys.exit(main())
