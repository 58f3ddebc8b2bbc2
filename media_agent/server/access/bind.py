"""Whether others can reach a server: then nobody gets in without a key."""

from datetime import UTC, datetime

from media_agent.config.server_section import ServerSection
from media_agent.config.settings import Settings
from media_agent.errors import ConfigurationError
from media_agent.ledger.ledger import Ledger
from media_agent.storage.addresses import is_loopback


def is_open_to_others(section: ServerSection, host: str) -> bool:
    """Return whether a server that listens there is reached by more than this machine."""
    return section.public_url is not None or not is_loopback(host)


def check_has_key(settings: Settings) -> None:
    """Check that there is an API key to call a server with.

    Raises:
        ConfigurationError: there is none that is valid.
    """
    ledger = Ledger(settings.ledger_path, url=settings.ledger)
    try:
        keys = ledger.api_keys.list()
    finally:
        ledger.close()
    if not any(key.is_valid(datetime.now(UTC)) for key in keys):
        raise ConfigurationError(
            "others can reach this server, and there is no valid API key",
            hint="make one with media-agent server-keys add NAME, or listen on 127.0.0.1 "
            "without server.public_url",
        )
