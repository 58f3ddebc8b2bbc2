"""Keys are hidden wherever they stand; words, names of models, paths and digests are not."""

import string
import time
from random import Random

import pytest
from pydantic import JsonValue

from media_agent.concealing import (
    HIDDEN,
    concealed,
    hidden_values,
    is_telling,
    looks_like_a_key,
    without_keys,
)

KEYS = [
    "hf_PLANTEDabcdefghijklmnop0123456789",
    "r8_Ab12Cd34Ef56Gh78Ij90",
    "gsk_Ab12Cd34Ef56Gh78Ij90Kl12",
    "sk-proj-abcdefghij0123456789",
    "sk-ant-api03-abcdef_ghij-0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA-0123456789abcdefghijklmnopqrstu",
    "ghp_0123456789abcdefABCDEF0123456789abcd",
    "glpat-0123456789abcdefghij",
    "xoxb-123456789012-abcdefABCDEF",
    "key_0123456789abcdef0123456789abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "0f3a2b1c-1234-4abc-8def-0123456789ab:0123456789abcdef0123456789abcdef",
]
ORDINARY = [
    "Wan-AI/Wan2.2-T2V-A14B-Diffusers",
    "Wan2.1-T2V-1.3B-Diffusers",
    "fal-ai/kling-video/v2.5-turbo/pro/image-to-video",
    "hunyuanvideo15distilled720p",
    "StableVideoDiffusionPipelineXL",
    "hf_transformers_cache",
    "a_key_that_stands_in_the_0",
    "pk-and-sk-are-two-words",
    "/home/me/.cache/huggingface/hub/models--Wan-AI--Wan2.1-T2V-1.3B-Diffusers/snapshots/"
    "0fad780a534b6463e45facd96134c9f345acfa5b",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "0f3a2b1c-1234-4abc-8def-0123456789ab",
    "https://api.example.com/v1/models?version=2024-02-01",
    "--num-inference-steps={num_frames}",
    "a description of a backend that renders key frames, and a token of thanks",
    "Idempotency-Key",
    "Authorization: Bearer {key}",
    "X-Key: {key}",
    "--token=${HF_TOKEN}",
    "20250101120000000000000000",
    "ACME_VIDEO_API_KEY",
    "/home/user/Kq93ldkAbQz83kd92ldP4/key",
    "/nix/store/9dbyqvxz4ahw1r2zcy3p9wq8vjmk0l5d-python3-3.11",
    "videos/Kq93ldkAbQz83kd92ldP4.mp4",
    "max_tokens: 5",
    '{"max_new_tokens": 256, "min_tokens": 1}',
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("around", ["{}", "before {} after", "it is '{}'", "x={}&y", "/{}/send"])
def test_what_looks_like_a_key_is_hidden_in_any_text(key: str, around: str) -> None:
    assert key not in str(concealed(around.format(key)))
    assert key not in without_keys(around.format(key))


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_words_stay(text: str) -> None:
    assert concealed(text) == text
    assert without_keys(text) == text


@pytest.mark.parametrize(
    "alphabet", [string.ascii_letters + string.digits, string.ascii_lowercase + string.digits]
)
def test_nearly_all_random_keys_are_known_by_their_look(alphabet: str) -> None:
    random = Random(0)
    keys = ["".join(random.choices(alphabet, k=32)) for _ in range(300)]

    assert sum(map(looks_like_a_key, keys)) >= 285


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("hunter2", ("options", "key")),
        ("hunter2", ("options", "api_key")),
        ("hunter2", ("options", "apiKey")),
        ("hunter2", ("options", "client_secret")),
        ("hunter2", ("options", "X-Auth-Token")),
        ("X-Api-Key: hunter2", ("options", "auth")),
        ({"deep": ["hunter2"]}, ("options", "credentials")),
        ({"X-Anything": "hunter2"}, ("options", "headers")),
        ({"prompt": "{prompt}", "api_token": "hunter2"}, ("options", "body")),
        ({"a": [{"password": "hunter2"}]}, ("options", "body")),
        ("https://me:hunter2@example.com/v1", ("base_url",)),
        ("https://example.com/v1?key=hunter2", ("base_url",)),
        ("https://example.com/v1?a=b&access_token=hunter2&c=d", ("base_url",)),
        (["x", "--token=hunter2", "{output}"], ("options", "command")),
        (["x", "--api-key", "hunter2", "{output}"], ("options", "command")),
        (["curl", "-H", "X-Api-Key: hunter2"], ("options", "command")),
        (["curl", "-H", "Authorization: Bearer hunter2"], ("options", "command")),
        (["curl", "-u", "me:hunter2"], ("options", "command")),
        (["sh", "-c", "API_KEY=hunter2 make video"], ("options", "command")),
        (["sh", "-c", 'curl -d \'{"token": "hunter2"}\' x'], ("options", "command")),
    ],
)
def test_what_stands_at_a_telling_place_is_hidden(value: JsonValue, at: tuple[str, ...]) -> None:
    shown = str(concealed(value, at))

    assert "hunter2" not in shown
    assert HIDDEN in shown


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        ("key", True),
        ("FAL_KEY", True),
        ("HF_TOKEN", True),
        ("awsSecretAccessKey", True),
        ("SECRET_KEY_BASE", True),
        ("key_env", False),
        ("key_file", False),
        ("max_sequence_length", False),
        ("keyframes", False),
        ("monkey", False),
        ("author", False),
        ("token_limit", False),
        ("max_tokens", False),
        ("X-Api-Key-2", True),
        ("token_v2", True),
        ("session", True),
        ("PATH", False),
    ],
)
def test_a_name_tells_whether_it_is_of_a_secret(name: str, is_secret: bool) -> None:
    assert is_telling(name) is is_secret


def test_numbers_and_switches_stay_unless_their_name_tells() -> None:
    value: JsonValue = {"steps": 8, "loud": True, "nothing": None, "pin": 1234}

    assert concealed(value) == {"steps": 8, "loud": True, "nothing": None, "pin": HIDDEN}


HEADERS: JsonValue = {
    "Origin": "https://api.example.com",
    "Accept": "application/json",
    "X-Gateway-Token": "gateway-17",
    "Authorization": "Bearer of-acme",
    "Cookie": "id=biscuit",
    "X-Anything": "hf_PLANTEDabcdefghijklmnop0123456789",
}


def test_of_headers_only_what_is_a_key_by_name_or_look_is_kept_out_of_replies() -> None:
    found = set(hidden_values({"headers": HEADERS}))

    assert found == {
        *("gateway-17", "Bearer of-acme", "id=biscuit"),
        "hf_PLANTEDabcdefghijklmnop0123456789",
    }


def test_of_cookies_only_what_is_a_key_by_name_or_look_is_kept_out_of_replies() -> None:
    cookies: JsonValue = {"language": "application/json", "session": "biscuit-17"}

    assert list(hidden_values({"cookies": cookies})) == ["biscuit-17"]


@pytest.mark.parametrize("place", ["headers", "cookies"])
def test_headers_and_cookies_are_shown_without_any_value(place: str) -> None:
    shown = concealed({place: HEADERS})

    assert isinstance(HEADERS, dict)
    assert shown == {place: dict.fromkeys(HEADERS, HIDDEN)}


@pytest.mark.parametrize("part", ["x", "sk_", "-eyJ", "a.", 'a="', "://", "key-", " ", "-"])
def test_a_long_text_is_read_once(part: str) -> None:
    text = part * (300_000 // len(part))
    began = time.process_time()  # noqa: TID251  # held to a bound that no machine comes near

    concealed({"prompt": text})

    assert time.process_time() - began < 60  # noqa: TID251  # quadratic: ten minutes
