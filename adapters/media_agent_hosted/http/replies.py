"""What a provider answered, and which error an answer means; pure, nothing is sent from here."""

import html
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from pydantic import JsonValue

from media_agent.errors import (
    BackendAuthenticationError,
    BackendError,
    BackendRateLimitError,
    BackendRefusedError,
    BackendResponseError,
    BackendUnavailableError,
    InvalidRequestError,
    MediaAgentError,
    ModelRetiredError,
    OperationNotFoundError,
    SubmitUncertainError,
)
from media_agent.redact import redact, redact_reply
from media_agent.storage.network import retry_after_seconds
from media_agent_hosted.parsing.causes import wants_money
from media_agent_hosted.parsing.errors import codes_in, words_in
from media_agent_hosted.parsing.lenient import number, read_json, trim
from media_agent_hosted.parsing.names import work_named_in
from media_agent_hosted.parsing.refusals import provider_code_in

A_PAGE = "a web page where an API was due; is base_url right?"
_LOOKED_AT = 2**16  # bytes of an answer that is no JSON; a key that is cut there is not shown
MOST_PARTS = 2**18
"""Objects, lists and their items in an answer, where nothing else is said."""
_PERHAPS = (303, 408, 425, 429)  # the statuses from 300 to 499 that are no plain no
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read to the end; no words that come out of it hold the key."""

    status: int
    headers: Mapping[str, str]  # names in lower case, values without the key
    content: bytes = field(repr=False)  # as it came, perhaps with the key
    host: str
    paid: bool = False  # it answers a request that may cost money and must not be repeated
    url: str = ""
    """The address that was asked, to which addresses in the answer are relative."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """What no text of it may hold: the headers that were sent with a key."""
    most_parts: int = MOST_PARTS
    files: Mapping[str, Path] = field(default_factory=dict)
    """Videos that came within it, by the marks that stand for them in its content."""

    @property
    def retry_after(self) -> float | None:
        """How long the provider asks to wait, in seconds; some say it in the body of an error."""
        in_header = retry_after_seconds(self.headers.get("retry-after"), time.time())
        return in_header if in_header is not None or self.status < 400 else self._asked_delay()

    def _asked_delay(self) -> float | None:
        """Return the delay that stands among the details of an error, such as "12.5s"."""
        error = self.object().get("error")
        details = error.get("details") if isinstance(error, dict) else None
        listed = details if isinstance(details, list) else []
        said = (each.get("retryDelay") for each in listed if isinstance(each, dict))
        delays = (number(each.removesuffix("s")) for each in said if isinstance(each, str))
        return next((each for each in delays if each is not None and each >= 0), None)

    @property
    def media_type(self) -> str:
        """The media type without its parameters; "" if none was said."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_html(self) -> bool:
        """Whether a web page answered instead of an API."""
        if self.content[:200].lstrip().lower().startswith((b"<!doctype html", b"<html")):
            return True
        is_called_one = self.media_type in ("text/html", "application/xhtml+xml")
        return is_called_one and not self.object()

    @property
    def is_no(self) -> bool:
        """Whether it says plainly that what was sent was not accepted."""
        return 300 <= self.status < 500 and self.status not in _PERHAPS

    def json(self) -> JsonValue:
        """Return the body as JSON.

        Raises:
            BackendResponseError: it is none.
            SubmitUncertainError: it is none, and the request may have been paid for.
        """
        try:
            return self._parse()
        except ValueError:
            raise self.senseless(A_PAGE if self.is_html else "no JSON") from None

    def object(self) -> dict[str, JsonValue]:
        """Return the body as a JSON object; an empty one if it is anything else."""
        try:
            body = self._parse()
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    def _parse(self) -> JsonValue:
        if sum(map(self.content.count, (b",", b"[", b"{"))) > self.most_parts:
            raise ValueError("a small answer may become gigabytes of objects")
        return redact_reply(read_json(self.content), self.secrets)

    def words(self) -> str:
        """Return what the provider said in its own words, trimmed to one short line."""
        body = self.object()
        if (found := words_in(body)) != "":
            return found
        text = redact(self.content[:_LOOKED_AT].decode("utf-8", "replace"), self.secrets)
        if self.is_html:
            return trim(redact(_words_of_page(text), self.secrets))
        is_text = not body and self.media_type in ("text/plain", "application/json")
        return trim(text) if is_text else ""

    def senseless(self, reason: str) -> MediaAgentError:
        """Return the error for an answer that cannot be used, naming host and media type."""
        kind = self.media_type or "no media type"
        said = f"{self.host} answered with status {self.status} and {kind}: {reason}"
        if self.paid and self.is_no:
            return BackendRefusedError(said, hint="check base_url; nothing was accepted")
        if self.paid:
            return uncertain(self.host, said)
        return BackendResponseError(
            said, hint="check base_url; if it is right, the provider is in trouble"
        )


Translate = Callable[[Reply], MediaAgentError | None]
"""Says which error a reply from status 400 up is; None leaves it to the general table."""


def uncertain(host: str, said: str) -> SubmitUncertainError:
    """Return the error for a paid request of which nobody knows whether it was accepted."""
    return SubmitUncertainError(
        said, hint=f"look at {host} whether it works on it before sending it again"
    )


def error_of(reply: Reply, translate: Translate | None) -> MediaAgentError:
    """Return what an HTTP error means: by `translate`, else with any provider.

    Where the server had trouble with a paid request, no code of its own makes it safe to repeat:
    not with the same key, nor with another one, nor elsewhere.
    """
    error = (translate and translate(reply)) or general_error(reply)
    had_trouble = reply.status >= 500 or reply.status in (408, 425)
    if reply.paid and had_trouble and isinstance(error, BackendError):
        error = uncertain(reply.host, error.message)
    return error.with_provider_code(provider_code_in(reply.object()))


def general_error(reply: Reply) -> MediaAgentError:
    """Return what a status from 400 up means with any provider."""
    words = reply.words()
    said = f"{reply.host} answered with status {_named(reply.status)}"
    said += f": {words}" if words else ""
    work = work_named_in(reply.object()) if reply.paid else ""
    said += f"; it names {trim(work)}" if work else ""
    if reply.status >= 500 or reply.status in (408, 425):
        return _provider_in_trouble(reply, said)
    if reply.status == 401:
        return BackendAuthenticationError(
            f"{reply.host} refuses the key" if not words else f"{said}; it refuses the key",
            hint="check the key in the settings, and that it belongs to this address",
        )
    if reply.status == 429 and reply.retry_after is None and _wants_money(reply):
        return BackendAuthenticationError(f"{said}; it wants payment", hint="add credit there")
    if reply.status == 429:
        return BackendRateLimitError(
            f"{said}; it asks to wait", retry_after=reply.retry_after, hint="try again later"
        )
    if reply.is_html and not reply.paid:
        return reply.senseless(A_PAGE)
    match reply.status:
        case 402:
            return BackendAuthenticationError(f"{said}; it wants payment", hint="add credit there")
        case 403:
            return BackendAuthenticationError(
                f"{said}; it refuses this account", hint="check its credit and its permissions"
            )
        case 404 if not reply.paid:
            return OperationNotFoundError(said, hint="it may have expired, or base_url is wrong")
        case 410:
            return ModelRetiredError(said, hint="choose another model")
        case 400 | 413 | 414 | 415 | 422 | 431:
            return InvalidRequestError(said, hint="change what the message names")
    if reply.paid:
        return BackendRefusedError(said, hint="nothing was accepted; check base_url and the model")
    return BackendResponseError(said)


def _provider_in_trouble(reply: Reply, said: str) -> MediaAgentError:
    if reply.paid:
        return uncertain(reply.host, said)
    if reply.retry_after is not None:
        return BackendRateLimitError(f"{said}; it asks to wait", retry_after=reply.retry_after)
    return BackendUnavailableError(said, hint="try again later")


def _wants_money(reply: Reply) -> bool:
    body = reply.object()
    return wants_money((*codes_in(body), *codes_in(body.get("error"))), reply.words())


def _named(status: int) -> str:
    """Return a status with its name, such as "413 (Request Entity Too Large)"."""
    known = {each.value: each.phrase for each in HTTPStatus}
    return f"{status} ({known[status]})" if status in known else str(status)


def _words_of_page(page: str) -> str:
    """Return the title of a web page, or else what can be read on it."""
    title = _TITLE.search(page)
    shown = title[1] if title is not None and title[1].strip() else _TAGS.sub(" ", page)
    return html.unescape(shown)
