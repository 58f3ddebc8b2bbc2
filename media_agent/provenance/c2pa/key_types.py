"""Which algorithm signs with which kind of key, and its signatures as C2PA wants them."""

from typing import TYPE_CHECKING, TypeAlias

from media_agent.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    Key: TypeAlias = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey
else:
    Key = object

_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_NUMBER_BYTES = {"es256": 32, "es384": 48, "es512": 66}
"""Bytes of each of the two numbers of an ECDSA signature."""
_LEAST_RSA_BITS = 2048


def choose_algorithm(public_key: object) -> str:
    """Return the algorithm for the kind of a key, as C2PA calls it.

    Raises:
        ConfigurationError: C2PA has none for it.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    match public_key:
        case ec.EllipticCurvePublicKey() if public_key.curve.name in _CURVES:
            return _CURVES[public_key.curve.name]
        case ed25519.Ed25519PublicKey():
            return "ed25519"
        case rsa.RSAPublicKey() if public_key.key_size >= _LEAST_RSA_BITS:
            return "ps256"
        case _:
            raise ConfigurationError(
                "C2PA signs with no key of this kind",
                hint="use one of EC P-256, P-384 or P-521, Ed25519, or RSA of 2048 bits or more",
            )


def sign_with(key: Key, data: bytes) -> bytes:
    """Return the signature of some bytes, raw."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

    algorithm = choose_algorithm(key.public_key())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        digests = {"es256": hashes.SHA256(), "es384": hashes.SHA384(), "es512": hashes.SHA512()}
        return as_raw_signature(key.sign(data, ec.ECDSA(digests[algorithm])), algorithm)
    sha256 = hashes.SHA256()
    scheme = padding.PSS(mgf=padding.MGF1(sha256), salt_length=sha256.digest_size)
    return key.sign(data, scheme, sha256)


def as_raw_signature(signature: bytes, algorithm: str) -> bytes:
    """Return an ECDSA signature as its two numbers; most key services write it as DER.

    Raises:
        ValueError: it is neither.
    """
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    size = _NUMBER_BYTES.get(algorithm)
    if size is None or len(signature) == 2 * size:
        return signature
    r, s = decode_dss_signature(signature)
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")
