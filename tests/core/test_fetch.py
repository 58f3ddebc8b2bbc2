"""Films that lie elsewhere: fetched whole or not at all, within bounds, from proper places only."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from media_agent.errors import BackendResponseError, BackendUnavailableError, StorageError
from media_agent.fetch import fetch

FILM = b"\x00\x00\x00\x18ftypisom" + b"film" * 1000
URI = "https://cdn.example/film.mp4?signature=secret"
Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "work" / "film.mp4"


class Waits:
    """A sleep that takes no time and remembers how long it would have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def answers(*replies: httpx.Response | Exception) -> Handler:
    left: Iterator[httpx.Response | Exception] = iter(replies)

    def answer(request: httpx.Request) -> httpx.Response:
        reply = next(left)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return answer


async def fetched(
    handler: Handler, place: Path, uri: str = URI, *, named_by: str | None = None
) -> Path:
    transport = httpx.MockTransport(handler)
    result = await fetch(uri, place, named_by=named_by, transport=transport, sleep=Waits())
    assert (result.sha256, result.size_bytes) == (hashlib.sha256(FILM).hexdigest(), len(FILM))
    return result.path


def nothing_is_left(place: Path) -> bool:
    return not place.parent.exists() or list(place.parent.iterdir()) == []


@pytest.mark.anyio
async def test_a_film_is_fetched_hashed_and_nothing_else_stays(place: Path) -> None:
    path = await fetched(answers(httpx.Response(200, content=FILM)), place)

    assert path.read_bytes() == FILM
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.anyio
async def test_no_credential_goes_along(place: Path) -> None:
    seen: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(200, content=FILM)

    await fetched(answer, place)

    assert {"authorization", "cookie"} & set(seen[0]) == set()


@pytest.mark.anyio
async def test_trouble_on_the_way_is_tried_again(place: Path) -> None:
    replies = httpx.ConnectError("no route"), httpx.Response(503), httpx.ReadTimeout("slow")

    path = await fetched(answers(*replies, httpx.Response(200, content=FILM)), place)

    assert path.read_bytes() == FILM


@pytest.mark.anyio
async def test_a_film_that_breaks_off_is_not_taken_for_whole(place: Path) -> None:
    torn = httpx.Response(200, headers={"content-length": "99999"}, content=FILM)

    with pytest.raises(BackendUnavailableError, match=f"{len(FILM)} of 99999 bytes") as caught:
        await fetched(lambda request: torn, place)

    assert "secret" not in str(caught.value)
    assert nothing_is_left(place)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>Welcome</html>", "no video, not MP4 .it says text/html"),
        (b"\x1aE\xdf\xa3" + b"x" * 50, "WebM, not MP4"),
        (b"", "no video"),
    ],
)
async def test_what_is_no_mp4_is_refused_whatever_it_is_called(
    place: Path, content: bytes, said: str
) -> None:
    kind = "text/html" if b"html" in content else "video/mp4"
    reply = httpx.Response(200, content=content, headers={"content-type": kind})

    with pytest.raises(BackendResponseError, match=said):
        await fetched(answers(reply), place)

    assert nothing_is_left(place)


@pytest.mark.anyio
async def test_a_film_above_the_bound_is_cut_off(place: Path) -> None:
    transport = httpx.MockTransport(answers(httpx.Response(200, content=FILM)))

    with pytest.raises(BackendResponseError, match="larger than 100 bytes"):
        await fetch(URI, place, max_bytes=100, transport=transport)

    assert nothing_is_left(place)


@pytest.mark.anyio
@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_an_address_that_has_expired_is_said_at_once(place: Path, status: int) -> None:
    with pytest.raises(BackendResponseError, match=f"answered {status}") as caught:
        await fetched(answers(httpx.Response(status)), place)

    assert "expired" in (caught.value.hint or "")
    assert "secret" not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("uri", ["file:///etc/passwd", "ftp://a/b", "data:video/mp4,", "http://"])
async def test_only_addresses_of_the_web_are_fetched(place: Path, uri: str) -> None:
    with pytest.raises(BackendResponseError):
        await fetched(answers(httpx.Response(200, content=FILM)), place, uri)


@pytest.mark.anyio
async def test_redirects_are_followed_to_the_outside_only(place: Path) -> None:
    def to(address: str) -> httpx.Response:
        return httpx.Response(302, headers={"location": address})

    away = to("https://elsewhere.example/film.mp4")
    path = await fetched(answers(away, httpx.Response(200, content=FILM)), place)
    assert path.read_bytes() == FILM

    with pytest.raises(BackendResponseError, match=r"the film is at http://169.254.169.254"):
        await fetched(answers(to("http://169.254.169.254/latest")), place)
    with pytest.raises(BackendResponseError, match="without end"):
        await fetched(lambda request: to(URI), place)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "uri",
    [
        "http://169.254.169.254/latest",
        "http://cdn.example/film.mp4",
        "https://user:password@cdn.example/film.mp4",
        "https://127.1/film.mp4",
    ],
)
async def test_what_a_public_service_may_not_name_is_not_asked(place: Path, uri: str) -> None:
    asked: list[httpx.Request] = []

    for named_by in (None, "https://api.example/v1"):
        with pytest.raises(BackendResponseError, match="not fetched") as caught:
            await fetched(
                lambda request: asked.append(request) or httpx.Response(200, content=FILM),
                place,
                uri,
                named_by=named_by,
            )
        assert "password" not in str(caught.value)

    assert asked == []


@pytest.mark.anyio
async def test_a_service_of_an_inner_network_keeps_its_films_there(place: Path) -> None:
    film = answers(httpx.Response(200, content=FILM))

    path = await fetched(film, place, "http://10.0.0.9:9000/f", named_by="http://10.0.0.5:8000")

    assert path.read_bytes() == FILM


@pytest.mark.anyio
async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "work").write_bytes(b"")

    with pytest.raises(StorageError, match="cannot be written"):
        await fetched(answers(httpx.Response(200, content=FILM)), tmp_path / "work" / "film.mp4")
