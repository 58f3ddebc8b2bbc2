"""Proxies, certificates and codings: what is wrong with them is named, and nothing is unbounded."""

import gzip
import ssl
import subprocess
import sys
import zlib
from pathlib import Path

import httpx
import pytest

from media_agent.errors import ConfigurationError
from media_agent.storage.network import (
    PIECE,
    BrokenOffError,
    Way,
    before_sending,
    decode,
    open_client,
)

FAR = httpx.URL("https://api.example.com/v1")
TIMEOUT = httpx.Timeout(1.0)
pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:9"),
        ("HTTPS_PROXY", "ftp://127.0.0.1:9"),
        ("HTTPS_PROXY", "http://user:secret@127.0.0.1:port"),
        ("https_proxy", "http://127.0.0.1:port"),
        ("NO_PROXY", "localhost,fe80::/10"),
    ],
)
async def test_a_variable_about_proxies_that_cannot_be_used_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=f"variable {name.upper()} ") as caught:
        open_client(FAR, timeout=TIMEOUT)

    assert "secret" not in f"{caught.value} {caught.value.hint}"


async def test_this_machine_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:9")

    for here in ("http://localhost:1", "https://127.0.0.1:1", "http://[::1]:1"):
        await open_client(httpx.URL(here), timeout=TIMEOUT).aclose()


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "https://inner/v1", str(FAR)])
async def test_certificates_that_are_not_there_are_named_whatever_the_host(
    name: str, there: bool, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "certificates"
    if there and name.endswith("DIR"):
        place.mkdir()
    elif there:
        place.write_bytes(b"")
    monkeypatch.setenv(name, str(place))

    with pytest.raises(ConfigurationError, match=f"variable {name} names {place}"):
        open_client(httpx.URL(url), timeout=TIMEOUT)
    await open_client(httpx.URL("http://127.0.0.1:1"), timeout=TIMEOUT).aclose()


async def bytes_of(content: bytes, coding: str | None, **more: str) -> list[bytes]:
    headers = more if coding is None else {"content-encoding": coding, **more}

    class Body(httpx.AsyncByteStream):
        async def __aiter__(self):  # type: ignore[no-untyped-def]  # an iterator of the base
            yield content

    return [piece async for piece in decode(httpx.Response(200, headers=headers, stream=Body()))]


def bare(content: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(content) + deflate.flush()


@pytest.mark.parametrize(
    ("content", "coding"),
    [
        (b"video" * 99, None),
        (b"video" * 99, "identity"),
        (gzip.compress(b"video" * 99), "gzip"),
        (gzip.compress(b"video" * 9) + gzip.compress(b"video" * 90), "GZIP"),
        (zlib.compress(b"video" * 99), "deflate"),
        (bare(b"video" * 99), "deflate"),
    ],
    ids=["plain", "identity", "gzip", "two gzips in a row", "zlib", "bare deflate"],
)
async def test_none_or_one_coding_is_undone(content: bytes, coding: str | None) -> None:
    assert b"".join(await bytes_of(content, coding)) == b"video" * 99


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "gzip, deflate", "zstd"])
async def test_several_codings_and_unknown_ones_are_refused(coding: str) -> None:
    with pytest.raises(httpx.DecodingError, match="not asked for"):
        await bytes_of(gzip.compress(gzip.compress(b"video")), coding)


async def test_what_a_coding_makes_comes_in_pieces_of_bounded_size() -> None:
    pieces = await bytes_of(gzip.compress(bytes(20 * PIECE)), "gzip")

    assert max(map(len, pieces)) == PIECE
    assert sum(map(len, pieces)) == 20 * PIECE


async def test_less_than_was_promised_is_no_whole_body() -> None:
    with pytest.raises(BrokenOffError, match="5 of 6 bytes"):
        await bytes_of(b"video", None, **{"content-length": "6"})
    with pytest.raises(BrokenOffError, match="compressed"):
        await bytes_of(gzip.compress(b"video")[:-3], "gzip")
    with pytest.raises(httpx.DecodingError, match="not in the coding"):
        await bytes_of(b"video", "gzip")


@pytest.mark.parametrize(
    "trouble", [ssl.SSLError("bad mac"), TimeoutError(), OSError(104, "reset")]
)
async def test_trouble_of_the_network_below_the_transport_is_none_of_a_disk(
    trouble: OSError,
) -> None:
    class Body(httpx.AsyncByteStream):
        async def __aiter__(self):  # type: ignore[no-untyped-def]  # an iterator of the base
            yield b"video"
            raise trouble

    with pytest.raises(BrokenOffError, match=type(trouble).__name__):
        [piece async for piece in decode(httpx.Response(200, stream=Body()))]


@pytest.mark.parametrize(
    ("error", "heard", "is_before"),
    [
        (httpx.LocalProtocolError("header"), [], True),
        (httpx.LocalProtocolError("header"), ["headers.started", "headers.failed"], True),
        (httpx.LocalProtocolError("body"), ["headers.started", "body.started"], False),
        (httpx.ConnectError("late"), ["headers.started"], False),
        (httpx.ReadError("lost"), ["headers.started"], False),
        (httpx.ReadError("of the proxy"), ["nothing"], True),
        (httpx.ReadError("nobody heard"), [], False),
    ],
    ids=str,
)
async def test_what_was_seen_to_leave_has_left_whatever_the_error_is_called(
    error: httpx.TransportError, heard: list[str], is_before: bool
) -> None:
    way = Way()
    for event in heard:
        await way(f"http11.send_request_{event}", {"exception": error})

    assert (before_sending(error, "api.example", way) is not None) is is_before


def test_the_network_is_met_without_the_settings_and_what_reads_them() -> None:
    code = "import sys, media_agent.storage.network; print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert not {"media_agent.config.settings", "pydantic_settings"} & set(loaded.stdout.split())
