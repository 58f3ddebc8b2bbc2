"""volcengine-ark-runtime, ByteDance's own SDK; it speaks to BytePlus as well, by its base URL."""

from typing import Any

from benchmarks.wire.intents import KEY, PROMPT, Given, Sdk, image, image_url, video, video_url

MODEL = "dreamina-seedance-2-0-260128"


def connect(base_url: str) -> Any:
    from volcenginesdkarkruntime import Ark

    return Ark(base_url=f"{base_url}/api/v3", api_key=KEY).content_generation.tasks


SDK = Sdk("seedance", "volcengine-ark-runtime", connect)
SHAPE = {"duration": 5, "resolution": "720p"}
BARE = {"model": MODEL, **SHAPE, "aspect_ratio": "16:9"}
TEXT = {**BARE, "seed": 7}
BARE_ASKED: dict[str, Any] = {"model": MODEL, **SHAPE, "ratio": "16:9"}
ASKED = {**BARE_ASKED, "seed": 7}
WORDS = {"type": "text", "text": PROMPT}


def picture(role: str, address: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": address}, "role": role}


def clip(address: str) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": address}, "role": "reference_video"}


@SDK.intent("text", **BARE)
def text(client: Any, given: Given) -> None:
    client.create(**BARE_ASKED, content=[WORDS])


@SDK.intent("seed", **{**BARE, "seed": 0})
def seed(client: Any, given: Given) -> None:
    client.create(**BARE_ASKED, content=[WORDS], seed=0)


@SDK.intent("audio", **TEXT, audio=False)
def audio(client: Any, given: Given) -> None:
    client.create(**ASKED, content=[WORDS], generate_audio=False)


@SDK.intent("first frame by address", **TEXT, inputs=[image("first_frame")])
def first_frame(client: Any, given: Given) -> None:
    client.create(**ASKED, content=[WORDS, picture("first_frame", image_url("first_frame"))])


@SDK.intent("first frame as a file", **TEXT, inputs=[image("first_frame", file="first_frame.png")])
def first_frame_file(client: Any, given: Given) -> None:
    encoded = given.data_uri("first_frame.png")
    client.create(**ASKED, content=[WORDS, picture("first_frame", encoded)])


@SDK.intent("first and last frame", **TEXT, inputs=[image("first_frame"), image("last_frame")])
def first_and_last(client: Any, given: Given) -> None:
    frames = [picture(role, image_url(role)) for role in ("first_frame", "last_frame")]
    client.create(**ASKED, content=[WORDS, *frames])


@SDK.intent("references", **TEXT, inputs=[image("subject"), video("motion")])
def references(client: Any, given: Given) -> None:
    subject = picture("reference_image", image_url("subject"))
    client.create(**ASKED, content=[WORDS, subject, clip(video_url("motion"))])


@SDK.intent(
    "edit",
    model=MODEL,
    **SHAPE,
    seed=7,
    mode="video_edit",
    inputs=[video()],
)
def edit(client: Any, given: Given) -> None:
    asked = {**ASKED, "ratio": "adaptive"}
    client.create(**asked, content=[WORDS, clip(video_url())])


@SDK.intent("extend", model=MODEL, **SHAPE, seed=7, inputs=[video()])
def extend(client: Any, given: Given) -> None:
    asked = {**ASKED, "ratio": "adaptive"}
    client.create(**asked, content=[WORDS, clip(video_url())])


@SDK.intent("poll", **TEXT)
def poll(client: Any, given: Given) -> None:
    client.get(task_id=client.create(**ASKED, content=[WORDS]).id)


@SDK.intent("cancel", **TEXT)
def cancel(client: Any, given: Given) -> None:
    client.delete(task_id=client.create(**ASKED, content=[WORDS]).id)
