"""Which headers a request may have."""

import re
from collections.abc import Mapping

from media_agent.errors import ConfigurationError

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"(?:[!-~]+(?:[ \t]+[!-~]+)*)?")
_OF_THE_TRANSPORT = frozenset({"host", "content-length", "transfer-encoding", "connection", "te"})


def header_flaw(name: str, value: str) -> str | None:
    """Say why a header cannot be sent, as the end of a sentence; the value is not shown."""
    if _NAME.fullmatch(name) is None:
        return "has a name with a space, or another character that no name of a header has"
    if name.lower() in _OF_THE_TRANSPORT:
        return "is not for the settings: it follows from the request"
    if not value.isascii():
        return "has a letter outside ASCII in its value"
    if _VALUE.fullmatch(value) is None:
        return "has a line break, a space at an end, or a control character in its value"
    return None


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers that can be sent.

    Raises:
        ConfigurationError: one cannot; its value, which may be a secret, is not shown.
    """
    for name, value in headers.items():
        flaw = header_flaw(name, value)
        if flaw is not None:
            raise ConfigurationError(
                f"the header {name!r} {flaw}; nothing was sent",
                hint="correct it in the settings, under options.headers",
            )
    return dict(headers)
