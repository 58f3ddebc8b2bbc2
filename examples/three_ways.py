"""One request and one tool call, sent unchanged through five very different backends.

The native engine, the sandbox, a hosted service (its local simulator), and two local diffusers
pipelines with tiny random weights: only one word of the settings changes each time. Then the
service hangs up after accepting a paid job: it is found in its list, and not sent a second time.

    pip install -e '.[magi,diffusers]'
    python examples/three_ways.py
"""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.testing import Fault
from media_agent.tools import ToolBox
from media_agent.video.probe import probe
from media_agent_diffusers.tiny import build_tiny
from media_agent_hosted.providers.fal.simulator import FalSimulator
from media_agent_schemas import GenerationRecord

BACKENDS = ("magi", "sandbox", "fal", "wan", "mochi")
REQUEST = {
    "prompt": "a red circle moving right on a black background",
    "duration": 1,
    "size": "64x64",
    "seed": 7,
}
SETTINGS = """\
default_backend = "{word}"
data_dir = "data"

[backends.fal]
model = "fal-ai/wan/v2.2-a14b/text-to-video"
base_url = "{url}"
key = "the-simulator-takes-any-key"
options = {{ poll_seconds = 0.05 }}

[backends.wan]
kind = "diffusers"
model = "wan"
options = {{ models = {{ wan = "weights/tiny-wan" }} }}

[backends.mochi]
kind = "diffusers"
model = "mochi"
options = {{ models = {{ mochi = "weights/tiny-mochi" }} }}
"""


@dataclass(frozen=True)
class Made:
    """The result for one word in the settings."""

    word: str
    answer: dict[str, Any]
    record: GenerationRecord


def make(word: str, settings: Path, url: str, request: dict[str, Any]) -> dict[str, Any]:
    """Write the settings with one word, call the tool, wait; return the last answer."""
    settings.write_text(SETTINGS.format(word=word, url=url), encoding="utf-8")
    return asyncio.run(call(settings, request))


async def call(settings: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Create the video and wait for it, as any agent would."""
    async with VideoClient(settings=load_settings(config=settings)) as client:
        tools = ToolBox(client)
        answer: dict[str, Any] = await tools.call("create_video", request)
        while answer.get("finished") is False:
            waiting = {"job_id": answer["job_id"], "seconds": 10}
            answer = await tools.call("wait_video", waiting)
    return answer


def five_ways(settings: Path, request: dict[str, Any], service: FalSimulator) -> list[Made]:
    """Generate the same video with every backend."""
    made = []
    for word in BACKENDS:
        answer = make(word, settings, service.url, request)
        if "video" not in answer:
            raise SystemExit(f"{word} made no video: {answer.get('error')}")
        record = GenerationRecord.model_validate_json(Path(answer["record"]).read_bytes())
        made.append(Made(word, answer, record))
        print(f'default_backend = "{word}"'.ljust(31), answer["video"])
    return made


def show(made: Sequence[Made]) -> None:
    """Print one line per video, from the files and their records."""
    heads = ("WORD", "MADE BY", "VIDEO", "CHECKED", "USD", "ADJUSTED", "SEED")
    rows = [heads]
    for each in made:
        facts = probe(Path(each.answer["video"]))
        video = f"{facts.width}x{facts.height} {facts.frames} at {facts.fps:g}"
        model = each.record.model.rpartition("fal-ai/")[2]
        adjusted = [change.field for change in each.record.adjusted if change.asked is not None]
        adjusted = [field for field in adjusted if field != "model"]
        cost = each.answer.get("cost_usd")
        rows.append(
            (
                each.word,
                f"{each.record.backend}/{model}",
                video,
                str(each.record.verification),
                "unknown" if cost is None else f"{cost:g}",
                ", ".join(adjusted) or "nothing",
                str(each.record.seed),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(line.rstrip())
    shapes = {tuple(each.record.model_dump()) for each in made}
    print(f"{len(made)} videos, {len(made)} records, {len(shapes)} shape of record")


def lost_reply(settings: Path, request: dict[str, Any], service: FalSimulator) -> None:
    """Let the service hang up after accepting: the work is found, and there is no second one."""
    request = request | {"seed": 8, "idempotency_key": "the one whose reply is lost"}
    accepted = service.accepted
    service.inject(Fault("submit", "close_after_accept"))
    first = make("fal", settings, service.url, request)
    again = make("fal", settings, service.url, request)
    print(f"status: {first['status']}; asked again: {again['status']}, the same job: ", end="")
    print("yes" if first["job_id"] == again["job_id"] else "no")
    print(f"submissions that the service accepted: {service.accepted - accepted}")


def prepare(folder: Path) -> Path:
    """Create the folder with tiny weights; return the path of the settings file."""
    folder.mkdir(parents=True, exist_ok=True)
    for family in ("wan", "mochi"):
        weights = folder / "weights" / f"tiny-{family}"
        if not weights.exists():
            build_tiny(family, weights)
    return folder / "media-agent.toml"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both demonstrations."""
    parser = argparse.ArgumentParser(description="One request, five backends.")
    parser.add_argument("--folder", type=Path, default=Path("out/three_ways"))
    parser.add_argument("--duration", type=float, default=REQUEST["duration"], help="seconds")
    asked = parser.parse_args(arguments)
    settings = prepare(asked.folder.absolute())
    request = REQUEST | {"duration": asked.duration}
    with FalSimulator(lists_unended=True) as service:
        show(five_ways(settings, request, service))
        print()
        lost_reply(settings, request, service)


if __name__ == "__main__":
    main()
