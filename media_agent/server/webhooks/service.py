"""The webhooks of a server: events go out while it runs, and callbacks come in."""

import contextlib
import logging
import shlex
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING

from media_agent.config.settings import Settings
from media_agent.config.webhook_sections import SecretSource
from media_agent.errors import ConfigurationError
from media_agent.ledger.serving.deliveries import Deliveries, Delivery, EndpointTerms
from media_agent.ledger.store.database import Database
from media_agent.registry.registry import Registry
from media_agent.server.host import ClientHost
from media_agent.server.webhooks.callbacks import Callbacks, Check
from media_agent.server.webhooks.checks import check_for, fetch_keys
from media_agent.server.webhooks.deliverer import Deliverer, Endpoint
from media_agent.server.webhooks.sender import Attempt, build_request, open_client, send
from media_agent.server.webhooks.signing import read_secrets

if TYPE_CHECKING:
    import httpx

_LOGGER = logging.getLogger(__name__)


def read_endpoints(settings: Settings) -> dict[str, Endpoint]:
    """Return the endpoints of the settings.

    Raises:
        ConfigurationError: one of them has no secret, or one that cannot be used.
    """
    endpoints = {}
    for name, section in settings.server.webhooks.items():
        secrets = _secrets_of(section, f"server.webhooks.{name}")
        if not secrets:
            raise ConfigurationError(
                f"the webhook {name} has no secret to sign with",
                hint=f"set key_env or key_file under [server.webhooks.{name}]",
            )
        endpoints[name] = Endpoint(
            EndpointTerms(section.url, section.events, section.caller), secrets
        )
    return endpoints


def read_checks(settings: Settings) -> dict[str, Check | None]:
    """Return what checks the callbacks of each backend, by its name; None: nothing can.

    Raises:
        ConfigurationError: a secret cannot be used, or is that of no backend.
    """
    registry, sections = Registry(kinds=settings.kinds()), settings.server.callbacks
    names = registry.names()
    for name in sections.keys() - set(names):
        raise ConfigurationError(f"[server.callbacks.{name}] is for no backend there is")
    checks = dict[str, Check | None]()
    for name in names:
        spec, section = registry.spec(name), sections.get(name)
        secrets = _secrets_of(section, f"server.callbacks.{name}")
        checks[name] = None if spec is None else check_for(spec.callbacks, secrets, fetch_keys)
    return checks


def check_webhooks(settings: Settings) -> None:
    """Check what the settings say of webhooks, before a server starts.

    Raises:
        ConfigurationError: a secret is not there or cannot be used, or is for no backend.
    """
    read_endpoints(settings)
    if settings.server.callbacks:
        read_checks(settings)


@contextlib.asynccontextmanager
async def open_webhooks(
    host: ClientHost,
    settings: Settings,
    *,
    open_client: "Callable[[], httpx.AsyncClient]" = open_client,
) -> AsyncIterator[Callbacks]:
    """Deliver events while the context lasts; yields what takes callbacks.

    Raises:
        ConfigurationError: the settings of webhooks cannot be used.
    """
    endpoints = read_endpoints(settings)

    async def look_now(backend: str, operation_id: str) -> None:
        await host.tell(lambda client: client.look_now(backend, operation_id))

    database = host.client.store.database.again()
    delivering = host.begin(lambda client: _deliver(database, endpoints, open_client))
    delivering.add_done_callback(_report)
    try:
        yield Callbacks(lambda: read_checks(settings), look_now)
    finally:
        delivering.cancel()


async def send_test(
    name: str,
    endpoint: Endpoint,
    *,
    open_client: "Callable[[], httpx.AsyncClient]" = open_client,
) -> Attempt:
    """Send an event of the type "webhook.test" to an endpoint once, and say what it answered."""
    now = time.time()
    event = _build_test(name, now)
    async with open_client() as http:
        return await send(http, endpoint.terms.url, event, secrets=endpoint.secrets, now=now)


def write_test(name: str, endpoint: Endpoint, url: str) -> str:
    """Return the curl command that sends the test event of an endpoint to another address."""
    now = time.time()
    body, headers = build_request(_build_test(name, now), secrets=endpoint.secrets, now=now)
    said = [part for key, value in headers.items() for part in ("-H", f"{key}: {value}")]
    return shlex.join(["curl", "-i", url, *said, "--data-raw", body.decode()])


def _build_test(name: str, now: float) -> Delivery:
    return Delivery(name, f"test_{now:.0f}", 0, "webhook.test", created_at=now)


async def _deliver(
    database: Database,
    endpoints: Mapping[str, Endpoint],
    open_client: "Callable[[], httpx.AsyncClient]",
) -> None:
    """Deliver over a database of its own: clients are closed when the settings are read again."""
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(contextlib.closing(database))
        http = await stack.enter_async_context(open_client()) if endpoints else None  # it is slow

        async def post(endpoint: Endpoint, delivery: Delivery, now: float) -> Attempt:
            assert http is not None  # there is an endpoint
            url, secrets = endpoint.terms.url, endpoint.secrets
            return await send(http, url, delivery, secrets=secrets, now=now)

        await Deliverer(Deliveries(database), endpoints, post).run()


def _report(delivering: Future[None]) -> None:
    error = None if delivering.cancelled() else delivering.exception()
    if error is not None:
        _LOGGER.error("no events are delivered until the next start", exc_info=error)


def _secrets_of(section: SecretSource | None, place: str) -> tuple[bytes, ...]:
    if section is None:
        return ()
    problem, key = section.key_problem(), section.find_key()
    if key is None:
        if problem is not None:
            raise ConfigurationError(f"{place}: {problem}")
        return ()
    return read_secrets(key.get_secret_value(), f"the secret of {place}")
