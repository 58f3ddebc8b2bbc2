"""Inputs that callers name by addresses: public ones only, bounded, and images or videos only."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from media_agent.errors import InvalidRequestError, MediaAgentError, TooLargeError, TooSlowError
from media_agent.server.access import public_network
from media_agent.server.access.inputs import fetch_input
from media_agent.server.access.public_network import is_public, open_public_client
from media_agent.video.images import as_png

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.215.14"
Resolve = Callable[[str], Sequence[str]]


@pytest.fixture(scope="module")
def png() -> bytes:
    from av.video.frame import VideoFrame

    frame = VideoFrame(64, 64, "rgb24")
    return as_png(frame)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """Return what names mean, answer after answer; the last one stays."""
    known: dict[str, list[list[str]]] = {}
    real = socket.getaddrinfo

    def look_up(
        host: str | bytes, port: int, family: int = 0, kind: int = 0, proto: int = 0, flags: int = 0
    ) -> list[object]:
        name = host.decode() if isinstance(host, bytes) else host
        answers = known.get(name)
        if answers is None:
            numbers = socket.AI_NUMERICHOST  # nothing real is looked up
            return list(real(host, port, family, kind, proto, numbers))
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (
                socket.AF_INET6 if ":" in each else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (each, port),
            )
            for each in answer
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    known["cdn.example"] = [[PUBLIC]]
    return known


def names_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> Callable[[], httpx.AsyncClient]:
    return lambda: httpx.AsyncClient(transport=httpx.MockTransport(answer))


def always(response: Callable[[], httpx.Response]) -> Callable[[], httpx.AsyncClient]:
    return answering(lambda request: response())


@pytest.fixture
def knocks() -> Iterator[list[int]]:
    """Let a server listen on this machine, and return who called: nobody should."""
    calls: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        calls.append(listening.getsockname()[1])
        yield calls
        with pytest.raises(BlockingIOError):
            listening.accept()


PRIVATE = [
    "http://127.0.0.1:{port}/a.png",
    "http://localhost:{port}/a.png",
    "http://LOCALHOST.:{port}/a.png",
    "http://a.localhost:{port}/a.png",
    "http://127.1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://017700000001:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[64:ff9b:1::7f00:1]:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://[fe80::1]:{port}/",
    "http://[fc00::1]:{port}/",
    "http://[fec0::1]:{port}/",
    "http://[ff02::1]:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://127。0。0。1:{port}/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://metadata.google.internal/",
    "http://router/",
    "http://printer.local/",
    "http://user@cdn.example/",
    "http://user:pass@cdn.example/",
    "http://cdn.example@127.0.0.1:{port}/",
    "http://cdn.example#@127.0.0.1:{port}/",
    "http://cdn.example:22/",
    "http://cdn.example:25/",
    "https://127-0-0-1.nip.example:{port}/",
    "https://mixed.example:{port}/",
    "https://mapped.example:{port}/",
    "https://nobody.example/",
]


@pytest.mark.parametrize("url", PRIVATE)
async def test_no_address_of_an_inner_network_is_fetched_in_any_spelling(
    url: str, tmp_path: Path, names: dict[str, list[list[str]]], knocks: list[int]
) -> None:
    names["127-0-0-1.nip.example"] = [["127.0.0.1"]]
    names["mixed.example"] = [[PUBLIC, "127.0.0.1"]]
    names["mapped.example"] = [["::ffff:127.0.0.1"]]
    if "#" in url:
        names["cdn.example"] = [["10.0.0.1"]]  # what stands behind the sign is no part of the host

    with pytest.raises(InvalidRequestError) as error:
        await fetch_input(url.format(port=knocks[0]), tmp_path)

    assert "pass" not in str(error.value)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://cdn.example/a.png",
        "gopher://127.0.0.1:25/_",
        "data:image/png;base64,AAAA",
        "//cdn.example/a.png",
        "cdn.example/a.png",
        "http:///a.png",
        "http://",
        "https://cdn.example/" + "a" * 3000,
        "http://cdn.example:99999/",
        "",
    ],
)
async def test_what_is_no_http_address_is_refused(
    url: str, tmp_path: Path, names: dict[str, list[list[str]]]
) -> None:
    with pytest.raises(InvalidRequestError):
        await fetch_input(url, tmp_path)


async def test_a_name_that_means_another_address_a_moment_later_is_judged_when_connected(
    tmp_path: Path, names: dict[str, list[list[str]]]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        names["rebound.example"] = [[PUBLIC], ["127.0.0.1"]]

        with pytest.raises(InvalidRequestError, match="cannot be reached at a public address"):
            await fetch_input(f"http://rebound.example:{port}/a.png", tmp_path)

        probe, _ = listening.accept()
        with probe:
            assert probe.recv(1) == b"", "nothing was asked"


async def test_what_is_forbidden_and_what_is_not_there_sound_the_same(
    tmp_path: Path, names: dict[str, list[list[str]]]
) -> None:
    names["inner.example"] = [["10.0.0.1"]]
    said = []
    for name in ("inner.example", "absent.example"):
        with pytest.raises(InvalidRequestError) as error:
            await fetch_input(f"https://{name}/", tmp_path)
        said.append(str(error.value).replace(name, "NAME"))

    assert said[0] == said[1]


async def test_an_image_is_brought_under_the_name_of_its_digest(
    png: bytes, tmp_path: Path, names: dict[str, list[list[str]]]
) -> None:
    folder = tmp_path / "new"
    opened = always(lambda: httpx.Response(200, content=png))

    path = await fetch_input("https://cdn.example/../../etc/x.exe", folder, open_client=opened)

    assert path == folder / f"{hashlib.sha256(png).hexdigest()}.png"
    assert path.read_bytes() == png
    assert names_in(folder) == [path.name]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "neither"),
        (b"<html>not found</html>", "neither"),
        (b"#EXTM3U\nfile:///etc/passwd", "neither"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "cannot be used"),
        (b"\0\0\0\x18ftypmp42" + b"\0" * 100, "cannot be used"),
    ],
)
async def test_what_is_no_image_and_no_video_is_refused_whatever_it_is_called(
    content: bytes, said: str, tmp_path: Path, names: dict[str, list[list[str]]]
) -> None:
    headers = {"content-type": "image/png"}
    opened = always(lambda: httpx.Response(200, content=content, headers=headers))

    with pytest.raises(InvalidRequestError, match=said):
        await fetch_input("https://cdn.example/a.png", tmp_path, open_client=opened)

    assert names_in(tmp_path) == []


async def endless(first: bytes, counted: list[int]) -> AsyncIterator[bytes]:
    yield first
    while True:
        counted.append(1)
        yield b"\0" * 1000


@pytest.mark.parametrize("said", [None, "10", "99999"])
async def test_what_has_no_end_is_cut_off_whatever_length_it_says(
    said: str | None, png: bytes, tmp_path: Path, names: dict[str, list[list[str]]]
) -> None:
    pieces: list[int] = []
    headers = {} if said is None else {"content-length": said}
    opened = always(lambda: httpx.Response(200, content=endless(png, pieces), headers=headers))

    with pytest.raises(TooLargeError):
        await fetch_input("https://cdn.example/", tmp_path, max_bytes=5000, open_client=opened)

    assert len(pieces) <= 6
    assert names_in(tmp_path) == []


async def test_a_body_that_unpacks_to_more_is_cut_off(
    png: bytes, tmp_path: Path, names: dict[str, list[list[str]]]
) -> None:
    import gzip

    packed = gzip.compress(png + b"\0" * 1_000_000)
    headers = {"content-encoding": "gzip"}
    opened = always(lambda: httpx.Response(200, content=endless_once(packed), headers=headers))

    with pytest.raises(TooLargeError):
        await fetch_input("https://cdn.example/", tmp_path, max_bytes=50_000, open_client=opened)


async def endless_once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_what_takes_too_long_in_all_is_given_up(
    png: bytes, tmp_path: Path, names: dict[str, list[list[str]]]
) -> None:
    async def stall() -> AsyncIterator[bytes]:
        yield png
        await asyncio.Event().wait()

    opened = always(lambda: httpx.Response(200, content=stall()))

    with pytest.raises(TooSlowError):
        await fetch_input("https://cdn.example/", tmp_path, total_seconds=0.05, open_client=opened)

    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("location", "is_followed"),
    [
        ("/b.png", True),
        ("https://cdn.example/b.png", True),
        ("//cdn.example/b.png", True),
        ("http://cdn.example/b.png", False),
        ("https://127.0.0.1/b.png", False),
        ("https://inner.example/b.png", False),
        ("https://[::ffff:10.0.0.1]/b.png", False),
        ("file:///etc/passwd", False),
        ("https://u:p@cdn.example/b.png", False),
        ("https://cdn.example:22/b.png", False),
    ],
)
async def test_each_redirect_is_judged_like_the_first_address(
    location: str,
    is_followed: bool,
    png: bytes,
    tmp_path: Path,
    names: dict[str, list[list[str]]],
) -> None:
    names["inner.example"] = [["10.0.0.1"]]
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        if request.url.path == "/b.png":
            return httpx.Response(200, content=png)
        return httpx.Response(302, headers={"Location": location})

    try:
        await fetch_input("https://cdn.example/a", tmp_path, open_client=answering(answer))
        came = True
    except MediaAgentError:
        came = False

    assert came is is_followed
    assert len(asked) == (2 if is_followed else 1)


async def test_redirects_without_end_are_given_up(
    tmp_path: Path, names: dict[str, list[list[str]]]
) -> None:
    opened = always(lambda: httpx.Response(302, headers={"Location": "/again"}))

    with pytest.raises(InvalidRequestError, match="without end"):
        await fetch_input("https://cdn.example/", tmp_path, open_client=opened)


@pytest.mark.parametrize("status", [204, 401, 404, 500])
async def test_an_answer_without_the_file_is_told_by_its_status_only(
    status: int, tmp_path: Path, names: dict[str, list[list[str]]]
) -> None:
    opened = always(lambda: httpx.Response(status, content=b"" if status == 204 else b"inner"))

    with pytest.raises(InvalidRequestError) as error:
        await fetch_input("https://cdn.example/", tmp_path, open_client=opened)

    assert "inner" not in str(error.value)


async def test_the_client_sends_nothing_that_this_machine_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")

    async with open_public_client(timeout=httpx.Timeout(1.0)) as client:
        assert client.trust_env is False
        assert not client.cookies
        assert set(client.headers) == {"accept", "accept-encoding", "connection", "user-agent"}


@pytest.mark.parametrize(
    ("address", "public"), [(PUBLIC, True), ("2606:4700::1", True), ("168.63.129.16", False)]
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(public_network.ipaddress.ip_address(address)) is public
