"""Whose certificate signs, and what is said of one that cannot."""

import os
import stat
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import SecretStr

from media_agent.errors import ConfigurationError
from media_agent.provenance.c2pa.credentials import find_credentials
from media_agent.provenance.c2pa.development import (
    FILE,
    NAME,
    development_certificate,
    make_certificate,
)
from media_agent.provenance.c2pa.key_types import as_raw_signature, choose_algorithm, sign_with
from media_agent.provenance.c2pa.sign import try_signing
from media_agent.provenance.c2pa.signing import Signing
from media_agent_schemas.provenance import SignerKind
from tests.provenance.c2pa.signed_videos import certificate_of

NOW = datetime.now(UTC)
DER_SIGNERS: list[bytes] = []


def test_the_development_certificate_is_made_once_and_is_private(tmp_path: Path) -> None:
    signing = Signing(policy="try", folder=tmp_path / "kept")

    first, second = find_credentials(signing, NOW), find_credentials(signing, NOW)

    assert first.chain == second.chain
    assert (first.kind, first.name) == (SignerKind.DEVELOPMENT, NAME)
    assert "development" in NAME
    assert stat.S_IMODE((tmp_path / "kept" / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700
    assert b"PRIVATE KEY" not in first.chain


def test_the_development_certificate_is_renewed_before_it_expires(tmp_path: Path) -> None:
    old = development_certificate(tmp_path, NOW - timedelta(days=350))

    new = development_certificate(tmp_path, NOW)

    assert new != old
    assert development_certificate(tmp_path, NOW) == new


def cut(pem: bytes) -> bytes:
    return pem[:-60] + b"\n"


def swap_key(pem: bytes) -> bytes:
    other, _ = make_certificate(NOW)
    mark = b"-----BEGIN PRIVATE KEY-----"
    return pem.partition(mark)[0] + mark + other.partition(mark)[2]


def postdate(pem: bytes) -> bytes:
    return make_certificate(NOW + timedelta(days=90))[0]  # the clock was wrong


@pytest.mark.parametrize("harm", [lambda pem: b"nothing", cut, swap_key, postdate])
def test_a_development_certificate_that_is_of_no_use_is_made_again(
    tmp_path: Path, harm: Callable[[bytes], bytes]
) -> None:
    signing = Signing(policy="try", folder=tmp_path)
    (tmp_path / FILE).write_bytes(harm(development_certificate(tmp_path, NOW)))

    assert find_credentials(signing, NOW).kind is SignerKind.DEVELOPMENT


def test_a_certificate_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pem")

    with pytest.raises(ConfigurationError, match="not a regular file"):
        find_credentials(Signing(policy="try", certificate=tmp_path / "pipe.pem"), NOW)


def test_the_users_certificate_signs_with_its_key(tmp_path: Path) -> None:
    path, key = certificate_of(tmp_path)
    signing = Signing(policy="require", certificate=path, find_key=lambda: key)

    found = find_credentials(signing, NOW)

    assert found.kind is SignerKind.CERTIFICATE
    try_signing(found)


def sign_as_der(data: bytes) -> bytes:
    """Sign as a key service does, in DER."""
    key = load_pem_private_key(DER_SIGNERS[-1], None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    from cryptography.hazmat.primitives.hashes import SHA256

    return key.sign(data, ec.ECDSA(SHA256()))


def fail(data: bytes) -> bytes:
    raise RuntimeError("the service says: token sk-secret-4711 is not valid")


def test_a_callback_signs_where_the_key_is_elsewhere(tmp_path: Path) -> None:
    path, key = certificate_of(tmp_path)
    DER_SIGNERS.append(key.get_secret_value().encode())
    signing = Signing(policy="require", certificate=path, callback=f"{__name__}:sign_as_der")

    found = find_credentials(signing, NOW)

    assert found.kind is SignerKind.CALLBACK
    try_signing(found)


def test_a_callback_that_fails_says_so_and_not_what_its_service_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, _ = certificate_of(tmp_path)
    found = find_credentials(
        Signing(policy="require", certificate=path, callback=f"{__name__}:fail"), NOW
    )
    caplog.set_level("DEBUG")

    with pytest.raises(ConfigurationError, match="callback failed: RuntimeError") as caught:
        try_signing(found)

    assert "4711" not in f"{caught.value} {caught.value.hint} {caplog.text}"


@pytest.mark.parametrize("callback", ["nowhere.at.all:sign", f"{__name__}:NOW", f"{__name__}:gone"])
def test_a_callback_that_is_no_function_is_named(tmp_path: Path, callback: str) -> None:
    path, _ = certificate_of(tmp_path)

    with pytest.raises(ConfigurationError, match=r"provenance\.callback"):
        find_credentials(Signing(policy="try", certificate=path, callback=callback), NOW)


@pytest.mark.parametrize(("days_ago", "said"), [(400, "expired on"), (-5, "valid only from")])
def test_a_certificate_at_the_wrong_time_is_refused(
    tmp_path: Path, days_ago: float, said: str
) -> None:
    path, key = certificate_of(tmp_path, days_ago=days_ago)

    with pytest.raises(ConfigurationError, match=said):
        find_credentials(Signing(policy="try", certificate=path, find_key=lambda: key), NOW)


def encrypted(key: SecretStr) -> str:
    loaded = load_pem_private_key(key.get_secret_value().encode(), None)
    secret = loaded.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
    )
    return secret.decode()


def test_what_is_wrong_with_a_key_is_said_without_it(tmp_path: Path) -> None:
    path, key = certificate_of(tmp_path)
    other = certificate_of(tmp_path)[1]  # the certificate is overwritten: the first key is another
    damaged = key.get_secret_value()[:-60]
    cases = {
        "no private key in PEM": SecretStr(damaged),
        "is encrypted": SecretStr(encrypted(other)),
        "does not belong": key,
        "has no private key": None,
    }

    for said, each in cases.items():
        with pytest.raises(ConfigurationError, match=said) as caught:
            find_credentials(
                Signing(policy="try", certificate=path, find_key=lambda each=each: each), NOW
            )
        shown = f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}"
        assert key.get_secret_value().splitlines()[1] not in shown


def test_a_certificate_that_is_none_or_is_not_there_is_named(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        find_credentials(Signing(policy="try", certificate=nothing), NOW)
    nothing.write_text("no PEM")

    with pytest.raises(ConfigurationError, match="no certificate in PEM"):
        find_credentials(
            Signing(policy="try", certificate=nothing, find_key=lambda: SecretStr("x")), NOW
        )


def test_a_key_without_a_certificate_is_refused_and_not_ignored(tmp_path: Path) -> None:
    signing = Signing(policy="try", folder=tmp_path, find_key=lambda: SecretStr("x"))

    with pytest.raises(ConfigurationError, match="no certificate"):
        find_credentials(signing, NOW)


def test_without_c2pa_the_way_to_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)

    with pytest.raises(ConfigurationError, match="not installed") as caught:
        find_credentials(Signing(policy="try", folder=tmp_path), NOW)

    assert "[c2pa]" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP384R1()), "es384"),
        (ec.generate_private_key(ec.SECP521R1()), "es512"),
        (ed25519.Ed25519PrivateKey.generate(), "ed25519"),
        (rsa.generate_private_key(65537, 2048), "ps256"),
    ],
    ids=["P-384", "P-521", "Ed25519", "RSA"],
)
def test_each_kind_of_key_has_its_algorithm(key: object, algorithm: str) -> None:
    lengths = {"es384": 96, "es512": 132, "ed25519": 64, "ps256": 256}

    assert choose_algorithm(key.public_key()) == algorithm  # type: ignore[attr-defined]
    assert len(sign_with(key, b"data")) == lengths[algorithm]


def test_a_kind_of_key_that_c2pa_does_not_know_is_refused() -> None:
    for key in (ec.generate_private_key(ec.SECP256K1()), rsa.generate_private_key(65537, 1024)):
        with pytest.raises(ConfigurationError, match="no key of this kind"):
            choose_algorithm(key.public_key())


def test_a_raw_signature_stays_as_it_is() -> None:
    assert as_raw_signature(b"x" * 64, "es256") == b"x" * 64
    with pytest.raises(ValueError):
        as_raw_signature(b"neither", "es256")
