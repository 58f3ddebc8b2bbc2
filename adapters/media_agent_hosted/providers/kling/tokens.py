"""The older key pair of Kling: a token that is signed here, good for half an hour."""

import base64
import hashlib
import hmac
import json

from pydantic import JsonValue, SecretStr

from media_agent_hosted.http.auth import Token

_GOOD_FOR, _EARLIER = 1800, 5  # seconds


def sign_token(access_key: str, secret_key: SecretStr, now: float) -> Token:
    """Return a JWT for the time `now`, in seconds since 1970."""
    ends_at = int(now) + _GOOD_FOR
    head = _encode_json({"alg": "HS256", "typ": "JWT"})
    claims = _encode_json({"iss": access_key, "exp": ends_at, "nbf": int(now) - _EARLIER})
    signed = f"{head}.{claims}"
    secret = secret_key.get_secret_value().strip().encode()
    signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return Token(f"{signed}.{_encode(signature)}", ends_at)


def _encode_json(value: JsonValue) -> str:
    return _encode(json.dumps(value, separators=(",", ":")).encode())


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
