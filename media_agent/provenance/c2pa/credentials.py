"""Whose certificate signs, and how: the settings', its key here or elsewhere, or one made here."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.distribution import install_hint
from media_agent.errors import ConfigurationError
from media_agent.provenance.c2pa.development import NAME as DEVELOPMENT
from media_agent.provenance.c2pa.development import development_certificate
from media_agent.provenance.c2pa.key_types import (
    Key,
    as_raw_signature,
    choose_algorithm,
    sign_with,
)
from media_agent.provenance.c2pa.signing import Signing
from media_agent.storage.files import ordinary_file
from media_agent_schemas.provenance import SignerKind

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_LARGEST = 2**18  # bytes of a file with certificates
SOON = timedelta(days=30)
"""A certificate that expires within this time is told before."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a video is signed with."""

    kind: SignerKind
    name: str
    expires_at: datetime
    algorithm: str
    """As C2PA calls it, such as es256."""
    chain: bytes
    """The certificate and those that issued it, without the root, as PEM."""
    sign: Callable[[bytes], bytes]
    """Returns the signature of some bytes, raw."""


def find_credentials(signing: Signing, now: datetime) -> Credentials:
    """Return what a video is signed with; the development certificate is made at first use.

    Raises:
        ConfigurationError: videos cannot be signed, and why; no key is in what it says.
        StorageError: the development certificate cannot be kept.
    """
    check_installed()
    if signing.certificate is None:
        _refuse_half(signing)
        pem = development_certificate(signing.folder, now)
        return _with_key(SignerKind.DEVELOPMENT, pem, pem, now, "the development certificate")
    where = f"the certificate {signing.certificate}"
    chain = _read_chain(signing.certificate)
    if signing.callback is not None:
        return _with_callback(signing.callback, chain, now, where)
    key = signing.find_key()
    if key is None:
        raise ConfigurationError(
            f"{where} has no private key",
            hint="set provenance.key_file, provenance.key_env or provenance.callback",
        )
    return _with_key(SignerKind.CERTIFICATE, chain, key.get_secret_value().encode(), now, where)


def check_installed() -> None:
    """Refuse to begin without c2pa.

    Raises:
        ConfigurationError: it is not installed.
    """
    if not is_installed():
        raise ConfigurationError("c2pa is not installed", hint=install_hint("c2pa"))


def is_installed() -> bool:
    """Return whether c2pa is there; it is not loaded."""
    return find_spec("c2pa") is not None


def _refuse_half(signing: Signing) -> None:
    if signing.callback is not None or signing.find_key() is not None:
        raise ConfigurationError(
            "provenance has a key or a callback, and no certificate",
            hint="set provenance.certificate to the file with its certificate, as PEM",
        )


def _read_chain(path: Path) -> bytes:
    try:
        with ordinary_file(path) as file:
            chain = file.read(_LARGEST)
    except OSError as error:
        said = f"the certificate {path} cannot be read: {error.strerror}"
        raise ConfigurationError(said, hint="set provenance.certificate") from None
    return b"".join(_certificates_of(chain))  # and not a key that lies in the same file


def _certificates_of(pem: bytes) -> list[bytes]:
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    parts = (part.partition(end)[0] for part in pem.split(begin)[1:])
    return [begin + part + end + b"\n" for part in parts]


def _with_key(kind: SignerKind, chain: bytes, pem: bytes, now: datetime, where: str) -> Credentials:
    certificate = _load_certificate(chain, where, now)
    key = _load_key(pem)
    if key.public_key() != certificate.public_key():
        raise ConfigurationError(
            f"{where} does not belong to the private key", hint="set both to those of one pair"
        )
    return _build(kind, certificate, chain, lambda data: sign_with(key, data))


def _with_callback(name: str, chain: bytes, now: datetime, where: str) -> Credentials:
    certificate, function = _load_certificate(chain, where, now), _find_callback(name)
    algorithm = choose_algorithm(certificate.public_key())

    def sign(data: bytes) -> bytes:
        return as_raw_signature(function(data), algorithm)

    return _build(SignerKind.CALLBACK, certificate, chain, sign)


def _build(
    kind: SignerKind, certificate: "Certificate", chain: bytes, sign: Callable[[bytes], bytes]
) -> Credentials:
    return Credentials(
        kind,
        name=_common_name(certificate),
        expires_at=certificate.not_valid_after_utc,
        algorithm=choose_algorithm(certificate.public_key()),
        chain=b"".join(_certificates_of(chain)),
        sign=sign,
    )


def _load_certificate(chain: bytes, where: str, now: datetime) -> "Certificate":
    from cryptography.x509 import load_pem_x509_certificate

    try:
        certificate = load_pem_x509_certificate(chain)
    except ValueError:
        raise ConfigurationError(
            f"{where} is no certificate in PEM",
            hint="its file begins with -----BEGIN CERTIFICATE-----, the signer's own first",
        ) from None
    if now > certificate.not_valid_after_utc:
        said = f"{where} expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
        raise ConfigurationError(said, hint="have it renewed, then set provenance.certificate")
    if now < certificate.not_valid_before_utc:
        said = f"{where} is valid only from {certificate.not_valid_before_utc:%Y-%m-%d} on"
        raise ConfigurationError(said, hint="check the clock of this machine")
    return certificate


def _load_key(pem: bytes) -> Key:
    """Return a private key; what is said of one that cannot be read shows nothing of it."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        said = "the private key of the certificate is encrypted"
        raise ConfigurationError(said, hint="write it without a passphrase (chmod 600)") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(
            "the private key of the certificate is no private key in PEM",
            hint="its file begins with -----BEGIN PRIVATE KEY-----",
        ) from None
    choose_algorithm(key.public_key())
    return key  # type: ignore[return-value]  # of a type that has an algorithm, as was checked


def _find_callback(name: str) -> Callable[[bytes], bytes]:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # noqa: BLE001  # a module of somebody's own
        raise ConfigurationError(
            f"provenance.callback {name} cannot be loaded: {type(error).__name__}",
            hint="name a function that can be imported, as package.module:function",
        ) from None
    if not callable(found):
        raise ConfigurationError(f"provenance.callback {name} is no function")
    return found  # type: ignore[no-any-return]  # whatever it is, what it returns is checked


def _common_name(certificate: "Certificate") -> str:
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def is_development(name: str | None) -> bool:
    """Return whether a certificate calls itself one for development."""
    return name == DEVELOPMENT
