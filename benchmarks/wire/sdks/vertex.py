"""google-genai, Google's own SDK: Veo on Vertex AI."""

from typing import Any

from benchmarks.wire.intents import KEY, PROMPT, Given, Sdk, image, video

MODEL = "veo-3.1-generate-001"


def connect(base_url: str) -> Any:
    from google import genai
    from google.oauth2.credentials import Credentials

    return genai.Client(
        vertexai=True,
        project="p",
        location="us-central1",
        credentials=Credentials(token=KEY),
        http_options={"base_url": base_url, "api_version": "v1"},
    )


SDK = Sdk("vertex", "google-genai", connect, options={"project": "p"})
BARE = {"model": MODEL, "duration": 8, "resolution": "720p", "aspect_ratio": "16:9"}
TEXT = {**BARE, "seed": 7}
BARE_ASKED = {
    "number_of_videos": 1,
    "duration_seconds": 8,
    "resolution": "720p",
    "aspect_ratio": "16:9",
}
ASKED = {**BARE_ASKED, "seed": 7}


def picture(given: Given, name: str) -> dict[str, Any]:
    return {"image_bytes": given.read(f"{name}.png"), "mime_type": "image/png"}


def generate(client: Any, config: dict[str, Any], **source: Any) -> Any:
    return client.models.generate_videos(
        model=MODEL, source={"prompt": PROMPT, **source}, config=config
    )


@SDK.intent("text", **BARE)
def text(client: Any, given: Given) -> None:
    generate(client, BARE_ASKED)


@SDK.intent("seed", **{**BARE, "seed": 0})
def seed(client: Any, given: Given) -> None:
    generate(client, {**BARE_ASKED, "seed": 0})


@SDK.intent("negative prompt", **TEXT, negative_prompt="blur")
def negative_prompt(client: Any, given: Given) -> None:
    generate(client, {**ASKED, "negative_prompt": "blur"})


@SDK.intent("audio", **TEXT, audio=False, n=2)
def audio(client: Any, given: Given) -> None:
    generate(client, {**ASKED, "generate_audio": False, "number_of_videos": 2})


@SDK.intent("first frame as a file", **TEXT, inputs=[image("first_frame", file="first_frame.png")])
def first_frame_file(client: Any, given: Given) -> None:
    generate(client, ASKED, image=picture(given, "first_frame"))


@SDK.intent(
    "first and last frame",
    **TEXT,
    inputs=[
        image("first_frame", file="first_frame.png"),
        image("last_frame", file="last_frame.png"),
    ],
)
def first_and_last(client: Any, given: Given) -> None:
    config = {**ASKED, "last_frame": picture(given, "last_frame")}
    generate(client, config, image=picture(given, "first_frame"))


@SDK.intent("references", **TEXT, inputs=[image("subject", file="subject.png")])
def references(client: Any, given: Given) -> None:
    reference = {"image": picture(given, "subject"), "reference_type": "ASSET"}
    generate(client, {**ASKED, "reference_images": [reference]})


@SDK.intent(
    "edit",
    **TEXT,
    inputs=[video(file="source_video.mp4"), image("mask", file="mask.png")],
)
def edit(client: Any, given: Given) -> None:
    mask = {"image": picture(given, "mask"), "mask_mode": "INSERT"}
    clip = {"video_bytes": given.read("source_video.mp4"), "mime_type": "video/mp4"}
    generate(client, {**ASKED, "mask": mask}, video=clip)


@SDK.intent("extend", **{**TEXT, "duration": 7}, inputs=[video(file="source_video.mp4")])
def extend(client: Any, given: Given) -> None:
    clip = {"video_bytes": given.read("source_video.mp4"), "mime_type": "video/mp4"}
    generate(client, {**ASKED, "duration_seconds": 7}, video=clip)


@SDK.intent("poll", **TEXT)
def poll(client: Any, given: Given) -> None:
    client.operations.get(generate(client, ASKED))
