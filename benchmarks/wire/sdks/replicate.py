"""replicate, Replicate's own SDK."""

import io
from typing import Any

from benchmarks.wire.intents import KEY, PROMPT, Given, Sdk, image, image_url


def connect(base_url: str) -> Any:
    import replicate

    return replicate.Client(api_token=KEY, base_url=base_url)


SDK = Sdk("replicate", "replicate", connect)
WAN, SEEDANCE = "wan-video/wan-2.2-t2v-fast", "bytedance/seedance-1-pro"
VERSION = "0123456789abcdef" * 4
SHAPE = {"resolution": "480p", "aspect_ratio": "16:9"}
TEXT = {"model": WAN, "num_frames": 81, "fps": 16, **SHAPE, "seed": 7}
BARE: dict[str, Any] = {"prompt": PROMPT, "num_frames": 81, "frames_per_second": 16, **SHAPE}
ASKED = {**BARE, "seed": 7}
SEEN = {"model": SEEDANCE, "duration": 5, "resolution": "480p", "seed": 7}
SEEN_ASKED: dict[str, Any] = {"prompt": PROMPT, "duration": 5, "resolution": "480p", "seed": 7}


def create(client: Any, model: str, fields: dict[str, Any], **more: Any) -> Any:
    return client.models.predictions.create(model, input=fields, **more)


@SDK.intent("text", model=WAN, num_frames=81, fps=16, **SHAPE)
def text(client: Any, given: Given) -> None:
    create(client, WAN, BARE)


@SDK.intent("text", model=f"acme/film:{VERSION}", seed=7)
def text_by_a_version(client: Any, given: Given) -> None:
    client.predictions.create(version=VERSION, input={"prompt": PROMPT, "seed": 7})


@SDK.intent("text", model="deployments/acme/film", seed=7)
def text_by_a_deployment(client: Any, given: Given) -> None:
    client.deployments.predictions.create("acme/film", input={"prompt": PROMPT, "seed": 7})


@SDK.intent("seed", **TEXT)
def seed(client: Any, given: Given) -> None:
    create(client, WAN, ASKED)


@SDK.intent(
    "negative prompt",
    model="kwaivgi/kling-v2.5-turbo-pro",
    duration=5,
    aspect_ratio="16:9",
    negative_prompt="blur",
)
def negative_prompt(client: Any, given: Given) -> None:
    fields = {"prompt": PROMPT, "duration": 5, "aspect_ratio": "16:9", "negative_prompt": "blur"}
    create(client, "kwaivgi/kling-v2.5-turbo-pro", fields)


@SDK.intent("first frame by address", **SEEN, inputs=[image("first_frame")])
def first_frame(client: Any, given: Given) -> None:
    create(client, SEEDANCE, {**SEEN_ASKED, "image": image_url("first_frame")})


@SDK.intent("first frame as a file", **SEEN, inputs=[image("first_frame", file="first_frame.png")])
def first_frame_file(client: Any, given: Given) -> None:
    with given.path("first_frame.png").open("rb") as file:
        fields = {**SEEN_ASKED, "image": file}
        create(client, SEEDANCE, fields, file_encoding_strategy="base64")


@SDK.intent("large file", **SEEN, inputs=[image("first_frame", file="large.png")])
def large_file(client: Any, given: Given) -> None:
    file = io.BytesIO(given.read("large.png"))
    file.name = "first_frame.png"
    create(client, SEEDANCE, {**SEEN_ASKED, "image": file})


@SDK.intent("first and last frame", **SEEN, inputs=[image("first_frame"), image("last_frame")])
def first_and_last(client: Any, given: Given) -> None:
    frames = {"image": image_url("first_frame"), "last_frame_image": image_url("last_frame")}
    create(client, SEEDANCE, {**SEEN_ASKED, **frames})


@SDK.intent("poll", **TEXT)
def poll(client: Any, given: Given) -> None:
    client.predictions.get(create(client, WAN, ASKED).id)


@SDK.intent("cancel", **TEXT)
def cancel(client: Any, given: Given) -> None:
    create(client, WAN, ASKED).cancel()
