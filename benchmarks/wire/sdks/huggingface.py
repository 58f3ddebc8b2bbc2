"""huggingface_hub, the client of Hugging Face: video models at partners, by its router.

It tells its router by the name of the host, so the simulator is reached as a proxy for that name.
"""

import os
from typing import Any

from benchmarks.wire.intents import KEY, PROMPT, Given, Sdk, image, image_url


def connect(base_url: str) -> Any:
    os.environ.update(HTTP_PROXY=base_url, http_proxy=base_url, HF_HUB_DISABLE_TELEMETRY="1")
    os.environ.update(HF_ENDPOINT="http://huggingface.co", HF_TOKEN=KEY)
    from huggingface_hub import InferenceClient, constants
    from huggingface_hub.inference._providers import fal_ai, together, wavespeed

    constants.INFERENCE_PROXY_TEMPLATE = "http://router.huggingface.co/{provider}"
    fal_ai._POLLING_INTERVAL = wavespeed._POLLING_INTERVAL = 0.01
    together._VIDEO_POLLING_INTERVAL = 0.01
    return lambda partner: InferenceClient(provider=partner, api_key=KEY)


SDK = Sdk(
    "huggingface",
    "huggingface_hub",
    connect,
    simulator={"queued_polls": 0, "running_polls": 0},
    waits=True,
)
WAN = "Wan-AI/Wan2.2-T2V-A14B"
WAN_IMAGE = "Wan-AI/Wan2.2-I2V-A14B"
TEXT = {"num_frames": 81, "fps": 16, "resolution": "720p", "seed": 7}
MORE: dict[str, Any] = {
    "frames_per_second": 16,
    "resolution": "720p",
    "enable_prompt_expansion": False,
    "interpolator_model": "none",
    "num_interpolated_frames": 0,
}
SHAPED = {**MORE, "aspect_ratio": "16:9"}


@SDK.intent("text", model=f"fal-ai/{WAN}", **{**TEXT, "seed": None}, aspect_ratio="16:9")
def text(client: Any, given: Given) -> None:
    client("fal-ai").text_to_video(PROMPT, model=WAN, num_frames=81, extra_body=SHAPED)


@SDK.intent("seed", model=f"fal-ai/{WAN}", **TEXT, aspect_ratio="16:9")
def seed(client: Any, given: Given) -> None:
    client("fal-ai").text_to_video(PROMPT, model=WAN, num_frames=81, seed=7, extra_body=SHAPED)


@SDK.intent(
    "negative prompt",
    model=f"fal-ai/{WAN}",
    **TEXT,
    aspect_ratio="16:9",
    negative_prompt="blur",
)
def negative_prompt(client: Any, given: Given) -> None:
    client("fal-ai").text_to_video(
        PROMPT, model=WAN, num_frames=81, seed=7, negative_prompt=["blur"], extra_body=SHAPED
    )


@SDK.intent(
    "first frame by address", model=f"fal-ai/{WAN_IMAGE}", **TEXT, inputs=[image("first_frame")]
)
def first_frame(client: Any, given: Given) -> None:
    client("fal-ai").image_to_video(
        image_url("first_frame"),
        model=WAN_IMAGE,
        prompt=PROMPT,
        num_frames=81,
        seed=7,
        **MORE,
    )


@SDK.intent(
    "first frame as a file",
    model=f"fal-ai/{WAN_IMAGE}",
    **TEXT,
    inputs=[image("first_frame", file="first_frame.png")],
)
def first_frame_file(client: Any, given: Given) -> None:
    client("fal-ai").image_to_video(
        given.path("first_frame.png"),
        model=WAN_IMAGE,
        prompt=PROMPT,
        num_frames=81,
        seed=7,
        **MORE,
    )


@SDK.intent(
    "text",
    model="wavespeed/Wan-AI/Wan2.2-TI2V-5B",
    duration=5,
    size={"width": 1280, "height": 720},
    seed=7,
)
def text_at_wavespeed(client: Any, given: Given) -> None:
    client("wavespeed").text_to_video(
        PROMPT,
        model="Wan-AI/Wan2.2-TI2V-5B",
        seed=7,
        extra_body={"duration": 5, "size": "1280*720"},
    )


@SDK.intent(
    "text", model=f"together/{WAN}", duration=5, resolution="720p", aspect_ratio="16:9", seed=7
)
def text_at_together(client: Any, given: Given) -> None:
    client("together").text_to_video(
        PROMPT,
        model=WAN,
        seed=7,
        extra_body={"seconds": "5", "resolution": "720p", "ratio": "16:9"},
    )


@SDK.intent(
    "text",
    model=f"replicate/{WAN}",
    **{**TEXT, "resolution": "480p"},
    aspect_ratio="16:9",
)
def text_at_replicate(client: Any, given: Given) -> None:
    from huggingface_hub.errors import BadRequestError

    more = {"frames_per_second": 16, "resolution": "480p", "aspect_ratio": "16:9"}
    try:
        client("replicate").text_to_video(PROMPT, model=WAN, num_frames=81, seed=7, extra_body=more)
    except BadRequestError:
        return  # it asks to be answered with the video, which the simulator refuses


@SDK.intent("text", model="novita/Wan-AI/Wan2.1-T2V-14B", seed=7)
def text_at_novita(client: Any, given: Given) -> None:
    client("novita").text_to_video(PROMPT, model="Wan-AI/Wan2.1-T2V-14B", seed=7)
