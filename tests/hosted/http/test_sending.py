"""What had left when it failed: a definite no and what was never sent are told from real doubt."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading

import httpx
import pytest
from pydantic import SecretStr

from media_agent.backend.sending import follow_submission, promise_to_report, sending
from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    BackendRefusedError,
    BackendResponseError,
    BackendUnavailableError,
    ConfigurationError,
    InvalidRequestError,
    MediaAgentError,
    ModelRetiredError,
    SubmitUncertainError,
)
from media_agent_hosted.base.acceptance import check_accepted
from media_agent_hosted.http.auth import key_header
from media_agent_hosted.http.client import HttpApi
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.http.retry import repeat

pytestmark = pytest.mark.anyio

KEY = SecretStr("SECRETKEY-0123456789/+x")
PAGE = (
    "<html><head><title>413 Request Entity Too Large</title></head><body><h1>413</h1></body></html>"
)


class Naps(list):
    """Sleeps that are only counted."""

    async def __call__(self, seconds):
        self.append(seconds)


def api_at(url, naps=None, **more):
    sleep = Naps() if naps is None else naps
    return HttpApi(url, auth=key_header(KEY, scheme="Bearer"), sleep=sleep, **more)


def answering(*replies):
    """Return an api whose network gives these replies in turn, the last for ever."""
    left = list(replies)
    transport = httpx.MockTransport(lambda _: left.pop(0) if len(left) > 1 else left[0])
    return api_at("https://api.example.com/v1", transport=transport)


@pytest.fixture
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextlib.contextmanager
def listening(talk=lambda connection: None):
    """Listen on loopback and let `talk` have each connection; yield the port and the count."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        met = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    met.append(connection)
                    with contextlib.suppress(OSError):
                        talk(connection)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield server.getsockname()[1], met
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for connection in met:
                connection.close()


async def submitted(api):
    return await api.send("POST", "/videos", json={"seed": 0}, paid=True)


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("videos/7", SubmitUncertainError),
        ("https://api.example.com/v1/videos/7?x=1", SubmitUncertainError),
        ("/login", BackendRefusedError),
        ("/v1/videos", BackendRefusedError),
        ("https://other.example.com/videos/7", BackendRefusedError),
        ("http://[", BackendRefusedError),
        (None, BackendRefusedError),
    ],
)
async def test_see_other_is_in_doubt_only_where_it_may_name_work(location, error):
    headers = {} if location is None else {"location": location}

    with pytest.raises(MediaAgentError) as caught:
        await submitted(answering(httpx.Response(303, headers=headers)))

    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (300, BackendRefusedError),
        (302, BackendRefusedError),
        (303, BackendRefusedError),
        (304, BackendRefusedError),
        (400, InvalidRequestError),
        (401, BackendAuthenticationError),
        (402, BackendAuthenticationError),
        (403, BackendAuthenticationError),
        (404, BackendRefusedError),
        (405, BackendRefusedError),
        (406, BackendRefusedError),
        (409, BackendRefusedError),
        (410, ModelRetiredError),
        (411, BackendRefusedError),
        (413, InvalidRequestError),
        (414, InvalidRequestError),
        (418, BackendRefusedError),
        (423, BackendRefusedError),
        (429, BackendRateLimitError),
        (431, InvalidRequestError),
        (451, BackendRefusedError),
        (499, BackendRefusedError),
        (408, SubmitUncertainError),
        (425, SubmitUncertainError),
        (500, SubmitUncertainError),
        (502, SubmitUncertainError),
    ],
)
@pytest.mark.parametrize("page", [True, False])
async def test_a_status_says_whether_a_submission_was_refused(status, error, page):
    body = {"html": PAGE} if page else {"json": {"message": "no, thanks"}}

    with pytest.raises(MediaAgentError) as caught:
        await submitted(answering(httpx.Response(status, **body)))

    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (httpx.Response(413, html=PAGE), "Too Large): 413 Request Entity Too Large"),
        (httpx.Response(405, json={"detail": "POST it to /v2"}), "(Method Not Allowed): POST it"),
        (httpx.Response(409, json={"message": "too many jobs"}), "409 (Conflict): too many jobs"),
        (httpx.Response(451), "451 (Unavailable For Legal Reasons)"),
        (
            httpx.Response(403, html="<script>var x;</script><p>Blocked by&nbsp;WAF</p>"),
            "Blocked by WAF",
        ),
        (httpx.Response(400, html='{"message": "labelled as a page"}'), "labelled as a page"),
        (httpx.Response(400, content=b"<!DOCTYPE html><title>Off</title>"), ": Off"),
    ],
)
async def test_a_refusal_is_said_in_words(reply, said):
    with pytest.raises(MediaAgentError) as caught:
        await submitted(answering(reply))

    assert said in caught.value.message


async def test_a_page_where_a_poll_was_due_says_nothing_of_the_work():
    with pytest.raises(BackendResponseError, match="web page"):
        await answering(httpx.Response(404, html=PAGE)).send("GET", "/videos/1")


async def test_a_no_whose_words_are_lost_is_still_a_no():
    class Torn(httpx.AsyncByteStream):
        async def __aiter__(self):
            yield b'{"mess'
            raise httpx.RemoteProtocolError("torn")

    with pytest.raises(BackendRefusedError):
        await submitted(answering(httpx.Response(409, stream=Torn())))
    with pytest.raises(SubmitUncertainError):
        await submitted(answering(httpx.Response(200, stream=Torn())))
    coded = httpx.Response(422, stream=Torn(), headers={"content-encoding": "br"})
    with pytest.raises(InvalidRequestError):
        await submitted(answering(coded))


async def test_a_no_after_a_lost_reply_leaves_the_doubt():
    errors = iter([SubmitUncertainError("lost"), BackendRefusedError("409: already there")])

    async def attempt():
        raise next(errors)

    with pytest.raises(SubmitUncertainError, match="lost"):
        await repeat(attempt, Naps(), is_known_again=True)


@pytest.mark.parametrize("asked", ["0", "0.0", "Thu, 01 Jan 2026 00:00:00 GMT", "-5", "nan", None])
async def test_pauses_grow_however_little_the_provider_asks_for(asked):
    naps = Naps()
    headers = {} if asked is None else {"retry-after": asked}
    transport = httpx.MockTransport(lambda _: httpx.Response(429, headers=headers))
    api = api_at("https://api.example.com", naps, transport=transport)

    with pytest.raises(BackendRateLimitError):
        await submitted(api)

    assert len(naps) == 4
    assert all(least <= nap for least, nap in zip((0.25, 0.5, 1, 2), naps, strict=True))


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"X-Title": "Füchse"}, "outside ASCII"),
        ({"X-Title": "a\nb"}, "line break"),
        ({"X-Title": "a "}, "space at an end"),
        ({"X Title": "a"}, "name with a space"),
        ({"": "a"}, "name"),
        ({"Content-Length": "5"}, "follows from the request"),
    ],
)
async def test_a_header_that_cannot_be_sent_is_named(headers, said):
    api = answering(httpx.Response(200, json={}))

    with pytest.raises(ConfigurationError, match=said) as caught:
        await api.send("POST", "/videos", json={}, headers=headers, paid=True)

    assert "nothing was sent" in caught.value.message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
async def test_a_body_that_no_json_can_say_is_refused_before_it_is_sent(value):
    api = answering(httpx.Response(200, json={}))

    with pytest.raises(InvalidRequestError, match="cannot be written"):
        await api.send("POST", "/videos", json={"x": value}, paid=True)


async def test_a_plain_server_behind_https_was_sent_nothing():
    def refuses(connection):
        connection.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")

    with listening(refuses) as (port, _), pytest.raises(BackendUnavailableError, match="SSL"):
        await submitted(api_at(f"https://127.0.0.1:{port}"))


async def test_time_that_runs_out_before_anything_left_is_no_doubt():
    with listening() as (port, _), pytest.raises(BackendUnavailableError, match="cannot be"):
        await submitted(api_at(f"https://127.0.0.1:{port}", timeout_seconds=0.05))


async def test_time_that_runs_out_after_something_left_is_doubt():
    with listening() as (port, met), pytest.raises(SubmitUncertainError):
        await submitted(api_at(f"http://127.0.0.1:{port}", timeout_seconds=0.05))

    assert len(met) == 1


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            ConfigurationError,
            "user name and password",
        ),
        (b"HTTP/1.1 407 Wrong\r\n\r\n", ConfigurationError, "user name and password"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", BackendUnavailableError, "proxy"),
        (b"", BackendUnavailableError, "cannot be reached"),
    ],
)
async def test_a_proxy_that_lets_nothing_through_leaves_no_doubt(
    answer, error, said, no_proxies, monkeypatch
):
    def talk(connection):
        connection.recv(4096)
        connection.sendall(answer)
        if answer:
            connection.close()

    with listening(talk) as (port, met):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        seconds = 10.0 if answer else 0.1
        with pytest.raises(error, match=said) as caught:
            await submitted(api_at("https://api.example.com", timeout_seconds=seconds))

    assert met != []
    assert "HTTPS_PROXY" in caught.value.hint


@pytest.mark.parametrize(
    "proxy", ["http://127.0.0.1:70000", "127.0.0.1:99999", "http://[::1]:70000"]
)
async def test_a_proxy_that_cannot_be_is_no_doubt_and_named(proxy, no_proxies, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", proxy)

    with follow_submission() as way:
        promise_to_report()
        with pytest.raises(ConfigurationError, match="cannot be used") as caught:
            await submitted(api_at("https://api.example.com"))

    assert "HTTPS_PROXY" in caught.value.hint
    assert not way.may_be_accepted


async def test_trouble_of_our_own_after_something_left_is_not_explained_away(monkeypatch):
    async def broken(response):
        raise OverflowError("ours")
        yield b""

    monkeypatch.setattr("media_agent_hosted.http.connection.decode", broken)

    with follow_submission() as way:
        promise_to_report()
        with pytest.raises(OverflowError):
            await submitted(answering(httpx.Response(200, json={})))

    assert way.may_be_accepted


@pytest.mark.parametrize("is_lost_first", [False, True])
async def test_a_no_in_a_whole_answer_says_that_nothing_was_accepted_unless_one_was_lost(
    is_lost_first,
):
    no = httpx.Response(200, json={"error": {"message": "too little credit"}})
    replies = [httpx.Response(200, content=b"<html>"), no] if is_lost_first else [no]
    api = answering(*replies)

    with follow_submission() as way:
        promise_to_report()
        if is_lost_first:
            with pytest.raises(SubmitUncertainError), sending():
                (await submitted(api)).json()
        reply = await submitted(api)
        with pytest.raises(MediaAgentError, match="credit"):
            check_accepted(reply, reply.json(), None, "no name")

    assert way.may_be_accepted is is_lost_first


@pytest.mark.parametrize(
    "url", ["https://xn--a.example", "https://api.example.com:70000", "https://\u2603.example"]
)
def test_an_address_that_no_host_can_have_is_named_at_once(url):
    with pytest.raises(ConfigurationError, match="no address of an API"):
        api_at(url)


@pytest.fixture(scope="module")
def own_certificate(tmp_path_factory):
    """A certificate of one's own for loopback, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not there to make one")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-keyout",
            "key.pem",
            "-out",
            "ca.pem",
            "-subj",
            "/CN=here",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


@contextlib.contextmanager
def secure(folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")

    def talk(connection):
        with context.wrap_socket(connection, server_side=True) as secured:
            said = b""
            while not said.endswith(b"}"):  # what is not read to its end is reset
                said += secured.recv(4096)
            secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with listening(talk) as found:
        yield found


async def test_an_unknown_certificate_is_said_once_and_is_no_doubt(own_certificate):
    untrusted = pytest.raises(ConfigurationError, match=r"certificate .* not trusted: self-signed")
    with secure(own_certificate) as (port, met), untrusted:
        await submitted(api_at(f"https://127.0.0.1:{port}"))

    assert len(met) == 1


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
async def test_a_certificate_that_a_variable_names_is_trusted_on_loopback_too(
    name, own_certificate, monkeypatch
):
    for other in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, str(own_certificate / "ca.pem"))

    with secure(own_certificate) as (port, _):
        assert (await submitted(api_at(f"https://127.0.0.1:{port}"))).status == 200


async def test_a_reply_that_decodes_to_far_too_much_is_left():
    import gzip

    bomb = gzip.compress(bytes(64 * 2**20))
    headers = {"content-encoding": "gzip"}

    with pytest.raises(BackendResponseError, match="more than"):
        await answering(httpx.Response(200, content=bomb, headers=headers)).send("GET", "/videos")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'\xef\xbb\xbf{"id": "a"}', {"id": "a"}),
        (b'{"id": "M\xfcller"}', {"id": "M\u00fcller"}),
        (b'{"id": "half \\ud83d"}', {"id": "half \ufffd"}),
        (b'{"id": "\\ud83d\\ude00"}', {"id": "\U0001f600"}),
        (b'{"id": NaN, "at": 1e999, "in": -Infinity}', {"id": None, "at": None, "in": None}),
        ('{"id": "a"}'.encode("utf-16"), {"id": "a"}),
    ],
)
def test_json_is_read_as_leniently_as_it_can_be(content, found):
    assert Reply(200, {}, content, "here").json() == found


def test_json_without_an_end_of_nesting_is_no_json():
    reply = Reply(200, {}, b"[" * 100_000, "here")

    with pytest.raises(BackendResponseError, match="no JSON"):
        reply.json()
    assert reply.object() == {}


@pytest.mark.parametrize("part", [b"[]", b"{}", b"0", b'[{"a":0}]'])
def test_json_that_would_become_gigabytes_of_objects_is_not_read(part):
    reply = Reply(200, {}, b"[" + (part + b",") * 2**20 + b"0]", "here")

    with pytest.raises(BackendResponseError, match="no JSON"):
        reply.json()


def test_a_long_text_in_json_is_read():
    video = "AAAA" * 2**20

    assert Reply(200, {}, f'{{"video": "{video}"}}'.encode(), "here").json() == {"video": video}
