"""openai, OpenAI's own SDK: the video API that open servers speak as well.

The size is a small one, as its simulator makes the video in the size that is asked for.
"""

from typing import Any

from benchmarks.wire.intents import KEY, PROMPT, Given, Sdk, image


def connect(base_url: str) -> Any:
    import openai

    return openai.OpenAI(api_key=KEY, base_url=f"{base_url}/v1")


SDK = Sdk("openai-compatible", "openai", connect, options={"server": "openai"})
TEXT = {"model": "sora-2", "duration": 4, "size": {"width": 64, "height": 36}}
ASKED = {"model": "sora-2", "prompt": PROMPT, "seconds": "4", "size": "64x36"}


@SDK.intent("text", **TEXT)
def text(client: Any, given: Given) -> None:
    client.videos.create(**ASKED)


@SDK.intent("first frame as a file", **TEXT, inputs=[image("first_frame", file="first_frame.png")])
def first_frame_file(client: Any, given: Given) -> None:
    client.videos.create(**ASKED, input_reference=given.path("first_frame.png"))


@SDK.intent("poll", **TEXT)
def poll(client: Any, given: Given) -> None:
    client.videos.retrieve(client.videos.create(**ASKED).id)


@SDK.intent("result", **TEXT)
def result(client: Any, given: Given) -> None:
    made = client.videos.create(**ASKED)
    while made.status not in ("completed", "failed"):
        made = client.videos.retrieve(made.id)
    client.videos.download_content(made.id)
