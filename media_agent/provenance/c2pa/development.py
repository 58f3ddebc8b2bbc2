"""A certificate for development, made on this machine; its name says that nobody else trusts it.

The root that issued it lies beside it, to be a trust anchor for those who want that; the root's key
is thrown away.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.storage.files import storage_errors, write_atomically
from media_agent.storage.locks import lock

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, CertificateBuilder, KeyUsage, Name

NAME = "media-agent development certificate"
ROOT = "development-root.pem"
FILE = "development.pem"
"""Certificate and key."""
_VALID = timedelta(days=365)
_RENEWED = timedelta(days=30)  # before it expires
_CLOCKS_DIFFER = timedelta(hours=1)


def development_certificate(folder: Path, now: datetime) -> bytes:
    """Return certificate and key as one PEM; they are made where there are none, or old ones.

    Raises:
        StorageError: the folder cannot be written.
    """
    path = folder / FILE
    with storage_errors(str(path)):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with lock(folder / ".lock", waits=True):
            if path.exists() and _is_current(found := path.read_bytes(), now):
                return found
            made, root = make_certificate(now)
            write_atomically(folder / ROOT, root)
            write_atomically(path, made, mode=0o600)
            return made


def _is_current(pem: bytes, now: datetime) -> bool:
    """Return whether certificate and key can be used now; the clock may have been wrong before."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate

    try:
        certificate = load_pem_x509_certificate(pem)
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # damaged
        return False
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    is_pair = key.public_key() == certificate.public_key()
    return is_pair and begins <= now < ends - _RENEWED


def make_certificate(now: datetime) -> tuple[bytes, bytes]:
    """Return certificate and key, and the root that issued it, as PEM."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _build_root(root_key, now)
    certificate = _build_leaf(key, root, root_key, now)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM) + secret, root.public_bytes(Encoding.PEM)


def _build_root(key: "EllipticCurvePrivateKey", now: datetime) -> "Certificate":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    name = _name("media-agent development root")
    return (
        _begin(name, name, key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _build_leaf(
    key: "EllipticCurvePrivateKey",
    root: "Certificate",
    root_key: "EllipticCurvePrivateKey",
    now: datetime,
) -> "Certificate":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])  # as C2PA asks
    return (
        _begin(_name(NAME), root.subject, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(purpose, critical=False)
        .add_extension(issuer, critical=False)
        .sign(root_key, hashes.SHA256())
    )


def _begin(
    subject: "Name", issuer: "Name", key: "EllipticCurvePrivateKey", now: datetime
) -> "CertificateBuilder":
    from cryptography import x509

    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + _VALID)
        .add_extension(own, critical=False)
    )


def _name(common: str) -> "Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "media-agent development, not trusted"),
        ]
    )


def _usage(*, signs_certificates: bool) -> "KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
