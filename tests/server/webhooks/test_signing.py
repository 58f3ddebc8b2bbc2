"""The signatures of webhooks, beside openssl, the client of OpenAI and keys made here."""

import base64
import hashlib
import hmac
import json
import time

import openai
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from media_agent.errors import ConfigurationError
from media_agent.server.webhooks.signing import (
    is_signed,
    is_signed_by_fal,
    read_key_set,
    read_secrets,
    sign,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret of 32 bytes here!").decode()
BODY = b'{"test": 2432232314}'
MESSAGE = {"message_id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "time": 1614265330, "body": BODY}
# printf 'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}' |
#   openssl dgst -sha256 -mac HMAC -macopt hexkey:31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0 \
#   -binary | base64
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def secrets(*texts: str) -> tuple[bytes, ...]:
    return read_secrets(" ".join(texts), "the secret")


def test_a_message_is_signed_as_openssl_signs_it() -> None:
    headers = sign(secrets(SECRET), **MESSAGE)

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_while_a_secret_is_rotated_a_message_has_a_signature_by_each() -> None:
    headers = sign(secrets(OTHER, SECRET), **MESSAGE)

    first, second = headers["webhook-signature"].split()
    assert second == SIGNATURE
    assert first != SIGNATURE
    for each in (SECRET, OTHER):
        assert is_signed(headers, BODY, secrets(each), now=1614265330)


def test_the_client_of_openai_takes_our_signature() -> None:
    body = json.dumps({"id": "evt_1", "object": "event", "type": "video.completed"}).encode()
    headers = sign(secrets(OTHER, SECRET), message_id="evt_1", time=int(time.time()), body=body)

    with openai.OpenAI(api_key="none", webhook_secret=SECRET) as client:
        event = client.webhooks.unwrap(body, headers)
        with pytest.raises(openai.InvalidWebhookSignatureError):
            client.webhooks.unwrap(body + b" ", headers)

    assert event.type == "video.completed"


@pytest.mark.parametrize("late", [-301, 301])
def test_a_message_of_another_time_is_not_taken(late: int) -> None:
    headers = sign(secrets(SECRET), **MESSAGE)

    assert is_signed(headers, BODY, secrets(SECRET), now=1614265330 + late * 300 / 301)
    assert not is_signed(headers, BODY, secrets(SECRET), now=1614265330 + late)


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-id": "msg_other"},
        {"webhook-id": ""},
        {"webhook-timestamp": "1614265331"},
        {"webhook-timestamp": "1614265330.0"},
        {"webhook-timestamp": "-1614265330"},
        {"webhook-timestamp": "١٦١٤٢٦٥٣٣٠"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-signature": ""},
        {"webhook-signature": SIGNATURE.replace("v1,", "v2,")},
        {"webhook-signature": SIGNATURE.removeprefix("v1,")},
        {"webhook-signature": "v1,é"},
    ],
)
def test_a_message_with_anything_changed_is_not_taken(changes: dict[str, str]) -> None:
    headers = sign(secrets(SECRET), **MESSAGE) | changes

    assert not is_signed(headers, BODY, secrets(SECRET), now=1614265330)


def test_a_message_without_headers_or_with_another_body_is_not_taken() -> None:
    headers = sign(secrets(SECRET), **MESSAGE)

    assert not is_signed({}, BODY, secrets(SECRET), now=1614265330)
    assert not is_signed(headers, BODY + b"\n", secrets(SECRET), now=1614265330)
    assert not is_signed(headers, BODY, secrets(OTHER), now=1614265330)


@pytest.mark.parametrize(
    "text", ["", "  ", "whsec_", "whsec_c2hvcnQ=", "c2VjcmV0" * 8, "whsec_" + "*" * 40]
)
def test_what_is_no_secret_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"webhooks\.shop") as caught:
        read_secrets(text, "server.webhooks.shop")

    assert text.strip() in ("", "whsec_") or text not in str(caught.value)


def fal_headers(key: Ed25519PrivateKey, body: bytes, *, at: int) -> dict[str, str]:
    signed = f"req_1\nuser_1\n{at}\n{hashlib.sha256(body).hexdigest()}".encode()
    return {
        "x-fal-webhook-request-id": "req_1",
        "x-fal-webhook-user-id": "user_1",
        "x-fal-webhook-timestamp": str(at),
        "x-fal-webhook-signature": key.sign(signed).hex(),
    }


def key_set(*keys: Ed25519PrivateKey) -> dict[str, object]:
    points = (base64.urlsafe_b64encode(each.public_key().public_bytes_raw()) for each in keys)
    listed = [{"kty": "OKP", "crv": "Ed25519", "x": each.decode().rstrip("=")} for each in points]
    return {"keys": [{"kty": "RSA", "n": "AQAB"}, "nonsense", *listed]}


def test_a_callback_of_fal_is_taken_by_any_of_its_keys_and_only_as_it_was_signed() -> None:
    old, new = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    keys = read_key_set(key_set(old, new))  # type: ignore[arg-type]  # JSON made above
    headers = fal_headers(new, b"{}", at=1000)

    assert len(keys) == 2
    assert is_signed_by_fal(headers, b"{}", keys, now=1300)
    assert not is_signed_by_fal(headers, b"{}", keys, now=1301)
    assert not is_signed_by_fal(headers, b"{} ", keys, now=1000)
    assert not is_signed_by_fal(headers, b"{}", keys[:1], now=1000)
    for name in headers:
        assert not is_signed_by_fal({**headers, name: "00"}, b"{}", keys, now=1000)
        assert not is_signed_by_fal({**headers, name: "é"}, b"{}", keys, now=1000)


@pytest.mark.parametrize("data", [None, [], {}, {"keys": {}}, {"keys": [{"kty": "OKP"}]}])
def test_a_key_set_without_usable_keys_is_empty(data: object) -> None:
    assert read_key_set(data) == ()  # type: ignore[arg-type]  # JSON of any shape


def test_a_point_that_is_no_key_is_left_out() -> None:
    bad = {"kty": "OKP", "crv": "Ed25519", "x": "AQAB"}

    assert read_key_set({"keys": [bad, {**bad, "x": "é"}, {**bad, "x": None}]}) == ()


def test_the_signature_is_hmac_over_id_time_and_body() -> None:
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    due = hmac.new(key, b"evt_9.7." + BODY, hashlib.sha256).digest()

    headers = sign(secrets(SECRET), message_id="evt_9", time=7, body=BODY)

    assert headers["webhook-signature"] == "v1," + base64.b64encode(due).decode()
