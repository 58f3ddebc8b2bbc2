"""Sessions of browsers: a page signs in with an API key, and then needs no header.

Players and event sources of a browser send cookies and no header of ours. What the cookie holds is
random and means something to this process only; the key itself stays out of it.
"""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie

COOKIE = "media_agent_session"
SESSION_SECONDS = 12 * 3600
_MOST = 1000


class Sessions:
    """The sessions of this process, each for the id of a key; past so many the oldest goes."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._begun: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._clock = clock

    def begin(self, key_id: str) -> str:
        """Return the value of a new cookie."""
        token = secrets.token_urlsafe(32)
        self._begun[_digest(token)] = (key_id, self._clock())
        if len(self._begun) > _MOST:
            self._begun.popitem(last=False)
        return token

    def find(self, token: str) -> str | None:
        """Return the id of the key of a session, None if it is none or over."""
        key_id, begun = self._begun.get(_digest(token), (None, 0.0))
        if key_id is None or self._clock() - begun >= SESSION_SECONDS:
            return None
        return key_id

    def end(self, token: str) -> None:
        """Forget a session."""
        self._begun.pop(_digest(token), None)


def token_of(cookies: str) -> str | None:
    """Return what stands in the cookie of a session, from the header of all cookies."""
    for each in cookies.split(";"):  # one by one: a faulty cookie of another program is not ours
        try:
            found = SimpleCookie(each).get(COOKIE)
        except CookieError:
            continue
        if found is not None:
            return found.value
    return None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
