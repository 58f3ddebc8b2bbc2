"""A key is kept out of all that a reply says, and a reply is not damaged by that."""

import base64
import json
import logging
from urllib.parse import quote

import httpx
import pytest
from pydantic import SecretStr

from media_agent.errors import MediaAgentError
from media_agent_hosted.http import HttpApi
from media_agent_hosted.secrecy import blot_for, key_header

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
        await api.send("GET", "/films/1")

    assert "[key]" in caught.value.message
    assert "SECRETKEY" not in caught.value.message
    assert base64.b64encode(KEY.encode()).decode()[4:-4] not in caught.value.message


@pytest.mark.anyio
@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
async def test_no_value_and_no_header_of_a_reply_holds_the_key(spelled, caplog):
    caplog.set_level(logging.DEBUG)
    body = f'{{"a": [{{"b": {spelled}}}], {spelled}: 1}}'.encode()

    reply = await api_answering(200, body, {"X-Error": f"bad key {KEY}"}).send("GET", "/films/1")

    assert "SECRETKEY" not in f"{reply.json()} {reply.headers} {reply!r} {caplog.text}"


def test_a_password_is_kept_in_however_it_was_sent():
    pair = base64.b64encode(b"user:pass-word-17").decode()
    blot = blot_for({"Authorization": f"Basic {pair}"})

    assert blot(f"user:pass-word-17, pass-word-17, {pair}") == "[key], [key], [key]"


def test_a_short_key_damages_no_other_word():
    blot = blot_for({"Authorization": "Bearer test"})

    assert blot("the key 'test' of test-123, a testing /test_7") == (
        "the key '[key]' of test-123, a testing /test_7"
    )


def test_a_video_in_a_reply_is_not_damaged_and_takes_no_time():
    blot, video = blot_for({"Authorization": f"Bearer {KEY}"}), "QUJD" * 2_000_000

    assert blot(video) == video


def test_bytes_beside_the_key_stay_as_they_are():
    blot = blot_for({"Authorization": f"Bearer {KEY}"})

    assert (
        blot('{"path": "C:\\\\videos", "%": "50%25"}') == '{"path": "C:\\\\videos", "%": "50%25"}'
    )
