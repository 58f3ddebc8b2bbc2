"""luma-agents, Luma's own SDK."""

from typing import Any

from benchmarks.wire.intents import KEY, PROMPT, Given, Sdk, image, image_url, video, video_url


def connect(base_url: str) -> Any:
    from luma_agents import Luma

    return Luma(auth_token=KEY, base_url=f"{base_url}/v1")


SDK = Sdk("luma", "luma-agents", connect)
SHAPE = {"duration": 5, "resolution": "720p"}
TEXT = {"model": "ray-3.2", **SHAPE, "aspect_ratio": "16:9"}
VIDEO = {"duration": "5s", "resolution": "720p"}


def create(client: Any, kind: str = "video", **fields: Any) -> Any:
    return client.generations.create(model="ray-3.2", type=kind, prompt=PROMPT, **fields)


@SDK.intent("text", **TEXT)
def text(client: Any, given: Given) -> None:
    create(client, aspect_ratio="16:9", video=VIDEO)


@SDK.intent("first frame by address", **TEXT, inputs=[image("first_frame")])
def first_frame(client: Any, given: Given) -> None:
    start = {"url": image_url("first_frame")}
    create(client, aspect_ratio="16:9", video={**VIDEO, "start_frame": start})


@SDK.intent("first frame as a file", **TEXT, inputs=[image("first_frame", file="first_frame.png")])
def first_frame_file(client: Any, given: Given) -> None:
    start = {"data": given.base64("first_frame.png"), "media_type": "image/png"}
    create(client, aspect_ratio="16:9", video={**VIDEO, "start_frame": start})


@SDK.intent("first and last frame", **TEXT, inputs=[image("first_frame"), image("last_frame")])
def first_and_last(client: Any, given: Given) -> None:
    ends = {
        "start_frame": {"url": image_url("first_frame")},
        "end_frame": {"url": image_url("last_frame")},
    }
    create(client, aspect_ratio="16:9", video={**VIDEO, **ends})


@SDK.intent(
    "first and last frame",
    **{**TEXT, "duration": 10},
    inputs=[image("first_frame"), image("last_frame")],
)
def keyframes(client: Any, given: Given) -> None:
    frames = [{"url": image_url(role)} for role in ("first_frame", "last_frame")]
    placed = {"keyframes": frames, "keyframe_indexes": [0, 240]}
    create(
        client,
        aspect_ratio="16:9",
        video={"duration": "10s", "resolution": "720p", **placed},
    )


@SDK.intent(
    "edit",
    model="ray-3.2",
    resolution="720p",
    mode="video_edit",
    inputs=[video()],
)
def edit(client: Any, given: Given) -> None:
    create(
        client,
        "video_edit",
        source={"url": video_url(), "media_type": "video/mp4"},
        video={"resolution": "720p", "edit": {"auto_controls": True}},
    )


@SDK.intent("extend", **TEXT, options={"luma": {"generation_id": "g-1"}})
def extend(client: Any, given: Given) -> None:
    start = {"generation_id": "g-1"}
    create(client, aspect_ratio="16:9", video={**VIDEO, "start_frame": start})


@SDK.intent("poll", **TEXT)
def poll(client: Any, given: Given) -> None:
    client.generations.get(create(client, aspect_ratio="16:9", video=VIDEO).id)
