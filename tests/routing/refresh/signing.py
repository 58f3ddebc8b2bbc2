"""Signs files for tests, with a key that exists for nothing else (RFC 8032, as the check does)."""

import base64
import hashlib

from media_agent.routing.refresh import signature as curve

_SEED = hashlib.sha512(b"a key that exists for these tests alone").digest()
_SCALAR = int.from_bytes(_SEED[:32], "little") % 2**251
_ORDER = curve._ORDER


def _encode(point: curve._Point) -> bytes:
    scale = pow(point.z, -1, curve._P)
    x, y = point.x * scale % curve._P, point.y * scale % curve._P
    return (y | (x % 2) << 255).to_bytes(32, "little")


_KEY = _encode(curve._multiply(_SCALAR, curve._BASE))
PUBLIC_KEY = base64.b64encode(_KEY).decode()


def sign(message: bytes) -> bytes:
    """Return the signature of a message."""
    digest = hashlib.sha512(_SEED[32:] + message).digest()
    secret = int.from_bytes(digest, "little") % _ORDER
    commitment = _encode(curve._multiply(secret, curve._BASE))
    digest = hashlib.sha512(commitment + _KEY + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    return commitment + ((secret + challenge * _SCALAR) % _ORDER).to_bytes(32, "little")
