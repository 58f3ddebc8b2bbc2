"""Checks Ed25519 signatures (RFC 8032); openssl signs, with a key that stays with its owner."""

import base64
import binascii

from media_agent.errors import ConfigurationError

_DER = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of a public key in the files that openssl writes."""


def is_signed(message: bytes, signature: bytes, public_key: bytes) -> bool:
    """Return whether the owner of a public key, 32 bytes, signed a message."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


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
    if len(key) != 32:
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
