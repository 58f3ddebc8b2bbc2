"""fal's list: where it is asked, and which request in it is ours."""

import gc
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendAuthenticationError,
    BackendResponseError,
    BackendUnavailableError,
    ConfigurationError,
    SubmitUncertainError,
)
from media_agent.testing import Fault, events_of
from media_agent_hosted.http.body import LARGEST_REPLY
from media_agent_hosted.http.client import HttpApi
from media_agent_hosted.providers.fal import SPEC
from media_agent_hosted.providers.fal.backend import FalBackend
from media_agent_hosted.providers.fal.lookup import find_request, repeats
from media_agent_hosted.providers.fal.simulator import FalSimulator
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.request import VideoRequest
from tests.hosted.provider_kit import Provider, no_sleep

pytestmark = pytest.mark.anyio

FAL = Provider(SPEC, __file__)
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
WAN = "fal-ai/wan/v2.7/text-to-video"
KLING = "fal-ai/kling-video/v3/pro/text-to-video"  # takes no seed
ANIMATED = "fal-ai/wan/v2.2-a14b/image-to-video"
SENT = {"prompt": "a fox runs", "duration": 5, "seed": 7}


def open_simulator(*faults: Fault, **more: Any) -> FalSimulator:
    return FalSimulator(faults, **{"lists_unended": True, **more})


async def lose(simulator: FalSimulator, tmp_path: Path, model: str | None = None) -> VideoRequest:
    """Submit a request whose reply is lost, and return it."""
    simulator.inject(Fault("submit", "close_after_accept"))
    with pytest.raises(SubmitUncertainError):
        await FAL.make(tmp_path, simulator.url).submit(FAL.plan(model), key="job-1")
    return FAL.plan(model)


async def find(simulator: FalSimulator, tmp_path: Path, asked: VideoRequest) -> OperationRef | None:
    """Ask as another process does."""
    since = datetime.now(UTC) - timedelta(seconds=1)
    return await FAL.make(tmp_path, simulator.url).find(asked, key="job-1", since=since)


async def test_a_lost_reply_is_found_in_the_list_by_another_process(tmp_path: Path) -> None:
    with open_simulator() as simulator:
        asked = await lose(simulator, tmp_path)
        ref = await find(simulator, tmp_path, asked)
        assert ref is not None
        end = (await events_of(FAL.make(tmp_path, simulator.url), ref))[-1]

    assert ref.operation_id in simulator.jobs
    assert ref.model == WAN
    assert end.type == "job.completed"
    assert simulator.accepted == 1


async def test_work_that_is_listed_once_it_has_ended_is_found_then(tmp_path: Path) -> None:
    """Nobody polls it: it goes on while its list is read."""
    with open_simulator(lists_unended=False) as simulator:
        asked = await lose(simulator, tmp_path)
        looks = [await find(simulator, tmp_path, asked) for _ in range(4)]

    assert [ref is not None for ref in looks] == [False, False, False, True]


async def test_only_the_request_that_repeats_everything_is_ours_and_found_pages_down(
    tmp_path: Path,
) -> None:
    with open_simulator() as simulator:
        asked = await lose(simulator, tmp_path)
        (ours,) = simulator.jobs.values()
        for number in range(230):
            other = {"seed": number + 100} if number % 2 else {"prompt": "a hare runs"}
            simulator.accept(WAN, {**ours.input, **other})
        simulator.accept(ANIMATED, dict(ours.input))
        ref = await find(simulator, tmp_path, asked)

    assert ref is not None
    assert ref.operation_id == ours.id
    assert len(simulator.calls("list")) == 3


async def test_two_requests_that_fit_are_named_and_none_is_taken(tmp_path: Path) -> None:
    with open_simulator() as simulator:
        asked = await lose(simulator, tmp_path)
        (ours,) = simulator.jobs.values()
        twin = simulator.accept(WAN, dict(ours.input))
        with pytest.raises(BackendResponseError, match="has several of them") as caught:
            await find(simulator, tmp_path, asked)

    assert ours.id in caught.value.message
    assert twin.id in caught.value.message


async def test_work_of_another_job_of_this_process_does_not_count(tmp_path: Path) -> None:
    with open_simulator() as simulator:
        backend = FAL.make(tmp_path, simulator.url)
        await backend.submit(FAL.plan(), key="job-0")
        found = await backend.find(FAL.plan(), key="job-1", since=datetime.now(UTC))

    assert found is None


async def test_without_a_seed_nothing_is_proved(tmp_path: Path) -> None:
    with open_simulator() as simulator:
        asked = await lose(simulator, tmp_path, KLING)
        with pytest.raises(BackendResponseError, match="proves nothing") as caught:
            await find(simulator, tmp_path, asked)

    assert all(name in caught.value.message for name in simulator.jobs)


async def test_an_account_that_keeps_no_payloads_has_candidates_only(tmp_path: Path) -> None:
    with open_simulator(stores_payloads=False) as simulator:
        asked = await lose(simulator, tmp_path)
        with pytest.raises(BackendResponseError, match="does not repeat the whole input") as caught:
            await find(simulator, tmp_path, asked)

    assert all(name in caught.value.message for name in simulator.jobs)


def test_a_model_says_how_its_work_is_found() -> None:
    backend = FAL.make(Path())
    known, unmapped, without = (
        backend.capabilities(each) for each in (WAN, "acme/new-model", KLING)
    )

    assert (known.lookup, known.lookup_seconds) == ("list", 900)
    assert unmapped.lookup == "list"
    assert (without.lookup, without.lookup_seconds) == ("candidates", 30)


def item(name: str = "ours", seconds: float = 1, **changes: Any) -> dict[str, Any]:
    """Return a listed request, sent so many seconds after noon."""
    said = {"request_id": name, "endpoint_id": WAN, "sent_at": text_of(seconds)}
    return {**said, "json_input": "sent", **changes}


def text_of(seconds: float) -> str:
    return (NOON + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


class Listing:
    """A list of documented answers; "sent" stands for the input that was sent."""

    def __init__(self, *pages: Any, model: str = WAN, ahead: float = 0, **fields: Any) -> None:
        self.pages, self.model, self.fields = pages, model, fields
        self.asked: list[httpx.Request] = []
        self.date = format_datetime(NOON + timedelta(seconds=60 + ahead), usegmt=True)
        self.sent: Any = None

    async def find(self, folder: Path, **options: Any) -> OperationRef | None:
        """Let another process look a minute after noon."""
        asked = FAL.plan(self.model, **self.fields)
        transport = httpx.MockTransport(self._answer)
        lost = FAL.make(folder, transport=httpx.MockTransport(self._lose))
        with pytest.raises(SubmitUncertainError):
            await lost.submit(asked, key="job-1")
        settings = BackendSettings(folder, key=lost.settings.key, options=options)
        now = (NOON + timedelta(seconds=60)).timestamp()
        backend = FalBackend(settings, transport=transport, clock=lambda: now, sleep=no_sleep)
        return await backend.find(asked, key="job-1", since=NOON)

    def _lose(self, request: httpx.Request) -> httpx.Response:
        self.sent = json.loads(request.content)
        return httpx.Response(502)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        number = len(self.asked)
        self.asked.append(request)
        page = self.pages[min(number, len(self.pages) - 1)]
        if not isinstance(page, list):
            return httpx.Response(page["status"], json=page.get("body", {}))
        items = [
            {**each, "json_input": self.sent} if each.get("json_input") == "sent" else each
            for each in page
        ]
        has_more = number + 1 < len(self.pages)
        cursor = f"c{number + 2}" if has_more else None
        body = {"items": items, "next_cursor": cursor, "has_more": has_more}
        return httpx.Response(200, json=body, headers={"Date": self.date})


async def test_the_list_is_asked_as_documented_with_the_key_at_fals_own_host(
    tmp_path: Path,
) -> None:
    listing = Listing([item("other", json_input={"prompt": "a hare"})], [item()])

    ref = await listing.find(tmp_path)

    assert ref is not None
    assert ref.operation_id == "ours"
    first, second = listing.asked
    assert f"{first.url.scheme}://{first.url.host}{first.url.path}" == (
        "https://api.fal.ai/v1/models/requests/by-endpoint"
    )
    assert first.headers["authorization"] == f"Key {FAL.key}"
    assert dict(first.url.params) == {
        "endpoint_id": WAN,
        "start": "2026-11-30T11:00:00Z",
        "limit": "100",
        "expand": "payloads",
    }
    assert second.url.params["cursor"] == "c2"


@pytest.mark.parametrize(
    "listed",
    [
        item(seconds=-30),  # a moment before, perhaps of another program
        item(sent_at=None),
        item(json_input=None),
        item(json_input={"prompt": "a  fox runs", "seed": 7}),  # repeats a part
    ],
    ids=["earlier", "undated", "no_payload", "a_part"],
)
async def test_what_may_be_ours_and_is_not_proved_is_named(
    listed: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(BackendResponseError, match="it may be ours: look"):
        await Listing([listed]).find(tmp_path)


@pytest.mark.parametrize(
    "listed",
    [
        item(seconds=-900),
        item(endpoint_id="fal-ai/wan/v2.7/image-to-video"),
        item(json_input={**SENT, "seed": 8}),
        item(json_input={**SENT, "prompt": "a hare runs"}),
        item(json_input={**SENT, "duration": 6}),
    ],
    ids=["old", "another_endpoint", "another_seed", "another_prompt", "another_length"],
)
async def test_what_cannot_be_ours_is_not_named(listed: dict[str, Any], tmp_path: Path) -> None:
    assert await Listing([listed]).find(tmp_path) is None


async def test_work_without_a_payload_beside_ours_keeps_ours_from_nobody(tmp_path: Path) -> None:
    ref = await Listing([item("unsaid", json_input=None), item()]).find(tmp_path)

    assert ref is not None
    assert ref.operation_id == "ours"


async def test_a_request_that_comes_twice_while_pages_move_is_one(tmp_path: Path) -> None:
    ref = await Listing([item()], [item()]).find(tmp_path)

    assert ref is not None


@pytest.mark.parametrize("ahead", [-3600, 0, 3600])
async def test_only_fals_own_clock_counts(ahead: float, tmp_path: Path) -> None:
    ref = await Listing([item(seconds=1 + ahead)], ahead=ahead).find(tmp_path)

    assert ref is not None


async def test_a_list_without_end_proves_nothing(tmp_path: Path) -> None:
    pages = [[item(f"r{number}", json_input={"prompt": "a hare"})] for number in range(60)]

    with pytest.raises(BackendResponseError, match="longer than the 50 requests"):
        await Listing(*pages).find(tmp_path / "none")
    with pytest.raises(BackendResponseError, match="it may be ours"):
        await Listing([item()], *pages).find(tmp_path / "one")


@pytest.mark.parametrize("has_more", [True, None])
async def test_an_empty_page_is_no_end_while_more_is_said_to_come(has_more: bool | None) -> None:
    ends = {"has_more": False, "next_cursor": None}
    pages = [[item()], [], [item("twin")]]

    def answer(request: httpx.Request) -> httpx.Response:
        number = len(asked)
        asked.append(request)
        more = ends if number == 2 else {"has_more": has_more, "next_cursor": f"c{number}"}
        items = [{**each, "json_input": SENT} for each in pages[number]]
        return httpx.Response(
            200, json={"items": items, **more}, headers={"Date": format_datetime(NOON)}
        )

    asked = list[httpx.Request]()
    api = HttpApi("https://api.fal.ai/v1", transport=httpx.MockTransport(answer))
    with pytest.raises(BackendResponseError, match="has several of them; it may be ours, twin"):
        await find_request(api, SENT, WAN, since=NOON, ago=lambda: 0.0, taken=())

    assert len(asked) == 3


async def test_inputs_of_megabytes_are_not_kept_while_the_list_is_read() -> None:
    image = "data:image/png;base64," + "A" * 2**19
    sent = {**SENT, "image_url": image}
    asked, live = 0, list[int]()

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        gc.collect()
        live.append(tracemalloc.get_traced_memory()[0])
        items = [item(f"r{asked}", json_input={**sent, "seed": asked + 100})]
        body = {"items": items, "has_more": asked < 10, "next_cursor": f"c{asked}"}
        return httpx.Response(200, json=body, headers={"Date": format_datetime(NOON)})

    api = HttpApi("https://api.fal.ai/v1", transport=httpx.MockTransport(answer))
    tracemalloc.start()
    try:
        found = await find_request(api, sent, WAN, since=NOON, ago=lambda: 0.0, taken=())
    finally:
        tracemalloc.stop()

    assert (found, asked) == (None, 10)
    assert live[-1] - live[2] < 2**20


async def test_a_request_that_cannot_be_read_may_be_it(tmp_path: Path) -> None:
    with pytest.raises(BackendResponseError, match="1 requests in the list"):
        await Listing([item(request_id=None)]).find(tmp_path)


@pytest.mark.parametrize(
    ("image", "is_ours", "is_candidate"),
    [
        ("sent", True, True),
        ("https://v3.fal.media/files/b/fox.png", False, True),  # it was stored, and may be ours
        ("data:image/png;base64,AAAA", False, False),
    ],
)
async def test_an_image_proves_a_request_only_as_it_was_sent(
    image: str, is_ours: bool, is_candidate: bool, tmp_path: Path
) -> None:
    import numpy as np
    from PIL import Image

    path = tmp_path / "fox.png"
    Image.fromarray(np.zeros((400, 400, 3), np.uint8)).save(path)
    picture = MediaInput(role=InputRole.FIRST_FRAME, path=str(path))
    listing = Listing([], model=ANIMATED, inputs=(picture,))
    assert await listing.find(tmp_path) is None
    said = listing.sent if image == "sent" else {**listing.sent, "image_url": image}
    listing.pages = ([item(endpoint_id=ANIMATED, json_input=said)],)

    if is_ours or not is_candidate:
        assert (await listing.find(tmp_path) is not None) is is_ours
        return
    with pytest.raises(BackendResponseError, match="it may be ours"):
        await listing.find(tmp_path)


async def test_requests_with_large_images_are_listed_a_few_at_a_time(tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    path = tmp_path / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
    Image.fromarray(noise).save(path)
    picture = MediaInput(role=InputRole.FIRST_FRAME, path=str(path))
    listing = Listing([], model=ANIMATED, inputs=(picture,))
    await listing.find(tmp_path)

    limit = int(listing.asked[0].url.params["limit"])

    assert 1 < limit < 100
    assert limit * len(json.dumps(listing.sent)) < LARGEST_REPLY


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (401, BackendAuthenticationError, "lists no requests for this key"),
        (403, BackendAuthenticationError, "lists no requests for this key"),
        (404, ConfigurationError, "has no list of requests"),
        (500, BackendUnavailableError, "api.fal.ai"),
    ],
)
async def test_a_list_that_is_refused_says_what_to_do(
    status: int, error: type[Exception], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said) as caught:
        await Listing({"status": status}).find(tmp_path)

    assert FAL.key not in f"{caught.value} {getattr(caught.value, 'hint', '')}"


async def test_an_answer_without_a_list_is_no_word_about_the_work(tmp_path: Path) -> None:
    with pytest.raises(BackendResponseError, match="no list of requests"):
        await Listing({"status": 200, "body": {"requests": []}}).find(tmp_path)


@pytest.mark.parametrize(
    ("base_url", "options", "asked"),
    [
        (None, {}, "https://api.fal.ai/v1/"),
        ("https://queue.fal.run", {}, "https://api.fal.ai/v1/"),
        ("https://proxy.example/fal", {}, "https://proxy.example/fal/v1/"),
        (
            "https://proxy.example/fal",
            {"platform_url": "https://proxy.example/fal-platform"},
            "https://proxy.example/fal-platform/",
        ),
        (
            "https://proxy.example/fal",
            {"platform_url": "https://api.fal.ai/v1"},
            "https://api.fal.ai/v1/",
        ),
    ],
)
async def test_the_list_is_asked_where_the_user_lets_the_key_go(
    base_url: str | None, options: dict[str, Any], asked: str, tmp_path: Path
) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json={"items": [], "next_cursor": None, "has_more": False})

    settings = BackendSettings(tmp_path, base_url=base_url, options=options)
    backend = FalBackend(settings, transport=httpx.MockTransport(answer), sleep=no_sleep)
    await backend.find(FAL.plan(), key="job-1", since=NOON)

    assert [url.partition("models/")[0] for url in seen] == [asked]


@pytest.mark.parametrize("base_url", [None, "https://proxy.example/fal"])
@pytest.mark.parametrize(
    "url", ["https://elsewhere.example/v1", "http://api.fal.ai/v1", "no address", ""]
)
def test_the_key_goes_to_no_other_host(base_url: str | None, url: str, tmp_path: Path) -> None:
    options = {"platform_url": url}
    with pytest.raises(ConfigurationError, match="platform_url"):
        FalBackend(BackendSettings(tmp_path, base_url=base_url, options=options))


@pytest.mark.parametrize(
    "url",
    [
        "https://me:a-secret@elsewhere.example/v1",
        "https://me:a-secret?@elsewhere.example/v1",
        "https://me:a-se#cret@elsewhere.example/v1",
        "https://elsewhere.example/v1?key=a-secret",
        "https://elsewhere.example/v1?key=b@a-secret",
        "https://elsewhere.example/v1#a-secret",
    ],
)
def test_a_refused_address_is_named_without_secrets(url: str, tmp_path: Path) -> None:
    for settings in (
        BackendSettings(tmp_path, options={"platform_url": url}),
        BackendSettings(tmp_path, base_url=url),
    ):
        with pytest.raises(ConfigurationError) as caught:
            FalBackend(settings)
        assert "a-se" not in str(caught.value)


def test_every_field_that_was_sent_must_be_repeated() -> None:
    assert repeats({"json_input": {**SENT, "prompt": "a  fox runs\n", "more": 1}}, SENT)
    assert not repeats({"json_input": {**SENT, "duration": "5"}}, SENT)
    assert not repeats({"json_input": {"prompt": "a fox runs", "seed": 7}}, SENT)
    assert not repeats({"json_input": {"prompt": "a fox"}}, {"prompt": "a fox"})
    assert not repeats({}, SENT)
