"""Checks Ed25519 signatures (RFC 8032); what is secret, the signing, is done by openssl elsewhere.

Everything here is public, so that it does not matter how long a check takes.
"""

import base64
import binascii
import hashlib
from typing import NamedTuple

from media_agent.errors import ConfigurationError

_P = 2**255 - 19  # of the field
_ORDER = 2**252 + 27742317777372353535851937790883648493  # of the base point
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)
_DER = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of a public key in the files that openssl writes."""


class _Point(NamedTuple):
    """A point of the curve as x/z, y/z, with t = xy/z."""

    x: int
    y: int
    z: int
    t: int


_NEUTRAL = _Point(0, 1, 1, 0)


def is_signed(message: bytes, signature: bytes, public_key: bytes) -> bool:
    """Return whether the owner of a public key signed a message."""
    key, commitment = _decode(public_key), _decode(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or len(signature) != 64 or scalar >= _ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    expected = _add(commitment, _multiply(challenge, key))
    return _are_equal(_multiply(scalar, _BASE), expected)


def read_public_key(text: str) -> bytes:
    """Return the 32 bytes of a public key: as openssl writes it, or those bytes in base64.

    Raises:
        ConfigurationError: it is none.
    """
    lines = (line.strip() for line in text.strip().splitlines() if not line.startswith("-----"))
    try:
        key = base64.b64decode("".join(lines), validate=True).removeprefix(_DER)
    except (binascii.Error, ValueError):
        key = b""
    point = _decode(key)
    if point is None or _are_equal(_multiply(8, point), _NEUTRAL):  # which would sign everything
        raise ConfigurationError(
            "the public key is no Ed25519 key",
            hint="give the middle line of what openssl pkey -pubout prints",
        )
    return key


def read_signature(content: bytes) -> bytes:
    """Return the 64 bytes of a signature, which may be written in base64; b"": it is none."""
    if len(content) == 64:
        return content
    try:
        found = base64.b64decode(b"".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return found if len(found) == 64 else b""


def _decode(data: bytes) -> _Point | None:
    """Return the point that 32 bytes stand for: y, and in the top bit the sign of x."""
    if len(data) != 32:
        return None
    packed = int.from_bytes(data, "little")
    y, sign = packed % 2**255, packed >> 255
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if x * x % _P != square:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if x * x % _P != square or (x == 0 and sign):
        return None
    x = x if x % 2 == sign else _P - x
    return _Point(x, y, 1, x * y % _P)


def _add(one: _Point, other: _Point) -> _Point:
    low = (one.y - one.x) * (other.y - other.x) % _P
    high = (one.y + one.x) * (other.y + other.x) % _P
    both = 2 * _D * one.t * other.t % _P
    scale = 2 * one.z * other.z % _P
    across, down = high - low, high + low
    minus, plus = scale - both, scale + both
    return _Point(across * minus % _P, plus * down % _P, minus * plus % _P, across * down % _P)


def _multiply(factor: int, point: _Point) -> _Point:
    total = _NEUTRAL
    while factor:
        if factor % 2:
            total = _add(total, point)
        point = _add(point, point)
        factor //= 2
    return total


def _are_equal(one: _Point, other: _Point) -> bool:
    return (
        (one.x * other.z - other.x * one.z) % _P == 0 == ((one.y * other.z - other.y * one.z) % _P)
    )


def _find_base() -> _Point:
    point = _decode((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
    assert point is not None
    return point


_BASE = _find_base()
