"""Videos as OpenAI's clients make, look at and delete them."""

import openai
import pytest

from tests.server.openai.conftest import SMALL

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


async def test_the_official_client_makes_downloads_lists_and_deletes_a_video(
    official: openai.AsyncOpenAI,
) -> None:
    video = await official.videos.create_and_poll(
        prompt="a fox", extra_body={**SMALL, "seed": 7, "media_agent": {"label": "first"}}
    )
    content = await official.videos.download_content(video.id)
    listed = [each.id async for each in official.videos.list()]
    deleted = await official.videos.delete(video.id)

    assert (video.status, video.progress, video.size, video.seconds) == (
        "completed",
        100,
        "64x48",
        "1",
    )
    assert content.read()[4:8] == b"ftyp"
    assert listed == [video.id]
    assert deleted.deleted
    with pytest.raises(openai.NotFoundError):
        await official.videos.retrieve(video.id)
