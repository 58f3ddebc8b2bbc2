"""google-genai, Google's own SDK: Gemini Omni through the Interactions API."""

from typing import Any

from benchmarks.wire.intents import KEY, PROMPT, Given, Sdk, image, image_url, video, video_url

MODEL = "gemini-omni-1.2-flash"


def connect(base_url: str) -> Any:
    from google import genai

    return genai.Client(api_key=KEY, http_options={"base_url": base_url, "api_version": "v1beta"})


SDK = Sdk("google", "google-genai", connect)
TEXT = {"model": MODEL, "duration": 8, "resolution": "720p", "aspect_ratio": "16:9"}
FORM = {
    "type": "video",
    "delivery": "uri",
    "duration": "8s",
    "resolution": "720p",
    "aspect_ratio": "16:9",
}


def create(client: Any, task: str, *parts: dict[str, Any], **form: Any) -> Any:
    return client.interactions.create(
        model=MODEL,
        input=[{"type": "text", "text": PROMPT}, *parts] if parts else PROMPT,
        background=True,
        store=True,
        response_format={**FORM, **form},
        generation_config={"video_config": {"task": task}},
    )


@SDK.intent("text", **TEXT)
def text(client: Any, given: Given) -> None:
    create(client, "text_to_video")


@SDK.intent("first frame by address", **TEXT, inputs=[image("first_frame")])
def first_frame(client: Any, given: Given) -> None:
    create(client, "image_to_video", {"type": "image", "uri": image_url("first_frame")})


@SDK.intent("first frame as a file", **TEXT, inputs=[image("first_frame", file="first_frame.png")])
def first_frame_file(client: Any, given: Given) -> None:
    encoded = given.base64("first_frame.png")
    block = {"type": "image", "data": encoded, "mime_type": "image/png"}
    create(client, "image_to_video", block)


@SDK.intent("references", **TEXT, inputs=[image("subject")])
def references(client: Any, given: Given) -> None:
    create(client, "reference_to_video", {"type": "image", "uri": image_url("subject")})


@SDK.intent(
    "edit",
    model=MODEL,
    resolution="720p",
    aspect_ratio="16:9",
    mode="video_edit",
    inputs=[video()],
)
def edit(client: Any, given: Given) -> None:
    client.interactions.create(
        model=MODEL,
        input=[{"type": "text", "text": PROMPT}, {"type": "video", "uri": video_url()}],
        background=True,
        store=True,
        response_format={name: each for name, each in FORM.items() if name != "duration"},
        generation_config={"video_config": {"task": "edit"}},
    )


@SDK.intent("extend", **TEXT, inputs=[video()])
def extend(client: Any, given: Given) -> None:
    create(client, "extend", {"type": "video", "uri": video_url()})


@SDK.intent("poll", **TEXT)
def poll(client: Any, given: Given) -> None:
    client.interactions.get(create(client, "text_to_video").id)


@SDK.intent("cancel", **TEXT)
def cancel(client: Any, given: Given) -> None:
    client.interactions.cancel(create(client, "text_to_video").id)
