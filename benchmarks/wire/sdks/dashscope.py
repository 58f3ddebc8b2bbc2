"""dashscope, Alibaba's own SDK."""

from typing import Any

from benchmarks.wire.intents import KEY, PROMPT, Given, Sdk, image, image_url, video, video_url


def connect(base_url: str) -> Any:
    import dashscope

    dashscope.api_key = KEY
    dashscope.base_http_api_url = f"{base_url}/api/v1"
    return dashscope.VideoSynthesis


SDK = Sdk("dashscope", "dashscope", connect)
BARE = {"duration": 5, "resolution": "720p"}
BARE_ASKED: dict[str, Any] = {"prompt": PROMPT, "duration": 5, "resolution": "720P"}
TEXT = {"model": "wan2.7-t2v", **BARE, "aspect_ratio": "16:9", "seed": 7}
ASKED = {"model": "wan2.7-t2v", **BARE_ASKED, "ratio": "16:9", "seed": 7}


def medium(kind: str, address: str) -> dict[str, str]:
    return {"type": kind, "url": address}


@SDK.intent("text", model="wan2.7-t2v", **BARE, aspect_ratio="16:9")
def text(client: Any, given: Given) -> None:
    client.async_call(model="wan2.7-t2v", **BARE_ASKED, ratio="16:9")


@SDK.intent("seed", **{**TEXT, "seed": 0})
def seed(client: Any, given: Given) -> None:
    client.async_call(**{**ASKED, "seed": 0})


@SDK.intent("negative prompt", **TEXT, negative_prompt="blur")
def negative_prompt(client: Any, given: Given) -> None:
    client.async_call(**ASKED, negative_prompt="blur")


@SDK.intent(
    "audio",
    model="wan2.6-i2v",
    **BARE,
    seed=7,
    audio=False,
    inputs=[image("first_frame")],
)
def audio(client: Any, given: Given) -> None:
    client.async_call(
        model="wan2.6-i2v", **BARE_ASKED, seed=7, audio=False, img_url=image_url("first_frame")
    )


@SDK.intent(
    "first frame by address", model="wan2.7-i2v", **BARE, seed=7, inputs=[image("first_frame")]
)
def first_frame(client: Any, given: Given) -> None:
    media = [medium("first_frame", image_url("first_frame"))]
    client.async_call(model="wan2.7-i2v", **BARE_ASKED, seed=7, media=media)


@SDK.intent(
    "first frame as a file",
    model="wan2.7-i2v",
    **BARE,
    seed=7,
    inputs=[image("first_frame", file="first_frame.png")],
)
def first_frame_file(client: Any, given: Given) -> None:
    media = [medium("first_frame", given.data_uri("first_frame.png"))]
    client.async_call(model="wan2.7-i2v", **BARE_ASKED, seed=7, media=media)


@SDK.intent(
    "first and last frame",
    model="wan2.7-i2v",
    **BARE,
    seed=7,
    inputs=[image("first_frame"), image("last_frame")],
)
def first_and_last(client: Any, given: Given) -> None:
    media = [medium(role, image_url(role)) for role in ("first_frame", "last_frame")]
    client.async_call(model="wan2.7-i2v", **BARE_ASKED, seed=7, media=media)


@SDK.intent(
    "first and last frame",
    model="wan2.2-kf2v-flash",
    resolution="720p",
    seed=7,
    inputs=[image("first_frame"), image("last_frame")],
)
def first_and_last_of_old(client: Any, given: Given) -> None:
    client.async_call(
        model="wan2.2-kf2v-flash",
        prompt=PROMPT,
        resolution="720P",
        seed=7,
        first_frame_url=image_url("first_frame"),
        last_frame_url=image_url("last_frame"),
    )


@SDK.intent(
    "references",
    model="wan2.7-r2v",
    **BARE,
    aspect_ratio="16:9",
    seed=7,
    inputs=[image("subject"), video("motion")],
)
def references(client: Any, given: Given) -> None:
    media = [
        medium("reference_image", image_url("subject")),
        medium("reference_video", video_url("motion")),
    ]
    client.async_call(model="wan2.7-r2v", **BARE_ASKED, ratio="16:9", seed=7, media=media)


@SDK.intent(
    "edit",
    model="wan2.7-videoedit",
    resolution="720p",
    seed=7,
    mode="video_edit",
    inputs=[video()],
)
def edit(client: Any, given: Given) -> None:
    client.async_call(
        model="wan2.7-videoedit",
        prompt=PROMPT,
        resolution="720P",
        seed=7,
        media=[medium("video", video_url())],
    )


@SDK.intent("extend", model="wan2.7-i2v", **BARE, seed=7, inputs=[video()])
def extend(client: Any, given: Given) -> None:
    media = [medium("first_clip", video_url())]
    client.async_call(model="wan2.7-i2v", **BARE_ASKED, seed=7, media=media)


@SDK.intent("poll", **TEXT)
def poll(client: Any, given: Given) -> None:
    client.fetch(client.async_call(**ASKED))


@SDK.intent("cancel", **TEXT)
def cancel(client: Any, given: Given) -> None:
    client.cancel(client.async_call(**ASKED))
