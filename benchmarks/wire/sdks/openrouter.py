"""openrouter, OpenRouter's own SDK."""

from typing import Any

from benchmarks.wire.intents import KEY, PROMPT, Given, Sdk, image, image_url, video, video_url

MODEL = "bytedance/seedance-2.0"


def connect(base_url: str) -> Any:
    from openrouter import OpenRouter

    return OpenRouter(api_key=KEY, server_url=f"{base_url}/api/v1").video_generation


SDK = Sdk("openrouter", "openrouter", connect)
BARE = {"model": MODEL, "duration": 5, "resolution": "720p", "aspect_ratio": "16:9"}
TEXT = {**BARE, "seed": 7}
ASKED: dict[str, Any] = {**TEXT, "prompt": PROMPT}


def picture(role: str, address: str | None = None) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": address or image_url(role)}}


def frame(role: str, address: str | None = None) -> dict[str, Any]:
    return {**picture(role, address), "frame_type": role}


@SDK.intent("text", **BARE)
def text(client: Any, given: Given) -> None:
    client.generate(**BARE, prompt=PROMPT)


@SDK.intent("seed", **{**BARE, "seed": 0})
def seed(client: Any, given: Given) -> None:
    client.generate(**BARE, prompt=PROMPT, seed=0)


@SDK.intent("audio", **TEXT, audio=False)
def audio(client: Any, given: Given) -> None:
    client.generate(**ASKED, generate_audio=False)


@SDK.intent("first frame by address", **TEXT, inputs=[image("first_frame")])
def first_frame(client: Any, given: Given) -> None:
    client.generate(**ASKED, frame_images=[frame("first_frame")])


@SDK.intent("first frame as a file", **TEXT, inputs=[image("first_frame", file="first_frame.png")])
def first_frame_file(client: Any, given: Given) -> None:
    encoded = given.data_uri("first_frame.png")
    client.generate(**ASKED, frame_images=[frame("first_frame", encoded)])


@SDK.intent("first and last frame", **TEXT, inputs=[image("first_frame"), image("last_frame")])
def first_and_last(client: Any, given: Given) -> None:
    client.generate(**ASKED, frame_images=[frame("first_frame"), frame("last_frame")])


@SDK.intent("references", **TEXT, inputs=[image("subject"), video("motion")])
def references(client: Any, given: Given) -> None:
    clip = {"type": "video_url", "video_url": {"url": video_url("motion")}}
    client.generate(**ASKED, input_references=[picture("subject"), clip])


@SDK.intent("extend", **TEXT, options={"openrouter": {"previous_job_id": "job-1"}})
def extend(client: Any, given: Given) -> None:
    client.generate(**ASKED, previous_job_id="job-1")


@SDK.intent("poll", **TEXT)
def poll(client: Any, given: Given) -> None:
    client.get_generation(job_id=client.generate(**ASKED).id)
