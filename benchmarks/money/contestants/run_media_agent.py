"""media-agent's inline runner: `generate` with an idempotency key, again after a restart."""

import asyncio
import os
from pathlib import Path

from diary import AT_ONCE, POLL_SECONDS, Diary, arguments, prompt_of

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.request import VideoRequest

LOOKUP_SECONDS = 15.0  # the provider lists what has ended, and needs a few seconds for a video


async def main() -> None:
    """Make all videos that are left."""
    url, diary = arguments()
    api = os.environ["MONEY_API"]
    turns = asyncio.Semaphore(AT_ONCE)
    async with make_client(url, diary.folder, api) as client:
        await asyncio.gather(*(make(client, diary, turns, number) for number in diary.left))


def make_client(url: str, folder: Path, api: str) -> VideoClient:
    """Return a client with the settings of the documentation, short polls and short searches."""
    options: dict[str, object] = {"poll_seconds": POLL_SECONDS}
    if api == "openai":
        section = {"base_url": f"{url}/v1", "options": {**options, "server": "vllm-omni"}}
        name, default = "openai-compatible", "openai-compatible/sora-2"
    else:
        options["lookup_seconds"] = LOOKUP_SECONDS
        section = {"base_url": url, "key": "money-bench", "options": options}
        name, default = "fal", "fal"
    settings = load_settings(
        data_dir=folder / "data",
        config=folder / "none.toml",
        default_backend=default,
        backends={name: section},
    )
    return VideoClient(settings=settings)


async def make(client: VideoClient, diary: Diary, turns: asyncio.Semaphore, number: int) -> None:
    """Make one video, and note what came of it."""
    async with turns:
        request = VideoRequest(prompt=prompt_of(number))
        try:
            job = await client.generate(
                request, idempotency_key=f"clip-{number}", out=diary.path(number)
            )
        except Exception as error:  # noqa: BLE001  # what a program would show
            diary.note_result(number, f"error: {error}")
            return
        diary.note_result(number, _say(job))


def _say(job: VideoJob) -> str:
    said = "" if job.error is None else f": {job.error.message}"
    return "completed" if job.status is JobStatus.COMPLETED else f"{job.status}{said}"


if __name__ == "__main__":
    asyncio.run(main())
