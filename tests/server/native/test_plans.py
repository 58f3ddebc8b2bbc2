"""Plans over HTTP: who could make a video, in the words of the server."""

import io
from typing import Any

import httpx
import pytest
from PIL import Image

pytestmark = pytest.mark.anyio

SMALL = {"prompt": "a fox", "duration": 1, "size": {"width": 64, "height": 64}}

TINY = {"model": "magi/tiny", "prompt": "a red circle moving right", "num_frames": 24, "seed": 1}


def find(report: httpx.Response, name: str) -> dict[str, Any]:
    candidates = report.json()["candidates"]
    return next(each for each in candidates if f"{each['backend']}/{each['model']}" == name)


def refusal_of(report: httpx.Response, name: str) -> Any:
    return find(report, name)["refusals"][0]


async def send_image(http: httpx.AsyncClient) -> str:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "PNG")
    sent = await http.post(
        "/v1/files", data={"purpose": "vision"}, files={"file": ("a.png", file.getvalue())}
    )
    return str(sent.json()["id"])


async def test_the_default_model_needs_no_name_and_others_are_named_in_fields(
    http: httpx.AsyncClient,
) -> None:
    report = await http.post("/v1/plan", json={"request": SMALL})
    preferring = await http.post(
        "/v1/plan", json={"request": {**SMALL, "routing": {"prefer": "cheapest"}}}
    )

    assert find(report, "sandbox/slate")["rank"] is not None
    assert find(preferring, "sandbox/slate")["rank"] is None
    assert refusal_of(preferring, "sandbox/slate")["hint"] == 'model="sandbox/slate"'
    assert "--" not in "".join(
        f"{refusal['message']} {refusal['hint']}"
        for each in preferring.json()["candidates"]
        for refusal in each["refusals"]
    )


async def test_a_file_that_was_sent_before_is_planned_with_and_made_with(
    http: httpx.AsyncClient,
) -> None:
    image = {"role": "first_frame", "file_id": await send_image(http)}
    request = {**TINY, "inputs": [image]}

    planned = await http.post("/v1/plan", json={"request": request})
    made = await http.post("/v1/jobs", json={"request": request})

    assert find(planned, "magi/tiny")["rank"] == 1, planned.text
    assert planned.json()["request"]["inputs"][0]["file_id"] == image["file_id"]
    assert made.status_code == 201, made.text
    await http.delete(f"/v1/files/{image['file_id']}")
    await http.get(f"/v1/jobs/{made.json()['id']}/events")
    job = (await http.get(f"/v1/jobs/{made.json()['id']}")).json()
    assert job["status"] == "completed"
    assert job["plan"]["request"]["mode"] == "image_to_video"


@pytest.mark.parametrize(
    ("medium", "status"),
    [
        ({"file_id": "file-" + "0" * 32}, 404),
        ({"file_id": "../../etc/passwd"}, 404),
        ({"file_id": "file-1", "url": "https://example.org/a.png"}, 400),
        ({}, 400),
    ],
)
async def test_a_file_that_is_not_there_is_refused(
    http: httpx.AsyncClient, medium: dict[str, str], status: int
) -> None:
    request = {**SMALL, "inputs": [{"role": "first_frame", **medium}]}

    for route in ("/v1/plan", "/v1/jobs"):
        assert (await http.post(route, json={"request": request})).status_code == status
