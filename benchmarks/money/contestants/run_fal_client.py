"""fal-client, as documented: `submit`, then `get` of the handle; the video is fetched by hand."""

import asyncio
import os

os.environ["FAL_KEY"] = "money-bench"

import fal_client
import fal_client.client
from diary import AT_ONCE, POLL_SECONDS, Diary, arguments, download, prompt_of

APP = "fal-ai/wan/v2.2-a14b/text-to-video"


async def main() -> None:
    """Make all videos that are left."""
    url, diary = arguments()
    fal_client.client.QUEUE_URL_FORMAT = f"{url}/"  # else it insists on https
    client = fal_client.AsyncClient()
    turns = asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(make(client, diary, turns, number) for number in diary.left))


async def make(
    client: fal_client.AsyncClient, diary: Diary, turns: asyncio.Semaphore, number: int
) -> None:
    """Make one video, and note what came of it."""
    async with turns:
        try:
            if number in diary.ids:
                handle = client.get_handle(APP, diary.ids[number])
            else:
                handle = await client.submit(APP, {"prompt": prompt_of(number)})
                diary.note_id(number, handle.request_id)
            result = await handle.get(interval=POLL_SECONDS)
            content = await asyncio.to_thread(download, result["video"]["url"])
            diary.path(number).write_bytes(content)
            diary.note_result(number, "completed")
        except Exception as error:  # noqa: BLE001  # what a program would show
            diary.note_result(number, f"error: {type(error).__name__}: {error}")


if __name__ == "__main__":
    asyncio.run(main())
