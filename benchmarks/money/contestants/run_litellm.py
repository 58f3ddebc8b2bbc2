"""LiteLLM's Router, as documented: `avideo_generation`, `avideo_status`, `avideo_content`."""

import asyncio
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it asks GitHub at its start

from diary import (
    AT_ONCE,
    DOWNLOADS,
    POLL_SECONDS,
    POLLS_IN_VAIN,
    Diary,
    arguments,
    prompt_of,
)
from litellm import Router

NAME = "video"


async def main() -> None:
    """Make all videos that are left."""
    url, diary = arguments()
    parameters = {"model": "openai/sora-2", "api_key": "money-bench", "api_base": f"{url}/v1"}
    router = Router(model_list=[{"model_name": NAME, "litellm_params": parameters}])
    turns = asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(make(router, diary, turns, number) for number in diary.left))


async def make(router: Router, diary: Diary, turns: asyncio.Semaphore, number: int) -> None:
    """Make one video, and note what came of it."""
    async with turns:
        try:
            if number not in diary.ids:
                video = await router.avideo_generation(
                    model=NAME, prompt=prompt_of(number), seconds="4"
                )
                diary.note_id(number, video.id)
            diary.note_result(number, await collect(router, diary, number))
        except Exception as error:  # noqa: BLE001  # what a program would show
            diary.note_result(number, f"error: {type(error).__name__}: {error}")


async def collect(router: Router, diary: Diary, number: int) -> str:
    """Wait for a video and fetch it; a call that fails is made again."""
    name, failures = diary.ids[number], 0
    while True:
        try:
            video = await router.avideo_status(video_id=name, model=NAME)
            failures = 0
        except Exception:
            failures += 1
            if failures > POLLS_IN_VAIN:
                raise
        else:
            if video.status == "completed":
                break
            if video.status == "failed":
                return f"failed: {video.error}"
        await asyncio.sleep(POLL_SECONDS)
    for attempt in range(DOWNLOADS):
        try:
            content = await router.avideo_content(video_id=name, model=NAME)
            diary.path(number).write_bytes(content)
            break
        except Exception:
            if attempt == DOWNLOADS - 1:
                raise
    return "completed"


if __name__ == "__main__":
    asyncio.run(main())
