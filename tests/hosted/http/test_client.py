"""The shared HTTP part, against real loopback servers and against a mocked transport."""

import datetime
import email.utils
import logging
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    BackendRefusedError,
    BackendResponseError,
    BackendUnavailableError,
    ConfigurationError,
    InvalidRequestError,
    ModelRetiredError,
    OperationNotFoundError,
    StorageError,
    SubmitUncertainError,
)
from media_agent.storage.network import retry_after_seconds
from media_agent.testing import Answer, Fault, Route, Simulator
from media_agent.testing.simulator.videos import Video, make_video
from media_agent_hosted.http.auth import key_header
from media_agent_hosted.http.client import HttpApi
from media_agent_hosted.http.replies import Reply

pytestmark = pytest.mark.anyio

SECRET = "sk-very-secret-0123456789"
KEY = SecretStr(SECRET)
KNOWN_AGAIN = {
    "json": {},
    "headers": {"Idempotency-Key": "job-1"},
    "paid": True,
    "is_known_again": True,
}


class Shop(Simulator):
    """Takes orders and gives videos; says back which key it saw."""

    name = "shop"

    def routes(self):
        return [
            Route("POST", "/v1/videos", "submit", self.submit),
            Route("GET", "/v1/look", "look", self.look),
        ]

    def submit(self, call):
        job = self.accept("m", call.json(), key=call.headers.get("idempotency-key"))
        return Answer(200, {"id": job.id, "video": self.video_url(job)})

    def look(self, call):
        return Answer(200, {"seen": call.headers.get("authorization", "nothing")})


class KnowingShop(Shop):
    """The same, and it knows keys again."""

    honours_keys = True


class Naps(list):
    """Sleeps that are only counted."""

    async def __call__(self, seconds):
        self.append(seconds)


def api_for(shop, naps=None, **more):
    sleep = Naps() if naps is None else naps
    return HttpApi(f"{shop.url}/v1", auth=key_header(KEY, scheme="Key"), sleep=sleep, **more)


def mocked(handler, base_url="https://api.example.com/v1", **more):
    """Return an api whose network is a function."""
    return HttpApi(
        base_url,
        auth=key_header(KEY, scheme="Bearer"),
        transport=httpx.MockTransport(handler),
        sleep=Naps(),
        **more,
    )


def answers(*replies):
    """Return a handler that gives these replies in turn, and keeps the requests."""
    left = list(replies)

    def handle(request):
        handle.requests.append(request)
        return left.pop(0) if len(left) > 1 else left[0]

    handle.requests = []
    return handle


async def test_a_reply_is_read_and_the_key_goes_in_its_header():
    seen = answers(httpx.Response(200, json={"id": "x"}))

    reply = await mocked(seen).send("POST", "/videos", json={"seed": 0}, params={"a": "b"})

    assert reply.json() == {"id": "x"}
    request = seen.requests[0]
    assert str(request.url) == "https://api.example.com/v1/videos?a=b"
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.content == b'{"seed":0}'


async def test_a_form_with_a_file_is_sent_as_multipart():
    seen = answers(httpx.Response(200, json={}))

    await mocked(seen).send(
        "POST",
        "/videos",
        files={"image": ("a.png", b"PNG", "image/png"), "seed": (None, b"0", None)},
    )

    body = seen.requests[0].content
    assert b'name="image"; filename="a.png"' in body
    assert b'name="seed"\r\n\r\n0' in body


@pytest.mark.parametrize("fault", ["close_after_accept", "close_before_accept", "garbage", "html"])
@pytest.mark.parametrize("kind", [Shop, KnowingShop])
async def test_a_paid_request_whose_reply_is_lost_is_not_sent_again(fault, kind):
    with kind([Fault("submit", fault)]) as shop:
        with pytest.raises(SubmitUncertainError, match=r"was lost|answered with status"):
            (await api_for(shop).send("POST", "/videos", json={}, paid=True)).json()

        assert len(shop.calls("submit")) == 1


@pytest.mark.parametrize("accepts", [True, False])
async def test_a_paid_request_that_was_answered_with_500_is_not_sent_again(accepts):
    with Shop([Fault("submit", "status", status=500, accepts=accepts)]) as shop:
        with pytest.raises(SubmitUncertainError, match="500"):
            await api_for(shop).send("POST", "/videos", json={}, paid=True)

        assert len(shop.calls("submit")) == 1


@pytest.mark.parametrize("status", [408, 500, 503])
@pytest.mark.parametrize("error", [BackendRateLimitError, BackendUnavailableError])
async def test_no_code_of_a_server_in_trouble_makes_a_paid_request_safe_to_repeat(status, error):
    seen = answers(httpx.Response(status, json={"code": "Throttling"}))

    with pytest.raises(SubmitUncertainError, match="busy"):
        await mocked(seen).send(
            "POST", "/videos", json={}, paid=True, translate=lambda reply: error("busy")
        )

    assert len(seen.requests) == 1


async def test_a_paid_request_that_gets_no_answer_in_time_is_not_sent_again():
    with Shop([Fault("submit", "stall")]) as shop:
        with pytest.raises(SubmitUncertainError, match="lost"):
            await api_for(shop, timeout_seconds=0.1).send("POST", "/videos", json={}, paid=True)

        assert shop.accepted == 1


async def test_a_call_that_blocks_may_take_longer_than_others():
    with Shop([Fault("look", "delay", seconds=0.15)]) as shop:
        api = HttpApi(shop.url, timeout_seconds=0.05)

        reply = await api.send("GET", "/v1/look", timeout_seconds=5.0)
        await api.aclose()

    assert reply.json() == {"seen": "nothing"}


async def test_a_paid_request_is_sent_again_after_a_429_when_the_provider_says():
    naps = Naps()
    faults = [Fault("submit", "status", status=429, retry_after="7", times=2)]
    with Shop(faults) as shop:
        reply = await api_for(shop, naps).send("POST", "/videos", json={}, paid=True)

        assert reply.status == 200
        assert shop.accepted == 1
    assert naps == [7, 7]


async def test_a_paid_request_is_sent_again_after_a_refused_connection():
    with Shop([Fault("*", "refuse")]) as shop:

        async def open_meanwhile(seconds):
            shop.listen()

        reply = await api_for(shop, open_meanwhile).send("POST", "/videos", json={}, paid=True)

        assert (reply.status, shop.accepted) == (200, 1)


async def test_nobody_at_the_address_is_unavailable_not_uncertain():
    with Shop([Fault("*", "refuse")]) as shop, pytest.raises(BackendUnavailableError) as caught:
        await api_for(shop).send("POST", "/videos", json={}, paid=True)

    assert "nothing was sent" in caught.value.hint


async def test_where_the_provider_knows_keys_a_lost_reply_is_asked_for_again():
    with KnowingShop([Fault("submit", "close_after_accept", times=2)]) as shop:
        reply = await api_for(shop).send("POST", "/videos", **KNOWN_AGAIN)

        assert reply.status == 200
        assert shop.accepted == 1
        assert [call.headers["idempotency-key"] for call in shop.requests] == ["job-1"] * 3


async def test_a_lost_reply_is_not_forgotten_when_the_provider_then_goes_away():
    faults = [
        Fault("submit", "close_after_accept"),
        Fault("submit", "status", status=429, times=None),
    ]
    with KnowingShop(faults) as shop, pytest.raises(SubmitUncertainError):
        await api_for(shop).send("POST", "/videos", **KNOWN_AGAIN)


@pytest.mark.parametrize(
    "kind", ["close_before_accept", "close_after_accept", "status", "truncate"]
)
async def test_a_free_request_is_repeated_through_trouble(kind):
    naps = Naps()
    with Shop([Fault("look", kind, status=503, times=3)]) as shop:
        reply = await api_for(shop, naps).send("GET", "/look")

    assert reply.status == 200
    assert len(naps) == 3
    assert all(0 <= nap <= 8 for nap in naps)


async def test_a_free_request_gives_up_in_the_end():
    with Shop([Fault("look", "status", status=503, times=None)]) as shop:
        with pytest.raises(BackendUnavailableError, match="503"):
            await api_for(shop).send("GET", "/look")

        assert len(shop.requests) == 5


async def test_a_request_for_a_very_long_pause_is_reported_rather_than_waited_for():
    naps = Naps()
    fault = Fault("look", "status", status=429, retry_after="3600")
    with Shop([fault]) as shop, pytest.raises(BackendRateLimitError) as caught:
        await api_for(shop, naps).send("GET", "/look")

    assert caught.value.retry_after == 3600
    assert naps == []


def test_retry_after_is_read_in_both_forms():
    now = datetime.datetime(2026, 11, 20, 10, tzinfo=datetime.UTC)
    later = email.utils.format_datetime(now + datetime.timedelta(seconds=90), usegmt=True)

    assert retry_after_seconds("120", now.timestamp()) == 120
    assert retry_after_seconds(" 1.5 ", now.timestamp()) == 1.5
    assert retry_after_seconds(later, now.timestamp()) == 90
    assert retry_after_seconds(later, now.timestamp() + 1000) == 0
    for senseless in (None, "", "soon", "-5", "nan", "1e9", "Thu, 99 Foo 2026"):
        assert retry_after_seconds(senseless, now.timestamp()) is None


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidRequestError),
        (401, BackendAuthenticationError),
        (402, BackendAuthenticationError),
        (403, BackendAuthenticationError),
        (404, OperationNotFoundError),
        (410, ModelRetiredError),
        (418, BackendResponseError),
        (422, InvalidRequestError),
        (429, BackendRateLimitError),
        (500, BackendUnavailableError),
        (503, BackendUnavailableError),
    ],
)
async def test_a_status_becomes_an_error_with_the_words_of_the_provider(status, error):
    api = mocked(answers(httpx.Response(status, json={"detail": "no  such\nthing"})))

    with pytest.raises(error, match="no such thing") as caught:
        await api.send("GET", "/videos/1")

    assert type(caught.value) is error
    assert "api.example.com" in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "wrong"}},
        {"message": "wrong"},
        {"detail": [{"msg": "wrong", "loc": ["x"]}]},
        {"error": "wrong"},
    ],
)
async def test_words_are_found_in_every_usual_shape(body):
    api = mocked(answers(httpx.Response(400, json=body)))

    with pytest.raises(InvalidRequestError, match="wrong"):
        await api.send("GET", "/videos/1")


async def test_the_provider_may_mean_something_of_its_own():
    def translate(reply):
        return ModelRetiredError("gone for good") if reply.status == 404 else None

    api = mocked(answers(httpx.Response(404)))

    with pytest.raises(ModelRetiredError):
        await api.send("GET", "/videos/1", translate=translate)
    with pytest.raises(OperationNotFoundError):
        await api.send("GET", "/videos/1", translate=lambda reply: None)
    assert (await api.send("GET", "/videos/1", accepts=(404,))).status == 404


async def test_a_web_page_in_place_of_an_api_names_host_and_media_type():
    page = httpx.Response(200, html="<html>Welcome</html>")
    reply = await mocked(answers(page)).send("GET", "/videos/1")

    with pytest.raises(BackendResponseError, match=r"api\.example\.com .* text/html") as caught:
        reply.json()

    assert "base_url" in caught.value.hint


async def test_a_reply_that_is_no_json_says_so():
    api = mocked(answers(httpx.Response(200, content=b"nothing")))

    with pytest.raises(BackendResponseError, match="JSON"):
        (await api.send("GET", "/videos/1")).json()
    with pytest.raises(SubmitUncertainError, match="JSON"):
        (await api.send("POST", "/videos", paid=True)).json()


async def test_foreign_words_are_cut_and_made_printable():
    api = mocked(answers(httpx.Response(400, json={"detail": "\x1b[31m" + "a" * 5000})))

    with pytest.raises(InvalidRequestError) as caught:
        await api.send("GET", "/videos/1")

    assert len(caught.value.message) < 500
    assert caught.value.message.isprintable()


async def test_an_endless_reply_is_not_read_to_the_end(monkeypatch):
    monkeypatch.setattr("media_agent_hosted.http.body.LARGEST_REPLY", 1000)
    api = mocked(answers(httpx.Response(200, content=b"a" * 5000)))

    with pytest.raises(BackendResponseError, match="more than 1000 bytes"):
        await api.send("GET", "/videos/1")


async def test_a_key_that_the_provider_echoes_is_blotted_out():
    said = {"detail": f"bad key {SECRET} in 'Bearer {SECRET}'"}
    api = mocked(answers(httpx.Response(401, json=said)))

    with pytest.raises(BackendAuthenticationError) as caught:
        await api.send("GET", "/videos/1")

    assert SECRET not in caught.value.message
    assert "[key]" in caught.value.message


async def test_nothing_secret_is_in_logs_errors_or_representations(caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpx")  # a server in this process quietens it
    with Shop([Fault("look", "status", status=503, times=2)]) as shop:
        api = api_for(shop)
        await api.send("GET", "/look", params={"token": "signed-and-secret"})

    assert "HTTP Request" in caplog.text
    assert SECRET not in caplog.text + repr(api)
    assert "signed-and-secret" not in caplog.text


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/status",
        "http://api.example.com/status",
        "https://api.example.com:8443/status",
        "https://api.example.com.evil.example/status",
        "https://api.example.com@evil.example/status",
        "https://user:pw@api.example.com/status",
        "//evil.example/status",
        "ftp://api.example.com/status",
        "not an address",
        "https://api.example.com\\@evil.example/",
        "",
    ],
)
async def test_the_key_is_not_sent_to_an_address_that_is_not_the_providers_own(elsewhere):
    seen = answers(httpx.Response(200, json={}))
    api = mocked(seen)

    with pytest.raises(BackendResponseError):
        await api.send("GET", api.own_url(elsewhere, "status_url"))

    assert seen.requests == []


@pytest.mark.parametrize(
    "own",
    ["https://api.example.com/status", "https://API.example.com:443/v9/status?a=b"],
)
async def test_an_address_on_the_providers_own_origin_gets_the_key(own):
    seen = answers(httpx.Response(200, json={}))

    await mocked(seen).send("GET", own)

    assert SECRET in seen.requests[0].headers["authorization"]


async def test_a_redirect_within_the_origin_is_followed_and_one_out_of_it_is_not():
    inside = httpx.Response(302, headers={"location": "/v2/videos/1"})
    outside = httpx.Response(302, headers={"location": "https://evil.example/videos/1"})
    seen = answers(inside, httpx.Response(200, json={"id": "x"}))
    lured = answers(outside, httpx.Response(200, json={}))

    assert (await mocked(seen).send("GET", "/videos/1")).json() == {"id": "x"}
    with pytest.raises(BackendResponseError, match=r"evil\.example"):
        await mocked(lured).send("GET", "/videos/1")

    assert str(seen.requests[1].url) == "https://api.example.com/v2/videos/1"
    assert len(lured.requests) == 1


async def test_a_submission_is_not_redirected():
    seen = answers(httpx.Response(307, headers={"location": "/v2/videos"}))

    with pytest.raises(BackendRefusedError, match="redirect 307"):
        await mocked(seen).send("POST", "/videos", json={}, paid=True)

    assert len(seen.requests) == 1


async def test_redirects_without_end_are_left():
    api = mocked(answers(httpx.Response(302, headers={"location": "/v1/videos/1"})))

    with pytest.raises(BackendResponseError, match="without end"):
        await api.send("GET", "/videos/1")


@pytest.mark.parametrize(
    "address",
    [
        "http://api.example.com",
        "ftp://api.example.com",
        "api.example.com",
        "https://",
        "https://user:password@api.example.com",
        "https://api.example.com/v1?key=password",
        "http://10.0.0.5:8000",
        "",
    ],
)
def test_an_address_that_would_not_do_is_refused_without_showing_a_password(address):
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        HttpApi(address)

    assert "password" not in caught.value.message.replace("user name or password", "")


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:1", "[::1]:1"])
def test_plain_http_is_taken_on_this_machine_or_when_allowed(host):
    assert HttpApi(f"http://{host}/v1").host == host
    assert HttpApi("http://10.0.0.5:8000", allow_plain_http=True).host == "10.0.0.5:8000"


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "schlüssel"])
def test_a_key_that_cannot_be_one_is_refused_without_being_shown(text):
    with pytest.raises(ConfigurationError) as caught:
        key_header(SecretStr(text))

    assert text.strip() == "" or text not in caught.value.message


async def test_without_a_key_no_header_is_sent():
    seen = answers(httpx.Response(200, json={}))
    api = HttpApi(
        "https://api.example.com", auth=key_header(None), transport=httpx.MockTransport(seen)
    )

    await api.send("GET", "/")

    assert "authorization" not in seen.requests[0].headers


async def test_a_video_is_streamed_to_its_place(tmp_path):
    with Shop() as shop:
        api = api_for(shop)
        order = (await api.send("POST", "/videos", json={})).object()
        await api.download(str(order["video"]), tmp_path / "deep" / "video.mp4")

    [video] = (tmp_path / "deep").iterdir()
    assert video.name == "video.mp4"
    assert video.read_bytes()[4:8] == b"ftyp"


async def test_a_download_is_repeated_through_trouble_and_leaves_nothing_half_done(tmp_path):
    faults = [Fault("file", "truncate"), Fault("file", "status", status=503)]
    with Shop(faults) as shop:
        api = api_for(shop)
        order = (await api.send("POST", "/videos", json={})).object()
        await api.download(str(order["video"]), tmp_path / "video.mp4")

        assert len(shop.calls("file")) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["video.mp4"]


FTYP = b"\0\0\0\x20ftypisom"


@pytest.mark.parametrize("announced", [True, False])
async def test_a_video_that_is_too_large_is_not_taken(tmp_path, announced):
    async def pieces():
        for _ in range(10):
            yield FTYP + b"a" * 1000

    content = FTYP + b"a" * 10_000 if announced else pieces()
    api = mocked(answers(httpx.Response(200, content=content)))

    with pytest.raises(BackendResponseError, match="larger than the 5000 bytes"):
        await api.download("https://cdn.example/video.mp4", tmp_path / "video.mp4", max_bytes=5000)

    assert list(tmp_path.iterdir()) == []


async def test_the_key_goes_with_a_download_to_the_provider_and_nowhere_else(tmp_path):
    away = httpx.Response(302, headers={"location": "https://cdn.example/signed?s=1"})
    seen = answers(away, httpx.Response(200, content=make_video(Video(frames=2))))

    await mocked(seen).download("/videos/1/content", tmp_path / "video.mp4")

    assert "authorization" in seen.requests[0].headers
    assert "authorization" not in seen.requests[1].headers


@pytest.mark.parametrize(
    "address",
    [
        "http://cdn.example/video.mp4",
        "https://localhost/video.mp4",
        "https://127.0.0.1/video.mp4",
        "https://169.254.169.254/latest",
        "https://192.168.1.1/video.mp4",
        "file:///etc/passwd",
        "https://service.internal/video.mp4",
    ],
)
async def test_a_video_at_a_suspicious_address_is_not_fetched(tmp_path, address):
    seen = answers(httpx.Response(302, headers={"location": address}))
    api = mocked(seen)

    for given in (address, "/videos/1/content"):
        with pytest.raises((BackendResponseError, BackendUnavailableError)):
            await api.download(given, tmp_path / "video.mp4")

    assert {request.url.host for request in seen.requests} <= {"api.example.com"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (httpx.Response(200, html="<html>"), "text/html"),
        (httpx.Response(200, json={}), "application/json"),
        (httpx.Response(404), "answered 404"),
        (httpx.Response(403), "answered 403"),
    ],
)
async def test_what_is_no_video_is_not_taken_for_one(tmp_path, reply, said):
    with pytest.raises(BackendResponseError, match=said):
        await mocked(answers(reply)).download("https://cdn.example/f.mp4", tmp_path / "video.mp4")

    assert list(tmp_path.iterdir()) == []


async def test_a_disk_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    api = mocked(answers(httpx.Response(200, content=b"video")))

    with pytest.raises(StorageError, match="cannot be written"):
        await api.download("https://cdn.example/f.mp4", tmp_path / "file" / "video.mp4")


async def test_a_video_that_was_there_stays_when_another_cannot_be_fetched(tmp_path):
    place = tmp_path / "video.mp4"
    place.write_bytes(b"old")

    with pytest.raises(BackendResponseError):
        await mocked(answers(httpx.Response(404))).download("https://cdn.example/f.mp4", place)

    assert place.read_bytes() == b"old"


def test_no_hosted_adapter_sends_anything_by_itself():
    folder = Path(__file__).resolve().parents[3] / "adapters" / "media_agent_hosted"

    importing = [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*.py"))
        if any(
            line.lstrip().startswith(("import httpx", "from httpx"))
            for line in path.read_text(encoding="utf-8").splitlines()
        )
    ]

    gradio = ["providers/gradio/bounds.py", "providers/gradio/errors.py"]  # whose library sends
    ours = ["http/auth.py", "http/client.py", "http/connection.py", "http/urls.py"]
    assert importing == [*ours, *gradio]


async def test_closing_twice_and_continuing_afterwards_is_harmless():
    with Shop() as shop:
        api = api_for(shop)
        await api.send("GET", "/look")
        await api.aclose()
        await api.aclose()
        assert (await api.send("GET", "/look")).status == 200
        await api.aclose()


def test_a_reply_says_its_media_type_and_its_request_to_wait():
    headers = {"content-type": "Text/HTML; charset=utf-8", "retry-after": "5"}
    reply = Reply(status=200, headers=headers, content=b"", host="here")

    assert (reply.media_type, reply.is_html, reply.retry_after) == ("text/html", True, 5)
    assert reply.object() == {}
