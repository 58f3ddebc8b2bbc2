"""fal_client, fal's own SDK. It writes https itself, so its address is replaced in its module."""

from typing import Any

from benchmarks.wire.intents import KEY, PROMPT, Given, Sdk, image, image_url, video, video_url


def connect(base_url: str) -> Any:
    import fal_client
    from fal_client import client

    client.QUEUE_URL_FORMAT = f"{base_url}/"
    return fal_client.SyncClient(key=KEY)


SDK = Sdk("fal", "fal-client", connect)
WAN = "fal-ai/wan/v2.7/text-to-video"
WAN_IMAGE = "fal-ai/wan/v2.7/image-to-video"
KLING_IMAGE = "fal-ai/kling-video/v3/pro/image-to-video"
SHAPE = {"duration": 5, "resolution": "720p"}
TEXT = {"model": WAN, **SHAPE, "aspect_ratio": "16:9", "seed": 7}
AS_WRITTEN: dict[str, Any] = {"prompt": PROMPT, "enable_prompt_expansion": False}
ASKED = {**AS_WRITTEN, **SHAPE, "aspect_ratio": "16:9", "seed": 7}


@SDK.intent("text", model=WAN, **SHAPE, aspect_ratio="16:9")
def text(client: Any, given: Given) -> None:
    client.submit(WAN, {**AS_WRITTEN, **SHAPE, "aspect_ratio": "16:9"})


@SDK.intent("seed", **TEXT)
def seed(client: Any, given: Given) -> None:
    client.submit(WAN, ASKED)


@SDK.intent("negative prompt", **TEXT, negative_prompt="blur")
def negative_prompt(client: Any, given: Given) -> None:
    client.submit(WAN, {**ASKED, "negative_prompt": "blur"})


@SDK.intent(
    "audio",
    model="fal-ai/kling-video/v3/pro/text-to-video",
    duration=5,
    aspect_ratio="9:16",
    audio=False,
)
def audio(client: Any, given: Given) -> None:
    client.submit(
        "fal-ai/kling-video/v3/pro/text-to-video",
        {"prompt": PROMPT, "duration": "5", "aspect_ratio": "9:16", "generate_audio": False},
    )


@SDK.intent(
    "first frame by address", model=WAN_IMAGE, **SHAPE, seed=7, inputs=[image("first_frame")]
)
def first_frame(client: Any, given: Given) -> None:
    client.submit(
        WAN_IMAGE, {**AS_WRITTEN, **SHAPE, "seed": 7, "image_url": image_url("first_frame")}
    )


@SDK.intent(
    "first frame as a file",
    model=WAN_IMAGE,
    **SHAPE,
    seed=7,
    inputs=[image("first_frame", file="first_frame.png")],
)
def first_frame_file(client: Any, given: Given) -> None:
    import fal_client

    encoded = fal_client.encode_file(given.path("first_frame.png"))
    client.submit(WAN_IMAGE, {**AS_WRITTEN, **SHAPE, "seed": 7, "image_url": encoded})


@SDK.intent(
    "first and last frame",
    model=KLING_IMAGE,
    duration=5,
    inputs=[image("first_frame"), image("last_frame")],
)
def first_and_last(client: Any, given: Given) -> None:
    client.submit(
        KLING_IMAGE,
        {
            "prompt": PROMPT,
            "duration": "5",
            "start_image_url": image_url("first_frame"),
            "end_image_url": image_url("last_frame"),
        },
    )


@SDK.intent(
    "references",
    model="fal-ai/veo3.1/reference-to-video",
    duration=8,
    resolution="720p",
    aspect_ratio="16:9",
    inputs=[image("subject")],
)
def references(client: Any, given: Given) -> None:
    client.submit(
        "fal-ai/veo3.1/reference-to-video",
        {
            "prompt": PROMPT,
            "image_urls": [image_url("subject")],
            "duration": "8s",
            "resolution": "720p",
            "aspect_ratio": "16:9",
            "auto_fix": False,
        },
    )


@SDK.intent(
    "edit",
    model="fal-ai/wan/v2.7/edit-video",
    resolution="720p",
    aspect_ratio="16:9",
    seed=7,
    mode="video_edit",
    inputs=[video()],
)
def edit(client: Any, given: Given) -> None:
    client.submit(
        "fal-ai/wan/v2.7/edit-video",
        {
            "prompt": PROMPT,
            "video_url": video_url(),
            "resolution": "720p",
            "aspect_ratio": "16:9",
            "seed": 7,
        },
    )


@SDK.intent(
    "extend",
    model="fal-ai/magi/extend-video",
    num_frames=96,
    resolution="720p",
    aspect_ratio="16:9",
    seed=7,
    inputs=[video()],
)
def extend(client: Any, given: Given) -> None:
    client.submit(
        "fal-ai/magi/extend-video",
        {
            "prompt": PROMPT,
            "video_url": video_url(),
            "num_frames": 128,
            "resolution": "720p",
            "aspect_ratio": "16:9",
            "seed": 7,
        },
    )


@SDK.intent("poll", **TEXT)
def poll(client: Any, given: Given) -> None:
    client.submit(WAN, ASKED).status(with_logs=True)


@SDK.intent("result", **TEXT)
def result(client: Any, given: Given) -> None:
    client.submit(WAN, ASKED).get(interval=0.01)


@SDK.intent("cancel", **TEXT)
def cancel(client: Any, given: Given) -> None:
    client.submit(WAN, ASKED).cancel()
