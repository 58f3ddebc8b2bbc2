"""runwayml, Runway's own SDK."""

from typing import Any

from benchmarks.wire.intents import (
    KEY,
    PROMPT,
    Given,
    Sdk,
    image,
    image_url,
    video,
    video_url,
)


def connect(base_url: str) -> Any:
    from runwayml import RunwayML

    return RunwayML(api_key=KEY, base_url=base_url)


SDK = Sdk("runway", "runwayml", connect)
TEXT = {"model": "gen4.5", "duration": 5, "aspect_ratio": "16:9", "seed": 7}
ASKED: dict[str, Any] = {
    "model": "gen4.5",
    "prompt_text": PROMPT,
    "ratio": "1280:720",
    "duration": 5,
    "seed": 7,
}


@SDK.intent("text", model="gen4.5", duration=5, aspect_ratio="16:9")
def text(client: Any, given: Given) -> None:
    client.text_to_video.create(model="gen4.5", prompt_text=PROMPT, ratio="1280:720", duration=5)


@SDK.intent("seed", **TEXT)
def seed(client: Any, given: Given) -> None:
    client.text_to_video.create(**ASKED)


@SDK.intent(
    "negative prompt",
    model="veo3.1",
    duration=8,
    aspect_ratio="9:16",
    seed=0,
    negative_prompt="blur",
)
def negative_prompt(client: Any, given: Given) -> None:
    client.text_to_video.create(
        model="veo3.1",
        prompt_text=PROMPT,
        ratio="720:1280",
        duration=8,
        seed=0,
        negative_prompt="blur",
    )


@SDK.intent("audio", model="veo3.1_fast", duration=4, aspect_ratio="16:9", seed=7, audio=False)
def audio(client: Any, given: Given) -> None:
    client.text_to_video.create(
        model="veo3.1_fast",
        prompt_text=PROMPT,
        ratio="1280:720",
        duration=4,
        seed=7,
        audio=False,
    )


@SDK.intent("first frame by address", **TEXT, inputs=[image("first_frame")])
def first_frame(client: Any, given: Given) -> None:
    client.image_to_video.create(
        **ASKED, prompt_image=[{"uri": image_url("first_frame"), "position": "first"}]
    )


@SDK.intent("first frame as a file", **TEXT, inputs=[image("first_frame", file="first_frame.png")])
def first_frame_file(client: Any, given: Given) -> None:
    client.image_to_video.create(
        **ASKED,
        prompt_image=[{"uri": given.data_uri("first_frame.png"), "position": "first"}],
    )


@SDK.intent(
    "first and last frame",
    model="veo3.1",
    duration=8,
    aspect_ratio="16:9",
    seed=7,
    inputs=[image("first_frame"), image("last_frame")],
)
def first_and_last(client: Any, given: Given) -> None:
    client.image_to_video.create(
        model="veo3.1",
        prompt_text=PROMPT,
        ratio="1280:720",
        duration=8,
        seed=7,
        prompt_image=[
            {"uri": image_url("first_frame"), "position": "first"},
            {"uri": image_url("last_frame"), "position": "last"},
        ],
    )


@SDK.intent(
    "references",
    model="gemini_omni_flash_1.1",
    duration=5,
    aspect_ratio="16:9",
    inputs=[image("subject")],
)
def references(client: Any, given: Given) -> None:
    client.text_to_video.create(
        model="gemini_omni_flash_1.1",
        prompt_text=PROMPT,
        ratio="1280:720",
        duration=5,
        references=[{"uri": image_url("subject")}],
    )


@SDK.intent(
    "references",
    model="klingO3_standard",
    duration=5,
    aspect_ratio="16:9",
    inputs=[image("first_frame"), image("subject")],
)
def frame_and_references(client: Any, given: Given) -> None:
    client.image_to_video.create(
        model="klingO3_standard",
        prompt_text=PROMPT,
        ratio="1280:720",
        duration=5,
        prompt_image=[{"uri": image_url("first_frame"), "position": "first"}],
        references=[{"uri": image_url("subject")}],
    )


@SDK.intent("edit", model="aleph2", seed=7, mode="video_edit", inputs=[video()])
def edit(client: Any, given: Given) -> None:
    client.video_to_video.create(model="aleph2", prompt_text=PROMPT, video_uri=video_url(), seed=7)


@SDK.intent(
    "extend",
    model="gemini_omni_flash_1.1",
    duration=8,
    aspect_ratio="16:9",
    inputs=[video()],
)
def extend(client: Any, given: Given) -> None:
    client.video_to_video.create(
        model="gemini_omni_flash_1.1",
        prompt_text=PROMPT,
        video_uri=video_url(),
        mode="extend",
        duration=8,
        ratio="1280:720",
    )


@SDK.intent(
    "large file",
    model="aleph2",
    seed=7,
    mode="video_edit",
    inputs=[video(file="large.mp4")],
)
def large_file(client: Any, given: Given) -> None:
    file = ("source_video.mp4", given.read("large.mp4"), "video/mp4")
    uploaded = client.uploads.create_ephemeral(file=file)
    client.video_to_video.create(model="aleph2", prompt_text=PROMPT, video_uri=uploaded.uri, seed=7)


@SDK.intent("poll", **TEXT)
def poll(client: Any, given: Given) -> None:
    client.tasks.retrieve(client.text_to_video.create(**ASKED).id)


@SDK.intent("cancel", **TEXT)
def cancel(client: Any, given: Given) -> None:
    client.tasks.delete(client.text_to_video.create(**ASKED).id)
