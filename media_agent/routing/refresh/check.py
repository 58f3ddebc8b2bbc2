"""Decides whether an update may be used: signed by the key of the settings, and no older one."""

from datetime import date, timedelta

from media_agent.errors import ConfigurationError, InvalidRequestError
from media_agent.routing.refresh.signature import is_signed, read_public_key, read_signature
from media_agent.routing.refresh.stored import StoredUpdate
from media_agent.routing.refresh.update import CatalogueUpdate, read_update

_AHEAD = timedelta(days=1)  # of the clock here


def check_update(
    content: bytes,
    signature: bytes,
    public_key: str | None,
    *,
    known: StoredUpdate | None,
    today: date,
) -> CatalogueUpdate:
    """Return what a file says, if it may be used in place of the one in use.

    Raises:
        ConfigurationError: there is no public key, or it is none.
        InvalidRequestError: it is not signed by its owner, is no catalogue, or is an old one.
    """
    check_signature(content, signature, public_key)
    update = read_update(content)
    if update.date > today + _AHEAD:
        raise InvalidRequestError(
            f"the catalogue is dated {update.date}, which is to come",
            hint="every later one would be refused as older; check its date, and the clock here",
        )
    check_newer(update, known)
    return update


def check_newer(update: CatalogueUpdate, known: StoredUpdate | None) -> None:
    """Refuse an update that is older than the one in use.

    Raises:
        InvalidRequestError: it is.
    """
    if known is not None and update.date < known.read().date:
        raise InvalidRequestError(
            f"the catalogue is of {update.date}, and the one in use is of {known.read().date}",
            hint="media-agent catalogue reset goes back to what the release knows",
        )


def check_signature(content: bytes, signature: bytes, public_key: str | None) -> None:
    """Refuse a file that was not signed by the owner of the public key in the settings.

    Raises:
        ConfigurationError: there is no public key, or it is none.
        InvalidRequestError: the signature is missing, or of somebody else, or of another file.
    """
    if public_key is None:
        raise ConfigurationError(
            "no public key says whose catalogue is used",
            hint="set public_key under [catalogue]; an unsigned catalogue is never used",
        )
    key = read_public_key(public_key)
    if not is_signed(content, read_signature(signature), key):
        raise InvalidRequestError(
            "the catalogue is not signed with the key in the settings; nothing was changed",
            hint="check public_key under [catalogue], and that the file and its .sig belong "
            "together",
        )
