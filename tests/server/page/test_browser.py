"""Somebody at the page: creates a video, watches it, steers it, stops it, comes back to it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from media_agent.config.settings import load_settings
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.serving.api_keys import SCOPES, KeyTerms
from media_agent.video.images import as_png, frame_of
from tests.server.page.conftest import wait_until
from tests.server.serving import serving

pytestmark = pytest.mark.chromium

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


def create(page: Page, address: str, prompt: str, **more: Any) -> str:
    """Have a job made over the API, and return its id."""
    request = {"prompt": prompt, "size": {"width": 64, "height": 64}, **more}
    reply = page.request.post(
        f"{address}v1/jobs", data={"request": request}, headers={"Origin": address.rstrip("/")}
    )
    assert reply.status == 201, reply.text()
    return str(reply.json()["id"])


def job_of(page: Page, address: str) -> dict[str, Any]:
    job_id = page.url.rpartition("/")[2]
    return dict(page.request.get(f"{address}v1/jobs/{job_id}").json())


def slow(seconds: float) -> dict[str, Any]:
    return {"options": {"sandbox": {"latency_seconds": seconds}}}


def time_of(video: Locator) -> float:
    return float(video.evaluate("(video) => video.currentTime"))


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_a_video_is_planned_started_once_watched_while_it_is_made_and_found_again(
    page: Page, address: str
) -> None:
    page.goto(f"{address}#/new")
    page.get_by_label("What it shows").fill("a red kite over the sea")
    page.get_by_label("Seconds").fill("12")
    page.get_by_label("Model", exact=True).fill("sandbox/slate")
    page.get_by_text("More options").click()
    page.get_by_label("Exact size in pixels").fill("160x90")
    page.get_by_label("latency seconds").fill("6")

    page.get_by_role("button", name="Start · free").dblclick()

    expect(page.get_by_role("heading", name="a red kite over the sea")).to_be_visible()
    video = page.locator("video")
    wait_until(lambda: time_of(video) > 0.3)
    assert job_of(page, address)["status"] == "in_progress"
    page.reload()
    wait_until(lambda: time_of(video) > 0.3)
    expect(page.locator(".badge.completed")).to_be_visible()
    wait_until(lambda: video.evaluate("(video) => video.duration") == 12)
    expect(page.get_by_role("heading", name="Record")).to_be_visible()
    jobs = page.request.get(f"{address}v1/jobs").json()["data"]
    assert [each["title"] for each in jobs].count("a red kite over the sea") == 1


def test_an_endless_video_is_seen_over_hls_steered_and_finished(page: Page, address: str) -> None:
    job_id = create(page, address, "a calm lake", endless=True, **slow(0.5))
    page.goto(address)
    page.get_by_role("link", name="a calm lake").click()
    video = page.locator("video")
    expect(page.get_by_text("you can seek in what is there")).to_be_visible()  # it is small
    wait_until(lambda: time_of(video) > 0.3)
    assert str(video.evaluate("(video) => video.src")).startswith("blob:")
    assert video.evaluate("(video) => video.seekable.end(0)") >= 1
    page.get_by_label("From now on it shows").fill("a storm")
    page.get_by_role("button", name="Change the prompt").click()

    expect(page.locator(".log")).to_contain_text("a storm")

    page.get_by_role("button", name="Finish the video").click()
    expect(page.locator(".badge.completed")).to_be_visible()
    expect(page.get_by_label("From now on it shows")).to_be_hidden()
    record = page.request.get(f"{address}v1/jobs/{job_id}/record").json()
    assert [each["prompt_sent"] for each in record["shots"]] == ["a calm lake", "a storm"]


def test_a_video_is_continued_for_the_price_that_was_shown(page: Page, address: str) -> None:
    job_id = create(page, address, "a green hill", duration=1)
    page.goto(f"{address}#/jobs/{job_id}")
    page.get_by_role("button", name="Continue…").click()
    start = page.get_by_role("dialog").get_by_role("button", name="Start")
    expect(start).to_be_disabled()
    page.get_by_label("What comes then").fill("a red barn on the hill")
    page.get_by_label("For how many seconds").fill("1")

    page.get_by_role("button", name="Start · free").click()

    expect(page.get_by_text("a red barn on the hill")).to_be_visible()
    assert job_of(page, address)["id"] != job_id


def test_the_first_image_is_sent_once_for_plan_and_video(page: Page, address: str) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url.removeprefix(address)))
    page.goto(f"{address}#/new")
    image = as_png(frame_of(bytes([200, 10, 10]) * 64 * 64, 64, 64))
    page.get_by_label("First image").set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": image}
    )
    page.get_by_label("What it shows").fill("a red circle moving right")
    page.get_by_label("Seconds").fill("1")
    page.get_by_label("Model", exact=True).fill("magi/tiny")

    page.get_by_role("button", name="Start · free").click()

    expect(page.get_by_role("heading", name="a red circle moving right")).to_be_visible()
    assert job_of(page, address)["plan"]["request"]["mode"] == "image_to_video"
    assert sent.count("v1/files") == 1


def test_a_job_is_stopped_by_keyboard_alone(page: Page, address: str) -> None:
    create(page, address, "a slow snail", **slow(60))
    page.goto(address)
    expect(page.get_by_role("link", name="a slow snail")).to_be_visible()
    _tab_to(page, "a slow snail")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    _tab_to(page, "Stop")

    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    _tab_to(page, "Stop it")
    page.keyboard.press("Enter")

    expect(page.locator(".badge.cancelled")).to_be_visible()
    assert job_of(page, address)["status"] == "cancelled"


def test_what_a_prompt_or_a_server_says_is_text_and_fits_on_a_phone(
    page: Page, address: str
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    wide = HOSTILE + "W" * 300
    create(page, address, wide, negative_prompt=wide)
    create(page, address, wide, options={"sandbox": {"fail_at": "chunk:0"}})
    page.goto(address)

    titles = page.locator(".jobs .title", has_text=HOSTILE)
    expect(titles).to_have_count(2)
    assert fits(page)
    for state in ("completed", "failed"):
        page.goto(f"{address}#/?status={state}")
        titles.first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)
        expect(page.locator(f".badge.{state}")).to_be_visible()
        assert fits(page)
    expect(page.get_by_role("alert")).to_contain_text("It failed")
    page.goto(f"{address}#/new")
    page.get_by_label("What it shows").fill(HOSTILE)
    page.get_by_label("Model", exact=True).fill(HOSTILE)
    expect(page.locator(".plan .problem")).to_contain_text("<img src=x onerror=alert(1)>")
    assert fits(page)
    assert page.locator("img[src=x]").count() == 0


_FREE_TEXT = {
    "backend", "field", "hint", "label", "message", "model", "phase", "prompt", "prompts_sent",
    "provider_code", "provider_id", "reason", "said", "title", "value", "warnings",
}  # fmt: skip


def _make_hostile(value: Any, name: str = "") -> Any:
    """Return what a server answers with markup in every text that a provider can say."""
    if isinstance(value, dict):
        return {key: _make_hostile(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_make_hostile(each, name) for each in value] or (
            [HOSTILE] if name == "warnings" else []
        )
    return HOSTILE if name in _FREE_TEXT else value


def test_what_a_provider_says_is_text_and_its_addresses_are_not_followed(
    page: Page, address: str
) -> None:
    job_id = create(page, address, "told", options={"sandbox": {"fail_at": "chunk:0"}})
    page.goto(f"{address}#/jobs/{job_id}")
    expect(page.locator(".badge.failed")).to_be_visible()

    def answer(route: Route) -> None:
        told = _make_hostile(route.fetch().json())
        told["links"] |= {"content": "javascript:alert(3)", "record": "javascript:alert(4)"}
        told["artifacts"] = [{"kind": "video", "uri": "javascript:alert(5)", "mime_type": HOSTILE}]
        route.fulfill(json=told)

    def tell(route: Route) -> None:
        event = {"type": "job.progressed", "phase": HOSTILE, "fraction": 0.5, "message": HOSTILE}
        data = json.dumps({"job_id": job_id, "sequence": 0, "time": None, "event": event})
        route.fulfill(
            content_type="text/event-stream", body=f"id: 0\nevent: job.progressed\ndata: {data}\n\n"
        )

    page.route(f"**/v1/jobs/{job_id}", answer)
    page.route(f"**/v1/jobs/{job_id}/events", tell)
    page.reload()

    expect(page.get_by_role("alert").first).to_contain_text("<script>alert(2)</script>")
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("[href^=javascript], [src^=javascript]").count() == 0


def test_an_empty_list_teaches_and_a_lost_server_is_told_and_come_back_to(
    page: Page, address: str
) -> None:
    nothing = {"object": "list", "data": [], "has_more": False}
    page.clock.install()
    page.route("**/v1/jobs?*", lambda route: route.fulfill(json=nothing))
    page.goto(address)
    expect(page.get_by_role("link", name="Make the first video")).to_be_visible()

    page.unroute("**/v1/jobs?*")
    page.route("**/v1/jobs?*", lambda route: route.abort())
    page.clock.fast_forward(5000)
    expect(page.get_by_text("The server cannot be reached")).to_be_visible()

    page.unroute("**/v1/jobs?*")
    page.clock.fast_forward(5000)
    expect(page.get_by_text("The server cannot be reached")).to_be_hidden()


def test_a_server_with_keys_asks_for_one_and_keeps_it_from_scripts(page: Page) -> None:
    settings = load_settings(default_backend="sandbox")
    ledger = Ledger(settings.ledger_path)
    key = ledger.api_keys.add(KeyTerms("ann", SCOPES), datetime.now(UTC))[1]
    ledger.close()
    with serving(settings) as address:
        page.goto(address)
        page.get_by_label("API key").fill("sk-ma-wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_visible()

        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="No videos yet")).to_be_visible()
        assert page.evaluate("document.cookie + JSON.stringify({...localStorage})") == "{}"
        create(page, address, "a cat of ann")
        page.reload()
        expect(page.get_by_role("link", name="a cat of ann")).to_be_visible()

        page.set_viewport_size({"width": 360, "height": 740})
        assert fits(page)
        assert _height_of(page.get_by_role("button", name="Sign out")) < 50  # one line
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("API key")).to_be_visible()
        page.reload()
        expect(page.get_by_label("API key")).to_be_visible()


def _height_of(element: Locator) -> float:
    box = element.bounding_box()
    assert box is not None
    return box["height"]


def _tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on what has this name."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == name:
            return
    raise AssertionError(f"Tab never comes to {name!r}")
