"""Signatures of webhooks, made and checked; pure.

Standard Webhooks (standardwebhooks.com) signs what we send, and what most providers send; fal signs
its callbacks in its own way.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import JsonValue

from media_agent.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLERANCE = 300
"""Seconds that the clock of a sender may differ from ours."""

_PREFIX = "whsec_"
_SHORTEST_SECRET = 24  # bytes, as Standard Webhooks asks
_LONGEST_NUMBER = 20  # digits of a timestamp
_FAL = "x-fal-webhook-"
_HOW_TO_MAKE = 'make one with: echo "whsec_$(openssl rand -base64 32)"'


def read_secrets(text: str, place: str) -> tuple[bytes, ...]:
    """Return the secrets that a setting holds: one, or while it is rotated several, with spaces.

    Raises:
        ConfigurationError: one of them is no secret; `place` names where it stands.
    """
    secrets = tuple(_read_secret(each, place) for each in text.split())
    if not secrets:
        raise ConfigurationError(f"{place} is empty", hint=_HOW_TO_MAKE)
    return secrets


def _read_secret(text: str, place: str) -> bytes:
    try:
        secret = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(_PREFIX) or len(secret) < _SHORTEST_SECRET:
        raise ConfigurationError(
            f"{place} is not a signing secret: {_PREFIX} and the base64 of at least "
            f"{_SHORTEST_SECRET} bytes",
            hint=_HOW_TO_MAKE,
        )
    return secret


def sign(secrets: Iterable[bytes], *, message_id: str, time: int, body: bytes) -> dict[str, str]:
    """Return the headers that sign a message, with a signature by each secret."""
    signed = (f"v1,{_signature(each, message_id, str(time), body)}" for each in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(time),
        "webhook-signature": " ".join(signed),
    }


def is_signed(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], *, now: float
) -> bool:
    """Return whether a message has a signature by one of the secrets, and is of this time."""
    message_id, time = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not _is_recent(time, now):
        return False
    given = [
        value
        for version, _, value in (
            each.partition(",") for each in headers.get("webhook-signature", "").split()
        )
        if version == "v1"
    ]
    due = [_signature(each, message_id, time, body) for each in secrets]
    return any(hmac.compare_digest(one.encode(), other.encode()) for one in due for other in given)


def is_signed_by_fal(
    headers: Mapping[str, str], body: bytes, keys: "Sequence[Ed25519PublicKey]", *, now: float
) -> bool:
    """Return whether a callback has fal's signature by one of its keys, and is of this time."""
    request, user, time, signature = (
        headers.get(_FAL + name, "") for name in ("request-id", "user-id", "timestamp", "signature")
    )
    if not request or not _is_recent(time, now):
        return False
    signed = "\n".join((request, user, time, hashlib.sha256(body).hexdigest())).encode()
    try:
        given = bytes.fromhex(signature)
    except ValueError:
        return False
    return any(_verifies(key, given, signed) for key in keys)


def read_key_set(data: JsonValue) -> "tuple[Ed25519PublicKey, ...]":
    """Return the Ed25519 keys of a JSON Web Key Set; what else is in it is left out."""
    listed = data.get("keys") if isinstance(data, dict) else None
    keys = (_read_key(each) for each in (listed if isinstance(listed, list) else ()))
    return tuple(key for key in keys if key is not None)


def _read_key(data: JsonValue) -> "Ed25519PublicKey | None":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not isinstance(data, dict) or data.get("kty") != "OKP" or data.get("crv") != "Ed25519":
        return None
    point = str(data.get("x"))
    try:
        return Ed25519PublicKey.from_public_bytes(
            base64.urlsafe_b64decode(point + "=" * (-len(point) % 4))
        )
    except ValueError:  # also what binascii raises
        return None


def _verifies(key: "Ed25519PublicKey", signature: bytes, signed: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _signature(secret: bytes, message_id: str, time: str, body: bytes) -> str:
    signed = f"{message_id}.{time}.".encode() + body
    return base64.b64encode(hmac.digest(secret, signed, "sha256")).decode("ascii")


def _is_recent(time: str, now: float) -> bool:
    is_number = time.isascii() and time.isdecimal() and len(time) <= _LONGEST_NUMBER
    return is_number and abs(now - int(time)) <= TOLERANCE
