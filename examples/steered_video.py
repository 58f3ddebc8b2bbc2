"""An endless video of three shots, steered while it runs, finished gracefully, then analysed.

magi/tiny knows only coloured shapes, but its output can be measured: an analyser reads every second
of the video and reports whether it shows what was asked.

    pip install -e '.[magi]'
    python examples/steered_video.py
"""

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from media_agent.client import VideoClient
from media_agent.provenance.job_sheet import write_job_sheet
from media_agent.video.codec import read_frames
from media_agent_magi.world.analyser import analyse
from media_agent_magi.world.captions import parse
from media_agent_magi.world.failures import describe_reading
from media_agent_magi.world.scene import ATTRIBUTES, CHUNK_FRAMES, FPS
from media_agent_magi.world.scores import score
from media_agent_schemas import GenerationRecord, PromptChanged, Shot, VideoJob, VideoRequest

FIRST = "a red circle moving right on a black background"
SECOND = "a red circle moving up on a black background"
THIRD = "a blue square moving left on a white background"
STEERED = "a green triangle moving down on a gray background"


def build_request(seconds: int, steps: int | None) -> VideoRequest:
    """Return a request for three shots; the last one continues until the video is finished."""
    return VideoRequest(
        shots=(
            Shot(prompt=FIRST, duration=seconds),
            Shot(prompt=SECOND, duration=seconds),
            Shot(prompt=THIRD),
        ),
        endless=True,
        seed=7,
        model="magi/tiny",
        options={} if steps is None else {"magi": {"num_inference_steps": steps}},
    )


async def make(client: VideoClient, request: VideoRequest, video: Path, seconds: int) -> VideoJob:
    """Generate the video: steer it once the third shot is due, then finish it."""
    job = await client.start(request, out=video, overwrite=True)
    print(f"job {job.id} runs; steering from any other shell works too, with its number")
    job = await wait_until_reached(client, job.id, 2 * seconds)
    await client.steer(job.id, STEERED)
    first = await first_steered(client, job.id)
    print(f"steered after {job.chunks_ready} chunks; the new prompt is first in chunk {first + 1}")
    job = await wait_until_reached(client, job.id, first + seconds)
    await client.finish(job.id)
    return await wait_until_reached(client, job.id, None)


async def wait_until_reached(client: VideoClient, job_id: str, chunks: int | None) -> VideoJob:
    """Wait until this many chunks are ready (None: until the end). Exit if the job failed."""
    while True:
        job = await client.get(job_id)
        if job.error is not None:
            raise SystemExit(f"it ended as {job.status}: {job.error.message}")
        if job.status.is_terminal or (chunks is not None and job.chunks_ready >= chunks):
            return job
        await asyncio.sleep(0.05)


async def first_steered(client: VideoClient, job_id: str) -> int:
    """Wait until the new prompt takes effect, and return the first chunk that uses it."""
    while True:
        for numbered in await client.events(job_id):
            if isinstance(numbered.event, PromptChanged):
                return numbered.event.chunk
        await wait_until_reached(client, job_id, 0)
        await asyncio.sleep(0.05)


def read_back(video: Path, record: GenerationRecord) -> Iterator[tuple[str, str, str]]:
    """Yield for every chunk what was asked, what is seen, and whether they match."""
    frames = read_frames(video)
    for start in range(0, len(frames), CHUNK_FRAMES):
        second = start / FPS
        asked = [shot.prompt_sent for shot in record.shots if shot.start <= second][-1]
        reading = analyse(frames[start : start + CHUNK_FRAMES])
        scored = score(reading, parse(asked))
        wrong = [name for name in ATTRIBUTES if not getattr(scored, name)]
        yield asked, describe_reading(reading), "not " + ", ".join(wrong) if wrong else "as asked"


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate the video, write its contact sheet, and print what each chunk shows."""
    parser = argparse.ArgumentParser(description="Steer a video while it is being generated.")
    parser.add_argument("--folder", type=Path, default=Path("out/steered_video"))
    parser.add_argument("--seconds", type=int, default=4, help="duration of each shot; at least 1")
    parser.add_argument("--steps", type=int, help="denoising steps; default: the model's own")
    asked = parser.parse_args(arguments)
    asked.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(run(asked.folder / "steered.mp4", asked.seconds, asked.steps))


async def run(video: Path, seconds: int, steps: int | None) -> None:
    """Generate the video and show the result."""
    async with VideoClient() as client:
        job = await make(client, build_request(seconds, steps), video, seconds)
    sheet = video.with_suffix(".png")
    write_job_sheet(job, sheet)
    record = GenerationRecord.model_validate_json(video.with_suffix(".json").read_bytes())
    verdicts = []
    for chunk, (asked, seen, verdict) in enumerate(read_back(video, record), start=1):
        print(f"chunk {chunk:<3} asked  {asked}\n          seen   {seen}: {verdict}")
        verdicts.append(verdict)
    print(f"{verdicts.count('as asked')} of {len(verdicts)} chunks show what was asked")
    print(f"{video}, {video.with_suffix('.json')}, {sheet}")


if __name__ == "__main__":
    main()
