"""Sends one event to one endpoint, and says what became of it; never into an inner network."""

import asyncio
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from media_agent.ledger.serving.deliveries import Delivery
from media_agent.server.access.public_network import open_public_client
from media_agent.server.webhooks.signing import sign
from media_agent.storage.addresses import is_inner, parsed_address

if TYPE_CHECKING:
    import httpx

SECONDS = 15.0
"""How long an endpoint may take to answer."""
_GONE = 410


class Result(StrEnum):
    """What became of an attempt."""

    DELIVERED = "delivered"
    MISSED = "missed"
    GONE = "gone"
    """The endpoint says that it wants nothing more."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: what became of it, and the endpoint's answer in a few words."""

    result: Result
    answer: str


_NOT_PUBLIC = Attempt(Result.MISSED, "its address is not public, and only public ones are called")


def open_client() -> "httpx.AsyncClient":
    """Return a client that reaches public addresses only, and follows no redirect."""
    import httpx

    return open_public_client(timeout=httpx.Timeout(SECONDS))


def build_body(event_id: str, event: str, job_id: str, created_at: float) -> bytes:
    """Return the body of an event, in the shape of OpenAI's; the same each time."""
    body = {
        "id": event_id,
        "object": "event",
        "created_at": int(created_at),
        "type": event,
        "data": {"id": job_id},
    }
    return json.dumps(body, separators=(",", ":")).encode()


def build_request(
    delivery: Delivery, *, secrets: tuple[bytes, ...], now: float
) -> tuple[bytes, dict[str, str]]:
    """Return the body of an event and its headers, signed at this moment."""
    body = build_body(delivery.id, delivery.event, delivery.job_id, delivery.created_at)
    signed = sign(secrets, message_id=delivery.id, time=int(now), body=body)
    return body, {"Content-Type": "application/json", **signed}


async def send(
    client: "httpx.AsyncClient",
    url: str,
    delivery: Delivery,
    *,
    secrets: tuple[bytes, ...],
    now: float,
) -> Attempt:
    """Send an event once; of the answer only the status is read."""
    import httpx
    from httpx_secure import SSRFProtectionError

    body, headers = build_request(delivery, secrets=secrets, now=now)
    address = parsed_address(url)
    if address is None or is_inner(address.host):  # before anything is looked up or connected to
        return _NOT_PUBLIC
    try:
        async with (
            asyncio.timeout(SECONDS),
            client.stream("POST", address, content=body, headers=headers) as response,
        ):
            return _attempt_of(response.status_code)
    except (TimeoutError, httpx.TimeoutException):
        return Attempt(Result.MISSED, f"no answer within {SECONDS:g} s")
    except SSRFProtectionError:
        return _NOT_PUBLIC
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Attempt(Result.MISSED, f"it cannot be reached: {type(error).__name__}")


def _attempt_of(status: int) -> Attempt:
    if 200 <= status < 300:
        return Attempt(Result.DELIVERED, f"HTTP {status}")
    if status == _GONE:
        return Attempt(Result.GONE, f"HTTP {status}: it wants no more events")
    if 300 <= status < 400:
        return Attempt(Result.MISSED, f"HTTP {status}: redirects are not followed")
    return Attempt(Result.MISSED, f"HTTP {status}")
