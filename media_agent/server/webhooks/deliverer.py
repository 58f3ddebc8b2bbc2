"""Delivers the events that wait in the ledger, again and again over hours, until they are there.

Each endpoint is served by itself, so that a slow one delays no other.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from media_agent.errors import MediaAgentError
from media_agent.ledger.serving.deliveries import Deliveries, Delivery, EndpointTerms
from media_agent.server.webhooks.sender import SECONDS, Attempt, Result

PAUSES = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800)
"""Seconds between one attempt and the next: ten attempts in about sixteen hours."""

_LOOK_SECONDS = 1.0  # between two looks into the ledger
_AT_ONCE = 4  # attempts at one endpoint at a time
_LEASE = 2 * SECONDS  # an attempt that takes longer is that of a dead process
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events are sent, and what signs them."""

    terms: EndpointTerms
    secrets: tuple[bytes, ...] = field(repr=False)


Send = Callable[[Endpoint, Delivery, float], Awaitable[Attempt]]
"""Sends one event at a time, in seconds since the epoch."""


class Deliverer:
    """Serves the endpoints of the settings; several processes may, over one ledger."""

    def __init__(
        self,
        deliveries: Deliveries,
        endpoints: Mapping[str, Endpoint],
        send: Send,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._deliveries = deliveries
        self._endpoints = endpoints
        self._send = send
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> None:
        """Deliver until cancelled; what was begun then is taken up by the next run."""
        while not self._keep_endpoints():
            await self._sleep(_LOOK_SECONDS)
        async with asyncio.TaskGroup() as group:
            for name in self._endpoints:
                group.create_task(self._serve(name))

    def _keep_endpoints(self) -> bool:
        terms = {name: endpoint.terms for name, endpoint in self._endpoints.items()}
        try:
            self._deliveries.keep_endpoints(terms, self._clock())
        except MediaAgentError as error:  # the ledger is locked, or its disk is full
            _LOGGER.warning("no events are delivered yet: %s", error.message)
            return False
        return True

    async def deliver_due(self, name: str) -> int:
        """Send what is due at an endpoint, as much as goes at once; return how much that was."""
        due = self._deliveries.take(name, self._clock(), lease=_LEASE, most=_AT_ONCE)
        await asyncio.gather(*(self._deliver(self._endpoints[name], each) for each in due))
        return len(due)

    async def _serve(self, name: str) -> None:
        while True:
            try:
                sent = await self.deliver_due(name)
            except MediaAgentError as error:  # the ledger is locked, or its disk is full
                _LOGGER.warning("webhook %s: %s", name, error.message)
                sent = 0
            if not sent:
                await self._sleep(_LOOK_SECONDS)

    async def _deliver(self, endpoint: Endpoint, delivery: Delivery) -> None:
        attempt = await self._send(endpoint, delivery, self._clock())
        match attempt.result:
            case Result.DELIVERED:
                self._deliveries.mark_delivered(delivery, attempt.answer, self._clock())
            case Result.GONE:
                self._deliveries.mark_missed(delivery, attempt.answer, due_at=self._clock())
                self._disable(delivery.endpoint, attempt.answer)
            case Result.MISSED:
                self._retry(delivery, attempt.answer)

    def _retry(self, delivery: Delivery, answer: str) -> None:
        """Send it later; after the last attempt give up the event, or an endpoint that is dead."""
        if delivery.attempts <= len(PAUSES):
            due_at = self._clock() + PAUSES[delivery.attempts - 1]
            self._deliveries.mark_missed(delivery, answer, due_at=due_at)
            return
        hours = sum(PAUSES) / 3600
        since = self._clock() - sum(PAUSES)
        if self._deliveries.has_delivered_since(delivery.endpoint, since):
            said = "webhook %s: %s of job %s was given up after %s attempts: %s"
            known = (delivery.endpoint, delivery.event, delivery.job_id, delivery.attempts, answer)
            _LOGGER.warning(said, *known)
            self._deliveries.mark_missed(delivery, answer, due_at=None)
            return
        self._deliveries.mark_missed(delivery, answer, due_at=self._clock())
        self._disable(delivery.endpoint, f"nothing was delivered in {hours:.0f} hours: {answer}")

    def _disable(self, name: str, reason: str) -> None:
        self._deliveries.disable(name, reason)
        hint = f"media-agent webhooks test {name} enables it again once it answers"
        _LOGGER.warning("webhook %s is disabled: %s; %s", name, reason, hint)
