"""Signatures: those of RFC 8032 and of openssl hold, and everything else does not."""

import base64

import pytest

from media_agent.errors import ConfigurationError
from media_agent.routing.refresh.signature import is_signed, read_public_key, read_signature
from tests.routing.refresh.signing import PUBLIC_KEY, sign

RFC_8032 = [  # section 7.1, tests 1 to 3: key, message, signature
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
OPENSSL_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAiWYFcKrqu5ISx/4gdS/DsqnlE0edaezo5k5P2UDOils=
-----END PUBLIC KEY-----
"""
OPENSSL_FILE = b'{"date": "2026-11-28", "backends": {}}'
OPENSSL_SIGNATURE = (
    b"XIZ6bJ2jOessWhWvpWXYoaJ2+SZPtmGtleiwAIhLUb6OXV44Yl0pIRUUrPBp71cyvf38656zeVEnZqHnf68JAA=="
)


@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032)
def test_the_signatures_of_the_standard_hold(key: str, message: str, signature: str) -> None:
    said = bytes.fromhex(message)

    assert is_signed(said, bytes.fromhex(signature), bytes.fromhex(key))
    assert not is_signed(said + b"x", bytes.fromhex(signature), bytes.fromhex(key))


def test_what_openssl_signed_holds_with_the_key_as_it_prints_it() -> None:
    key = read_public_key(OPENSSL_KEY)

    assert key == read_public_key(OPENSSL_KEY.splitlines()[1])
    assert is_signed(OPENSSL_FILE, read_signature(OPENSSL_SIGNATURE), key)


@pytest.mark.parametrize("place", [0, 31, 32, 63])
def test_a_signature_with_one_other_bit_does_not_hold(place: int) -> None:
    signature = bytearray(sign(b"a price"))
    signature[place] ^= 1

    assert is_signed(b"a price", sign(b"a price"), read_public_key(PUBLIC_KEY))
    assert not is_signed(b"a price", bytes(signature), read_public_key(PUBLIC_KEY))


def test_a_second_spelling_of_a_signature_does_not_hold() -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    signature = sign(b"a price")
    larger = int.from_bytes(signature[32:], "little") + order

    spelt = signature[:32] + larger.to_bytes(32, "little")

    assert not is_signed(b"a price", spelt, read_public_key(PUBLIC_KEY))


@pytest.mark.parametrize("signature", [b"", b"short", bytes(64), bytes(63), b"=" * 88])
def test_what_is_no_signature_holds_for_nothing(signature: bytes) -> None:
    assert not is_signed(b"a price", read_signature(signature), read_public_key(PUBLIC_KEY))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no key at all",
        base64.b64encode(b"short").decode(),
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no Ed25519 key"):
        read_public_key(text)
