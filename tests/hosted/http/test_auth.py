"""A key is kept out of all that a reply says, and a reply is not damaged by that."""

import base64
import html
import json
import logging
import re
from urllib.parse import quote

import httpx
import pytest
from pydantic import SecretStr

from media_agent.config.backend_section import BackendSection
from media_agent.config.settings import Settings
from media_agent.errors import BackendRefusedError, MediaAgentError
from media_agent.testing.simulator.videos import Video, make_video
from media_agent_hosted.declared.backend import HttpBackend
from media_agent_hosted.http.auth import AUTH_PATTERN, OwnOrigin, key_header, split_auth
from media_agent_hosted.http.client import HttpApi
from media_agent_schemas.request import VideoRequest

KEY = 'SECRETKEY-0123456789/+x"\\='

SPELLINGS = {
    "plain": json.dumps(KEY),
    "PHP": json.dumps(KEY).replace("/", "\\/"),
    ".NET": json.dumps(KEY).replace("+", "\\u002B").replace("=", "\\u003d"),
    "first letter": json.dumps(KEY).replace("S", "\\u0053", 1),
    "twice": json.dumps(json.dumps(KEY).replace("/", "\\/")),
    "address": json.dumps(f"https://api.example.com/?key={quote(KEY, safe='')}"),
    "small digits": json.dumps(quote(KEY, safe="").replace("%2F", "%2f")),
    "base64": json.dumps(base64.b64encode(f"user:{KEY}".encode()).decode()),
    "header": json.dumps(f"Bearer {KEY}"),
}


def api_answering(status, content, headers=None):
    reply = httpx.Response(status, content=content, headers=headers or {})
    return HttpApi(
        "https://api.example.com",
        auth=key_header(SecretStr(KEY), scheme="Bearer"),
        secrets=[SecretStr("of-another-section/17")],
        transport=httpx.MockTransport(lambda request: reply),
        sleep=no_time,
    )


async def no_time(seconds):
    pass


@pytest.mark.anyio
@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("status", [400, 401, 409, 503])
async def test_no_error_says_the_key_in_any_spelling(status, spelled):
    api = api_answering(status, f'{{"message": {spelled}}}'.encode())

    with pytest.raises(MediaAgentError) as caught:
        await api.send("GET", "/videos/1")

    assert "[key]" in caught.value.message
    assert "SECRETKEY" not in caught.value.message
    assert base64.b64encode(KEY.encode()).decode()[4:-4] not in caught.value.message


@pytest.mark.anyio
@pytest.mark.parametrize("spelled", [each for name, each in SPELLINGS.items() if name != "address"])
async def test_no_value_and_no_header_of_a_reply_holds_the_key(spelled, caplog):
    caplog.set_level(logging.DEBUG)
    body = f'{{"a": [{{"b": {spelled}}}], {spelled}: 1}}'.encode()

    reply = await api_answering(200, body, {"X-Error": f"bad key {KEY}"}).send("GET", "/videos/1")

    assert "SECRETKEY" not in f"{reply.json()} {reply.headers} {reply!r} {caplog.text}"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "page",
    [
        "<html><title>Denied</title>no</html>",
        f"<html><title>{html.escape(KEY)} is wrong</title></html>",
        f"<html><p>{html.escape(html.escape(KEY))}</p></html>",
    ],
)
async def test_a_page_that_shows_the_key_is_told_without_it(page):
    api = api_answering(403, page.encode(), {"content-type": "text/html"})

    with pytest.raises(MediaAgentError) as caught:
        await api.send("POST", "/videos", json={}, paid=True)

    assert "SECRETKEY" not in caught.value.message


@pytest.mark.anyio
async def test_a_key_at_the_end_of_what_is_looked_at_is_not_shown_in_half():
    text = " " * 3990 + KEY

    with pytest.raises(MediaAgentError) as caught:
        await api_answering(400, text.encode(), {"content-type": "text/plain"}).send("GET", "/f")

    assert "SECRET" not in caught.value.message


@pytest.mark.anyio
async def test_a_key_in_a_header_that_cannot_be_read_is_not_shown():
    api = api_answering(200, b"{}", {"content-encoding": f"no-{KEY}"})

    with pytest.raises(MediaAgentError) as caught:
        await api.send("GET", "/videos/1")

    assert "SECRETKEY" not in caught.value.message


@pytest.mark.anyio
async def test_what_is_no_key_comes_out_of_a_reply_as_it_was():
    said = {"path": "C:\\videos", "%": "50%25", "a": "&amp; \\u0041", "video": "QUJD" * 99_999}

    reply = await api_answering(200, json.dumps(said).encode()).send("GET", "/videos/1")

    assert reply.json() == said


@pytest.mark.anyio
async def test_a_key_of_another_section_is_not_repeated_either():
    said = {"message": "you sent X-Token: of-another-section\\/17"}

    with pytest.raises(MediaAgentError, match=r"you sent X-Token: \[key\]$"):
        await api_answering(409, json.dumps(said).encode()).send("GET", "/videos/1")


@pytest.mark.anyio
async def test_a_header_of_the_settings_that_is_a_secret_is_not_repeated(tmp_path):
    options = {
        "headers": {"X-Gateway-Token": "gw-Zx9Qw3Er7Ty1Ui5Op"},
        **{"submit": "POST /videos", "poll": "GET /videos/{id}", "result": "url"},
        **{"done": ["done"], "failed": ["no"], "body": {"p": "{prompt}", "d": "{duration}"}},
        **{"sizes": ["64x48"], "fps": [12], "durations": [1.0]},
    }
    section = BackendSection(kind="http", base_url="https://api.example.com", options=options)
    settings = Settings(backends={"acme": section}, data_dir=tmp_path)

    def echo(request):
        return httpx.Response(403, json={"message": f"no {request.headers['x-gateway-token']}"})

    backend = HttpBackend(
        settings.backend_settings("acme"), transport=httpx.MockTransport(echo), sleep=no_time
    )
    with pytest.raises(MediaAgentError, match=r"no \[key\]"):
        await backend.submit(VideoRequest(prompt="a fox"), key="k")


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["Origin", "Accept", "X-Plan"])
async def test_a_header_that_is_no_key_damages_no_address(tmp_path, name):
    video = make_video(Video(frames=8))
    options = {
        "headers": {name: "https://api.example.com"},
        **{"submit": "POST /videos", "poll": "GET /videos/{id}", "result": "url"},
        **{"done": ["done"], "failed": ["no"], "body": {"p": "{prompt}", "d": "{duration}"}},
        **{"sizes": ["64x48"], "fps": [12], "durations": [1.0]},
    }
    key = "SECRETKEY-0123456789"
    section = BackendSection(
        kind="http", base_url="https://api.example.com", options=options, key=key
    )
    settings = Settings(backends={"acme": section}, data_dir=tmp_path)
    asked = []

    def answer(request):
        asked.append(f"{request.method} {request.url}")
        if request.url.path == "/v/1.mp4":
            return httpx.Response(200, content=video)
        url = f"https://api.example.com/v/1.mp4?key={key}"
        return httpx.Response(200, json={"id": f"w-{key}", "status": "done", "url": url})

    backend = HttpBackend(
        settings.backend_settings("acme"), transport=httpx.MockTransport(answer), sleep=no_time
    )
    ref = await backend.submit(VideoRequest(prompt="a fox", duration=1.0), key="k")
    end = await backend.status(ref)

    assert end.type == "job.completed"
    assert asked[1:] == [
        f"GET https://api.example.com/videos/w-{key}",
        f"GET https://api.example.com/v/1.mp4?key={key}",
    ]


@pytest.mark.anyio
async def test_a_signature_is_made_for_each_request_and_none_is_shown():
    def sign(request):
        return {"Authorization": f"Signed {len(request.content)}-{next(numbers)}-0123456789"}

    def echo(request):
        return httpx.Response(400, json={"message": request.headers["authorization"]})

    numbers = iter(range(1000, 2000))
    transport = httpx.MockTransport(echo)
    api = HttpApi("https://api.example.com", auth=sign, transport=transport, sleep=no_time)

    for text in ("a", "longer"):
        with pytest.raises(MediaAgentError) as caught:
            await api.send("POST", "/videos", json={"prompt": text})

        assert "[key]" in caught.value.message
        assert "0123456789" not in caught.value.message
    assert next(numbers) == 1002


def test_a_library_sends_the_key_to_one_origin_and_nothing_elsewhere() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200)

    auth = OwnOrigin("https://app.example/path", key_header(SecretStr("k-1234567"), name="X-Key"))
    with httpx.Client(auth=auth, transport=httpx.MockTransport(answer)) as client:
        client.get("https://app.example/other")
        for url in ("https://app.example:8443/", "http://app.example/", "https://b.example/"):
            with pytest.raises(BackendRefusedError, match="where nothing is sent"):
                client.get(url)

    assert [request.headers["x-key"] for request in asked] == ["k-1234567"]


@pytest.mark.parametrize(
    ("written", "header"),
    [
        ("Authorization: Bearer {key}", ("Authorization", "Bearer")),
        ("X-Api-Key: {key}", ("X-Api-Key", "")),
    ],
)
def test_a_header_is_written_with_its_scheme_or_without(
    written: str, header: tuple[str, str]
) -> None:
    assert re.fullmatch(AUTH_PATTERN, written)
    assert split_auth(written) == header
