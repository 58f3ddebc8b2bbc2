"""Videos that lie elsewhere: fetched whole or not at all, within bounds, from proper places."""

import asyncio
import base64
import gzip
import hashlib
import ssl
import struct
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from media_agent.errors import ConfigurationError, StorageError, VideoNotFetchedError
from media_agent.ingest.download import fetch
from media_agent.ingest.inline import is_inline
from media_agent.testing.simulator.videos import Video, make_video

VIDEO = make_video(Video(frames=8))
URI = "https://cdn.example/video.mp4?signature=secret"
Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "work" / "video.mp4"


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
    assert (result.sha256, result.size_bytes) == (hashlib.sha256(VIDEO).hexdigest(), len(VIDEO))
    return result.path


def nothing_is_left(place: Path) -> bool:
    return not place.parent.exists() or list(place.parent.iterdir()) == []


@pytest.mark.anyio
async def test_a_video_is_fetched_hashed_and_nothing_else_stays(place: Path) -> None:
    path = await fetched(answers(httpx.Response(200, content=VIDEO)), place)

    assert path.read_bytes() == VIDEO
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.anyio
async def test_no_credential_goes_along(place: Path) -> None:
    seen: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(200, content=VIDEO)

    await fetched(answer, place)

    assert {"authorization", "cookie"} & set(seen[0]) == set()


@pytest.mark.anyio
async def test_trouble_on_the_way_is_tried_again(place: Path) -> None:
    replies = httpx.ConnectError("no route"), httpx.Response(503), httpx.ReadTimeout("slow")

    path = await fetched(answers(*replies, httpx.Response(200, content=VIDEO)), place)

    assert path.read_bytes() == VIDEO


@pytest.mark.anyio
async def test_a_video_that_breaks_off_is_not_taken_for_whole(place: Path) -> None:
    torn = httpx.Response(200, headers={"content-length": "99999"}, content=VIDEO)

    with pytest.raises(VideoNotFetchedError, match=f"{len(VIDEO)} of 99999 bytes") as caught:
        await fetched(lambda request: torn, place)

    assert "secret" not in str(caught.value)
    assert [path.name for path in place.parent.iterdir()] == ["video.cut.mp4"]
    assert "video.cut.mp4" in (caught.value.hint or "")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>Welcome</html>", "other data .*Content-Type: text/html"),
        (b'{"error": "not ready"}', "other data .*Content-Type: video/mp4"),
        (b"\x89PNG\r\n\x1a\n", "other data"),
        (b"", "nothing"),
    ],
)
async def test_what_is_no_video_is_refused_whatever_it_is_called(
    place: Path, content: bytes, said: str
) -> None:
    kind = "text/html" if b"html" in content else "video/mp4"
    reply = httpx.Response(200, content=content, headers={"content-type": kind})

    with pytest.raises(VideoNotFetchedError, match=said):
        await fetched(lambda request: reply, place)

    assert nothing_is_left(place)


@pytest.mark.anyio
async def test_a_video_above_the_bound_is_cut_off(place: Path) -> None:
    transport = httpx.MockTransport(answers(httpx.Response(200, content=VIDEO)))

    with pytest.raises(VideoNotFetchedError, match="larger than the 100 bytes"):
        await fetch(URI, place, max_bytes=100, transport=transport)

    assert nothing_is_left(place)


@pytest.mark.anyio
@pytest.mark.parametrize("status", [401, 402, 410, 451])
async def test_an_address_that_has_expired_is_said_at_once(place: Path, status: int) -> None:
    with pytest.raises(VideoNotFetchedError, match=f"answered {status}") as caught:
        await fetched(answers(httpx.Response(status)), place)

    assert "expired" in (caught.value.hint or "")
    assert "secret" not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("head", "is_taken"),
    [
        (b"\x89PNG\r\n\x1a\n", True),
        (b"\xff\xd8\xff\xe0", True),
        (b"GIF89a", True),
        (b"RIFF\0\0\0\0WEBP", True),
        (b"RIFF\0\0\0\0AVI ", False),
        (b"<!doctype html>", False),
    ],
)
async def test_images_are_known_by_how_they_begin(place: Path, head: bytes, is_taken: bool) -> None:
    answer = httpx.Response(200, content=head.ljust(64, b"\0"))
    transport = httpx.MockTransport(lambda request: answer)
    fetching = fetch(URI, place, images=True, transport=transport, sleep=Waits())
    if is_taken:
        assert (await fetching).path.read_bytes() == answer.content
        return
    with pytest.raises(VideoNotFetchedError, match="other data instead of an image"):
        await fetching


@pytest.mark.anyio
@pytest.mark.parametrize("uri", ["file:///etc/passwd", "ftp://a/b", "javascript:x", "http://"])
async def test_only_addresses_of_the_web_are_fetched(place: Path, uri: str) -> None:
    with pytest.raises(VideoNotFetchedError):
        await fetched(answers(httpx.Response(200, content=VIDEO)), place, uri)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (f"http://127.0.0.1/view?filename={'a' * 100_000}", "of 100031 characters"),
        (f"/view?filename={'a' * 100_000}", "of 100015 characters"),
        ("http://[::1", "is malformed"),
        ("/view?filename=a:b", "is malformed"),
        ("ftp://a/b", "a ftp address, which is not fetched"),
    ],
)
async def test_an_address_that_is_none_is_described(place: Path, uri: str, said: str) -> None:
    with pytest.raises(VideoNotFetchedError, match=said):
        await fetched(answers(httpx.Response(200, content=VIDEO)), place, uri)


@pytest.mark.anyio
async def test_redirects_are_followed_to_the_outside_only(place: Path) -> None:
    def to(address: str) -> httpx.Response:
        return httpx.Response(302, headers={"location": address})

    away = to("https://elsewhere.example/video.mp4")
    path = await fetched(answers(away, httpx.Response(200, content=VIDEO)), place)
    assert path.read_bytes() == VIDEO

    with pytest.raises(VideoNotFetchedError, match=r"the video is at http://169.254.169.254"):
        await fetched(answers(to("http://169.254.169.254/latest")), place)
    with pytest.raises(VideoNotFetchedError, match="without end"):
        await fetched(lambda request: to(URI), place)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "uri",
    [
        "http://169.254.169.254/latest",
        "http://cdn.example/video.mp4",
        "https://user:password@cdn.example/video.mp4",
        "https://127.1/video.mp4",
    ],
)
async def test_what_a_public_service_may_not_name_is_not_asked(place: Path, uri: str) -> None:
    asked: list[httpx.Request] = []

    for named_by in (None, "https://api.example/v1"):
        with pytest.raises(VideoNotFetchedError, match="not fetched") as caught:
            await fetched(
                lambda request: asked.append(request) or httpx.Response(200, content=VIDEO),
                place,
                uri,
                named_by=named_by,
            )
        assert "password" not in str(caught.value)

    assert asked == []


@pytest.mark.anyio
async def test_a_service_of_an_inner_network_keeps_its_videos_there(place: Path) -> None:
    video = answers(httpx.Response(200, content=VIDEO))

    path = await fetched(video, place, "http://10.0.0.9:9000/f", named_by="http://10.0.0.5:8000")

    assert path.read_bytes() == VIDEO


@pytest.mark.anyio
async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "work").write_bytes(b"")

    with pytest.raises(StorageError, match="cannot be written"):
        await fetched(answers(httpx.Response(200, content=VIDEO)), tmp_path / "work" / "video.mp4")


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 429, 500, 503])
async def test_what_was_just_promised_is_asked_for_again_for_a_while(
    place: Path, status: int
) -> None:
    waits = Waits()
    transport = httpx.MockTransport(lambda request: httpx.Response(status))

    with pytest.raises(VideoNotFetchedError, match=f"answered {status}"):
        await fetch(URI, place, transport=transport, sleep=waits)

    assert sum(waits.seconds) >= 40


@pytest.mark.anyio
@pytest.mark.parametrize(
    "first",
    [
        httpx.Response(404),
        httpx.Response(403, text="<Error><Code>AccessDenied</Code></Error>"),
        httpx.Response(200),
        httpx.Response(202),
        httpx.Response(204),
        httpx.Response(200, html="<html>one moment</html>"),
        httpx.Response(
            200, content=b"not ready", headers={"content-type": "application/octet-stream"}
        ),
        httpx.Response(200, content=VIDEO[:-90]),
        httpx.Response(200, content=VIDEO[: len(VIDEO) // 2]),
        httpx.Response(
            200,
            content=gzip.compress(gzip.compress(VIDEO)),
            headers={"content-encoding": "gzip, gzip"},
        ),
    ],
    ids=str,
)
async def test_a_video_that_comes_at_the_second_try_is_taken(
    place: Path, first: httpx.Response
) -> None:
    path = await fetched(answers(first, httpx.Response(200, content=VIDEO)), place)

    assert path.read_bytes() == VIDEO
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.anyio
@pytest.mark.parametrize("label", ["text/html", "application/json", "application/xml", "", "a b"])
async def test_a_video_under_a_wrong_label_is_taken(place: Path, label: str) -> None:
    reply = httpx.Response(200, content=VIDEO, headers={"content-type": label})

    assert (await fetched(answers(reply), place)).read_bytes() == VIDEO


@pytest.mark.anyio
async def test_less_than_was_announced_is_no_whole_video(place: Path) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=VIDEO))

    with pytest.raises(VideoNotFetchedError, match=f"{len(VIDEO)} of {len(VIDEO) + 1} bytes"):
        await fetch(URI, place, size_bytes=len(VIDEO) + 1, transport=transport, sleep=Waits())

    assert {each.name for each in place.parent.iterdir()} == {"video.cut.mp4"}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "spelled",
    [
        "data:video/mp4;base64," + base64.b64encode(VIDEO).decode(),
        "data:video/mp4 ; BASE64 ; a=b," + base64.b64encode(VIDEO).decode(),
        "data:;base64," + base64.urlsafe_b64encode(VIDEO).decode().rstrip("="),
        "data:video/mp4," + urllib.parse.quote(VIDEO),
        base64.b64encode(VIDEO).decode(),
        base64.encodebytes(VIDEO).decode(),
    ],
    ids=["data", "more parameters", "urlsafe", "percent", "bare", "lines"],
)
async def test_a_video_in_the_answer_itself_is_decoded(place: Path, spelled: str) -> None:
    assert is_inline(spelled)
    assert (await fetched(answers(), place, spelled)).read_bytes() == VIDEO


@pytest.mark.anyio
async def test_a_video_in_the_answer_is_bounded_and_refused_in_words(place: Path) -> None:
    coded = "data:video/mp4;base64," + base64.b64encode(VIDEO).decode()

    with pytest.raises(VideoNotFetchedError, match="larger than the 100 bytes"):
        await fetch(coded, place, max_bytes=100)
    with pytest.raises(VideoNotFetchedError, match="cannot be read as base64"):
        await fetch("data:video/mp4;base64,!!!", place)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("content", "said", "left"),
    [
        (b"hello, I am no video", "other data", set()),
        (b"", "nothing", set()),
        (VIDEO[:-90], "cut off", {"video.cut.mp4"}),
    ],
)
async def test_what_is_no_whole_video_in_the_answer_itself_is_said_in_words(
    place: Path, content: bytes, said: str, left: set[str]
) -> None:
    coded = "data:video/mp4;base64," + base64.b64encode(content).decode()

    with pytest.raises(VideoNotFetchedError, match=said) as caught:
        await fetch(coded, place)

    assert {path.name for path in place.parent.iterdir()} == left
    assert all(name in (caught.value.hint or "") for name in left)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        ("/video.mp4", "https://api.example/video.mp4"),
        ("video.mp4", "https://api.example/v1/jobs/video.mp4"),
        ("../video.mp4", "https://api.example/v1/video.mp4"),
        ("//cdn.example/video.mp4", "https://cdn.example/video.mp4"),
        ("/get?src=https://x.example/a", "https://api.example/get?src=https://x.example/a"),
        ("?id=7", "https://api.example/v1/jobs/7?id=7"),
    ],
)
async def test_an_address_is_relative_to_the_one_that_was_asked(
    place: Path, uri: str, asked: str
) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, content=VIDEO)

    await fetched(answer, place, uri, named_by="https://api.example/v1/jobs/7")

    assert seen == [asked]


@pytest.mark.anyio
@pytest.mark.parametrize("first", [b"<html>one moment", bytes(64), b"{", b"\x89PNG\r\n\x1a\n"])
async def test_a_body_without_end_that_is_no_video_is_left_at_once(
    place: Path, first: bytes
) -> None:
    came = [0]

    async def endless() -> AsyncIterator[bytes]:
        while True:
            came[0] += 1
            assert came[0] < 999
            yield first

    def answer(request: httpx.Request) -> httpx.Response:
        came[0] = 0
        return httpx.Response(200, content=endless())

    with pytest.raises(VideoNotFetchedError, match="other data"):
        await fetch(URI, place, transport=httpx.MockTransport(answer), sleep=Waits())

    assert nothing_is_left(place)


@pytest.mark.anyio
async def test_a_video_that_comes_letter_by_letter_is_known_for_one(place: Path) -> None:
    async def letters() -> AsyncIterator[bytes]:
        for letter in VIDEO:
            yield bytes([letter])

    assert await fetched(answers(httpx.Response(200, content=letters())), place) == place


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("requested", "least", "most"),
    [
        ("0", 1, 1),
        ("-5", 1, 1),
        ("Thu, 01 Jan 2015 00:00:00 GMT", 1, 1),
        ("soon", 1, 1),
        ("7", 7, 7),
        ("7.5", 7.5, 7.5),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 120, 120),
        ("3600", 120, 120),
        ("999999999", 120, 120),
    ],
)
async def test_a_request_to_wait_is_kept_within_bounds(
    place: Path, requested: str, least: float, most: float
) -> None:
    waits, busy = Waits(), httpx.Response(503, headers={"retry-after": requested})
    transport = httpx.MockTransport(answers(busy, httpx.Response(200, content=VIDEO)))

    await fetch(URI, place, transport=transport, sleep=waits)

    assert least <= sum(waits.seconds) <= most


@pytest.mark.anyio
async def test_a_video_that_trickles_is_given_up(place: Path) -> None:
    now = [0.0]

    async def trickle() -> AsyncIterator[bytes]:
        for letter in VIDEO:
            now[0] += 0.2
            yield bytes([letter])

    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=trickle()))

    with pytest.raises(VideoNotFetchedError, match="arrives at only 5 bytes per second"):
        await fetch(URI, place, transport=transport, sleep=Waits(), clock=lambda: now[0])


@pytest.mark.anyio
async def test_a_fetch_that_is_cancelled_ends_at_once_and_leaves_nothing(place: Path) -> None:
    begun = asyncio.Event()

    async def hang() -> AsyncIterator[bytes]:
        yield VIDEO[:100]
        begun.set()
        await asyncio.Event().wait()

    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=hang()))
    task = asyncio.create_task(fetch(URI, place, transport=transport))
    await begun.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert nothing_is_left(place)


@pytest.mark.anyio
async def test_a_certificate_that_is_not_known_is_said_at_once(place: Path) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        unknown = ssl.SSLCertVerificationError("no")
        unknown.verify_message = "self-signed certificate"
        raise httpx.ConnectError("no") from unknown

    with pytest.raises(ConfigurationError, match=r"certificate of cdn\.example is not trusted"):
        await fetched(answer, place)

    assert len(asked) == 1


@pytest.mark.anyio
async def test_a_video_that_comes_slowly_is_waited_for_to_its_end(place: Path) -> None:
    loop, now = asyncio.get_running_loop(), [0.0]
    real = loop.time()
    loop.time = lambda: real + now[0]  # type: ignore[method-assign]  # hours in no time
    video = VIDEO + struct.pack(">I4s", 8 + 2**23, b"free") + bytes(2**23)

    async def slow() -> AsyncIterator[bytes]:
        for start in range(0, len(video), 2**16):
            now[0] += 30.0
            await asyncio.sleep(0)
            yield video[start : start + 2**16]

    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=slow()))
    result = await fetch(URI, place, transport=transport, sleep=Waits(), clock=lambda: now[0])

    assert now[0] > 3600
    assert result.size_bytes == len(video)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "trouble", [ssl.SSLError("bad mac"), TimeoutError(), OSError(104, "reset")]
)
async def test_trouble_of_the_network_is_none_of_the_disk_and_tried_again(
    place: Path, trouble: OSError
) -> None:
    async def torn() -> AsyncIterator[bytes]:
        yield VIDEO[:200]
        raise trouble

    replies = httpx.Response(200, content=torn()), httpx.Response(200, content=VIDEO)

    assert (await fetched(answers(*replies), place)).read_bytes() == VIDEO


@pytest.mark.anyio
async def test_the_most_that_came_of_a_video_is_kept(place: Path) -> None:
    now = [0.0]

    async def part(size: int, seconds: float) -> AsyncIterator[bytes]:
        yield VIDEO[:size]
        now[0] += seconds
        yield VIDEO[size : size + 1]

    bodies = [part(900, 1000.0), *(part(60, 0.0) for _ in range(9))]
    replies = (
        httpx.Response(200, content=body, headers={"content-length": "5000"}) for body in bodies
    )
    transport = httpx.MockTransport(lambda request: next(replies))

    with pytest.raises(VideoNotFetchedError, match="61 of 5000") as caught:
        await fetch(URI, place, transport=transport, sleep=Waits(), clock=lambda: now[0])

    assert place.with_name("video.cut.mp4").read_bytes() == VIDEO[:901]
    assert "video.cut.mp4" in (caught.value.hint or "")
