"""The commands about webhooks: list endpoints and deliveries, send a test event."""

from typing import TYPE_CHECKING

from cyclopts import App

from media_agent.cli.arguments import Flag
from media_agent.cli.commands.servers.serve import check_installed
from media_agent.cli.screen import write_json, write_stdout, write_table

if TYPE_CHECKING:
    from media_agent.ledger.serving.deliveries import Delivery, EndpointState

_SHOWN = 20
_HEADS = ("ENDPOINT", "EVENT", "JOB", "ENDED", "ATTEMPTS", "STATE", "LAST ANSWER")


def build_webhooks_app() -> App:
    """Return the commands about webhooks."""
    app = App(name="webhooks", help="List webhooks and their deliveries, or send a test event.")
    app.command(list_webhooks, name="list")
    app.command(send_test_event, name="test")
    return app


def list_webhooks(*, json: Flag = False) -> int:
    """List the webhooks that a server has used, and the newest deliveries, newest first.

    Args:
        json: Print JSON: {"endpoints": [...], "deliveries": [...]}.
    """
    from dataclasses import asdict

    from media_agent.cli.store import open_ledger

    deliveries = open_ledger().deliveries
    endpoints, newest = deliveries.endpoints(), deliveries.list(limit=_SHOWN)
    if json:
        sent = [asdict(each) | {"id": each.id, "state": _state_of(each)} for each in newest]
        write_json({"endpoints": [asdict(each) for each in endpoints], "deliveries": sent})
        return 0
    if not endpoints:
        write_stdout("no webhooks: set them under [server.webhooks.NAME]; media-agent serve sends")
        return 0
    write_table(("ENDPOINT", "URL", "WAITING", "STATE"), [_describe(each) for each in endpoints])
    if newest:
        write_stdout("")
        write_table(_HEADS, [_row_of(each) for each in newest])
    return 0


def send_test_event(name: str, /, *, curl: str | None = None) -> int:
    """Send a test event, signed as every other; a webhook that takes it is enabled again.

    Args:
        name: The webhook, as [server.webhooks.NAME] calls it.
        curl: Send nothing; print the curl command that sends the event to this address, such as a
            receiver on your own machine.
    """
    import asyncio
    import time

    from media_agent.cli.store import open_ledger
    from media_agent.config.settings import load_settings
    from media_agent.errors import BackendUnavailableError, InvalidRequestError
    from media_agent.suggest import did_you_mean

    check_installed()
    from media_agent.server.webhooks.sender import Result
    from media_agent.server.webhooks.service import read_endpoints, send_test, write_test

    endpoints = read_endpoints(load_settings())
    if name not in endpoints:
        raise InvalidRequestError(f"unknown webhook {name!r}", hint=did_you_mean(name, endpoints))
    if curl is not None:
        write_stdout(write_test(name, endpoints[name], curl))
        return 0
    attempt = asyncio.run(send_test(name, endpoints[name]))
    if attempt.result is not Result.DELIVERED:
        raise BackendUnavailableError(
            f"webhook {name} did not take the event: {attempt.answer}",
            hint="check its URL, and that it answers 2xx to a POST",
        )
    open_ledger().deliveries.enable(name, time.time())
    write_stdout(f"webhook {name} took the event: {attempt.answer}")
    return 0


def _describe(endpoint: "EndpointState") -> tuple[str, ...]:
    state = "in use" if endpoint.disabled is None else f"disabled: {endpoint.disabled}"
    return (endpoint.name, endpoint.url, str(endpoint.waiting), state)


def _row_of(delivery: "Delivery") -> tuple[str, ...]:
    from datetime import UTC, datetime

    ended = datetime.fromtimestamp(delivery.created_at, UTC)
    return (
        delivery.endpoint,
        delivery.event,
        delivery.job_id,
        f"{ended:%Y-%m-%d %H:%M}",
        str(delivery.attempts),
        _state_of(delivery),
        delivery.answer or "-",
    )


def _state_of(delivery: "Delivery") -> str:
    if delivery.delivered_at is not None:
        return "delivered"
    return "given up" if delivery.due_at is None else "waiting"
