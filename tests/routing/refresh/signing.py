"""Signs files for tests, with a key that exists for nothing else."""

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_KEY = Ed25519PrivateKey.from_private_bytes(b"a key of these tests, 32 bytes !")
PUBLIC_KEY = base64.b64encode(_KEY.public_key().public_bytes_raw()).decode()


def sign(message: bytes) -> bytes:
    """Return the signature of a message."""
    return _KEY.sign(message)
