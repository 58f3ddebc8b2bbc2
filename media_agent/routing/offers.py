"""One model at several providers: a request names the model, and each provider's is an offer."""

import re
from collections.abc import Iterable, Mapping, Sequence

from media_agent.errors import InvalidRequestError
from media_agent.suggest import nearest_name

Offers = Mapping[str, Sequence[str]]
"""The backends that offer each model, by its name."""


def find_offering(name: str, offers: Offers, backends: Iterable[str]) -> Sequence[str]:
    """Return the backends that offer the model of this name; none: it names no such model.

    Raises:
        InvalidRequestError: a backend has the same name, so that it is unclear which is meant.
    """
    found = offers.get(name, ())
    if found and name in backends:
        raise InvalidRequestError(
            f"{name!r} is the name of a backend, and of a model offered by {', '.join(found)}",
            hint=f"name the backend with one of its models, {name}/MODEL, or one offer, "
            f"{found[0]}/MODEL; a backend of your own can be renamed in the settings",
        )
    return found


def suggest_model(name: str, offers: Offers, backends: Iterable[str]) -> str | None:
    """Return what to say of the model that was probably meant, None where a backend is nearer."""
    spelt = {_spell(known): known for known in offers}
    meant = spelt.get(_spell(name)) or nearest_name(name, [*offers, *backends])
    if meant is None or meant not in offers:
        return None
    return f"did you mean {meant}, which is offered by {', '.join(offers[meant])}?"


def _spell(name: str) -> str:
    """Return a name without what people spell differently: "Wan 2.7", "wan2.7" and "wan-2.7"."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
