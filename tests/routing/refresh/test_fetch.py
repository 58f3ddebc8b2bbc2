"""An update is fetched by https alone, whole, and of a bounded size."""

import asyncio

import httpx
import pytest

from media_agent.errors import (
    BackendResponseError,
    BackendUnavailableError,
    InvalidRequestError,
    MediaAgentError,
)
from media_agent.routing.refresh import fetch
from media_agent.routing.refresh.fetch import LARGEST_FILE, fetch_update

pytestmark = pytest.mark.anyio

URL = "https://example.com/prices.json?year=2026"


def serving(**answers: httpx.Response) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        kind = "signature" if request.url.path.endswith(".sig") else "file"
        return answers.get(kind, httpx.Response(404))

    return httpx.MockTransport(answer)


async def test_the_signature_lies_beside_the_file() -> None:
    both = serving(file=httpx.Response(200, content=b"{}"), signature=httpx.Response(200, text="s"))

    assert await fetch_update(URL, both) == (b"{}", b"s")


@pytest.mark.parametrize(
    "url",
    ["http://example.com/a.json", "file:///etc/passwd", "a.json", "https://u:p@example.com/a"],
)
async def test_no_other_address_is_asked(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="from an https address only"):
        await fetch_update(url, serving())


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (httpx.Response(404), BackendResponseError, "status 404 for /prices.json"),
        (
            httpx.Response(302, headers={"location": "https://other"}),
            BackendResponseError,
            "redirects",
        ),
        (httpx.Response(200, content=b"x" * (LARGEST_FILE + 1)), BackendResponseError, "more than"),
    ],
)
async def test_anything_but_the_file_is_refused(
    answer: httpx.Response, kind: type[MediaAgentError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        await fetch_update(URL, serving(file=answer))


async def test_a_missing_signature_is_named() -> None:
    with pytest.raises(BackendResponseError, match=r"prices.json.sig \(the signature\)"):
        await fetch_update(URL, serving(file=httpx.Response(200, content=b"{}")))


async def test_a_server_that_never_ends_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(fetch, "_SECONDS", 0.005)
    with pytest.raises(BackendUnavailableError, match=r"example\.com takes longer"):
        await fetch_update(URL, httpx.MockTransport(hang))


async def test_a_broken_connection_can_be_tried_again() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("reset")

    with pytest.raises(BackendUnavailableError):
        await fetch_update(URL, httpx.MockTransport(broken))
