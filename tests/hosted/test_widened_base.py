"""What the base does for providers with many modes, large inputs and keys that end."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from media_agent.errors import BackendAuthenticationError, InvalidRequestError, RequestError
from media_agent.negotiation.negotiate import negotiate
from media_agent_hosted.http.auth import RenewedToken, Token
from media_agent_hosted.http.client import HttpApi
from media_agent_hosted.http.inputs import read_file
from media_agent_hosted.http.limits import Limits
from media_agent_hosted.models.facts import HostedModel, Models
from media_agent_hosted.models.fields import build_fields
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.request import VideoMode, VideoRequest
from tests.hosted.images import make_png
from tests.hosted.provider_kit import no_sleep

pytestmark = pytest.mark.anyio

MODELS = """
models:
  - id: many-1
    description: Many modes
    source: made up
    path: /text
    length: {seconds: 2-4, default: 2, as_text: false}
    rates: {values: [24], default: 24}
    tiers: [{value: hd, name: 720p, short_side: 720}]
    ratios: ["16:9"]
    needs_input: false
    seed: true
    max_seed: 99
    max_n: 2
    audio_field: sound
    audio_values: ["off", "on"]
    camera: {field: camera, moves: {zoom_in: {type: simple, zoom: 5}, static: fixed}}
    names: {n: count}
    by_mode:
      reference_to_video:
        path: /references
        inputs:
          subject: {field: media, most: 2, item: url, also: {type: reference_image}}
          motion: {field: media, most: 1, item: url, also: {type: reference_video}}
      first_last_frame:
        inputs: {first_frame: a, keyframe: {field: frames, most: 4, item: image.url, at: time}}
        sizes: {field: size, between: "*", values: [1280x720, 960x960]}
      video_extend:
        inputs: {source_video: video}
        length: {seconds: [7], default: 7, unit: s}
        audio_field: ""
        tiers: [{value: sd, name: 480p, short_side: 480}]
"""


@pytest.fixture
def many(tmp_path: Path) -> HostedModel:
    path = tmp_path / "models.yaml"
    path.write_text(MODELS, "utf-8")
    return Models(path, provider="many").by_id["many-1"]


def fields_of(model: HostedModel, *roles: InputRole, **fields: Any) -> dict[str, Any]:
    from media_agent_hosted.models.describe import describe
    from media_agent_schemas.capabilities import Capabilities

    facts = {"backend": "many", "model": model.id, **describe(model, model.id, 5.0)}
    at = {InputRole.KEYFRAME: 1.5}
    inputs = tuple(
        MediaInput(role=role, url="https://a.example/1", at=at.get(role)) for role in roles
    )
    request = VideoRequest.model_validate({"prompt": "a fox", "inputs": inputs, **fields})
    planned = negotiate(request, Capabilities.model_validate(facts), draw_seed=lambda: 250).request
    of_mode = model.for_mode(planned.infer_mode())
    return build_fields(planned, of_mode, tuple(f"u{number}" for number in range(len(inputs))))


def test_inputs_of_several_roles_share_a_list(many: HostedModel) -> None:
    roles = (InputRole.SUBJECT, InputRole.MOTION, InputRole.SUBJECT)
    fields = fields_of(many, *roles)

    kinds = ("reference_image", "reference_video", "reference_image")
    listed = [{"url": f"u{n}", "type": kind} for n, kind in enumerate(kinds)]
    assert fields["media"] == listed
    assert many.for_mode(VideoMode.REFERENCE_TO_VIDEO).path == "/references"


def test_a_mode_has_its_own_length_and_size(many: HostedModel) -> None:
    continued = fields_of(many, InputRole.SOURCE_VIDEO)
    between = fields_of(many, InputRole.FIRST_FRAME, InputRole.KEYFRAME, aspect_ratio="1:1")

    assert (continued["duration"], continued["resolution"]) == ("7s", "sd")
    assert many.audio_field is not None
    assert many.for_mode(VideoMode.VIDEO_EXTEND).audio_field is None
    assert between["size"] == "960*960"
    assert between["frames"] == [{"image": {"url": "u1"}, "time": 1.5}]
    assert "resolution" not in between


def test_seed_audio_number_and_camera_are_said_as_it_wants(many: HostedModel) -> None:
    fields = fields_of(many, audio=True, n=2, camera="zoom_in")
    other = fields_of(many, audio=False, camera="orbit_left", seed=3)

    assert (fields["seed"], fields["sound"], fields["count"]) == (50, "on", 2)
    assert fields["camera"] == {"type": "simple", "zoom": 5}
    assert (other["seed"], other["sound"]) == (3, "off")
    assert "camera" not in other  # a movement that it does not know is left out, as the plan says


@pytest.mark.parametrize("roles", [[InputRole.MASK], [InputRole.SUBJECT] * 3])
def test_what_is_too_much_or_unknown_is_refused(many: HostedModel, roles: list[InputRole]) -> None:
    with pytest.raises(RequestError):
        fields_of(many, *roles)


@pytest.mark.parametrize(
    ("limits", "kind", "fits"),
    [
        (Limits(types=("image/jpeg",)), "image/jpeg", (400, 300)),
        (Limits(types=("image/png",)), "image/png", (400, 300)),
        (Limits(most_side=200), "image/png", (200, 150)),
        (Limits(most_bytes=700), "image/png", None),
    ],
)
def test_an_image_is_made_to_fit(limits: Limits, kind: str, fits: tuple[int, int] | None) -> None:
    import io

    from PIL import Image

    medium = MediaInput(role=InputRole.FIRST_FRAME, data=make_png(400, 300, "WEBP"))

    file = read_file(medium, limits)

    if fits is not None:
        assert (file.mime_type, Image.open(io.BytesIO(file.content)).size) == (kind, fits)
        assert file.done is not None
    assert len(file.content) <= (limits.most_bytes or 10**6)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(least_side=301), "400x300; the shorter side must have at least 301 pixels"),
        (Limits(flattest=1.2), "cut to 360x300 it would fit"),
        (Limits(tallest=2.0), "cut to 400x200 it would fit"),
        (Limits(most_bytes=30), "at most 30 bytes"),
    ],
)
def test_an_image_that_cannot_fit_is_refused_with_what_would(limits: Limits, said: str) -> None:
    medium = MediaInput(role=InputRole.FIRST_FRAME, data=make_png(400, 300))

    with pytest.raises(InvalidRequestError, match=said):
        read_file(medium, limits)


async def test_a_token_is_renewed_before_it_ends_and_by_the_clock_of_the_server() -> None:
    now, made, refused, asked = [1000.0], list[float](), set[str](), list[str]()

    def fetch(time: float) -> Token:
        made.append(time)
        return Token(f"t{len(made)}", time + 100)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["authorization"].removeprefix("Bearer "))
        if asked[-1] in refused:
            date = "Thu, 01 Jan 1970 01:00:00 GMT"  # 3600 s, where it is 1050 here
            return httpx.Response(401, json={}, headers={"date": date})
        return httpx.Response(200, json={})

    api = HttpApi(
        "https://api.example/v1",
        auth=RenewedToken(fetch, clock=lambda: now[0]),
        transport=httpx.MockTransport(answer),
        sleep=no_sleep,
    )
    await api.send("POST", "/work", json={}, paid=True)
    await api.send("GET", "/work")
    now[0] += 50  # less than a minute is left
    await api.send("GET", "/work")
    refused.add("t2")
    await api.send("POST", "/work", json={}, paid=True)

    assert asked == ["t1", "t1", "t2", "t2", "t3"]
    assert made == [1000.0, 1050.0, 3600.0]


async def test_a_token_that_is_refused_again_is_not_asked_for_without_end() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["authorization"])
        return httpx.Response(401, json={})

    api = HttpApi(
        "https://api.example/v1",
        auth=RenewedToken(lambda now: Token("t")),
        transport=httpx.MockTransport(answer),
        sleep=no_sleep,
    )
    with pytest.raises(BackendAuthenticationError):
        await api.send("POST", "/work", json={}, paid=True)

    assert len(asked) == 2
