"""Measures the requests that we send: how long until an answer begins, of which host."""

import time

import httpx

from media_agent.telemetry import names
from media_agent.telemetry.instruments import instruments


class MeasuredClient(httpx.AsyncClient):
    """A client whose requests are spans and numbers, where somebody listens.

    The method, the host and the status are told; the rest of an address may hold keys.
    """

    async def send(self, request: httpx.Request, **options: object) -> httpx.Response:
        """Send a request, as httpx does."""
        found = instruments()
        if found is None:
            return await super().send(request, **options)  # type: ignore[arg-type]
        from opentelemetry.trace import SpanKind, StatusCode

        labels: dict[str, str | int] = {names.METHOD: request.method, names.HOST: request.url.host}
        begun = time.monotonic()
        with found.tracer.start_as_current_span(
            request.method,
            kind=SpanKind.CLIENT,
            attributes=labels,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                response = await super().send(request, **options)  # type: ignore[arg-type]
                labels[names.ANSWER] = response.status_code
                return response
            except BaseException as error:
                labels[names.ERROR] = type(error).__name__
                span.set_status(StatusCode.ERROR, type(error).__name__)
                raise
            finally:
                span.set_attributes(labels)
                found.seconds[names.CALL_DURATION].record(time.monotonic() - begun, labels)
