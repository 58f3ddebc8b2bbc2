"""What passes between media-agent and the hostile upstream: a case, a question, and its reply."""

import gzip
import json
import re
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from email.utils import formatdate
from typing import Any, Literal

Kind = Literal["fal", "openai", "http"]
KEY_MARK, WORDS = "@key@", "hostile-words-7f3a"  # the key in some spelling; what a provider says


@dataclass(frozen=True, slots=True)
class Case:
    """One request of one person, and how the upstream misbehaves towards it."""

    index: str  # "odd/17" or "kill/4"
    kind: Kind
    flavour: str  # of an OpenAI-shaped server: "sglang", or "vllm", which repeats the prompt
    nonce: str
    oddities: tuple[tuple[str, Any], ...] = ()
    pace: int = 2  # polls that find the work unfinished
    slow: float = 0.0  # seconds that the video takes to come

    @property
    def key(self) -> str:
        """A key with the characters that others escape."""
        return f"hk-{self.nonce}/Ab+cd=="

    @property
    def prompt(self) -> str:
        """What is asked for; the upstream counts by the nonce in it."""
        return f"a red fox, intent {self.nonce}"

    def dump(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> "Case":
        """Read it back."""
        content = json.loads(text)
        content["oddities"] = tuple(tuple(each) for each in content["oddities"])
        return cls(**content)


@dataclass(slots=True)
class Reply:
    """A reply in the making; an oddity changes it."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    data: Any = None  # JSON, in which "@raw:1e999@" stands for 1e999
    body: bytes | None = None  # instead of JSON
    spell: Callable[[str], str] | None = None  # how the key is written in JSON
    recode: list[Callable[[bytes], bytes]] = field(default_factory=list)
    coding: int = 0  # how often it is compressed
    transfer: Literal["length", "chunked", "close", "http10"] = "length"
    longer: int = 0  # how much more the length says than there is
    cut: float | None = None  # share of the body after which the connection ends
    delay: float = 0.0
    slow: float = 0.0
    drops: bool = False  # no reply at all
    early: bytes = b""  # before the reply
    is_replaced: bool = False  # it is not what the documents say any more

    def say(self, status: int, data: Any = None, body: bytes | None = None, **headers: str) -> None:
        """Become another reply altogether."""
        self.status, self.data, self.body, self.is_replaced = status, data, body, True
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}

    def page(self, status: int, words: str = "") -> None:
        """Become a web page."""
        text = f"<html><head><title>{status}</title></head><body><h1>{words}</h1></body></html>"
        self.say(status, body=text.encode(), Content_Type="text/html; charset=utf-8")

    def content(self, key: str) -> bytes:
        """Return the bytes of the body."""
        if self.body is not None:
            content = self.body.replace(KEY_MARK.encode(), key.encode())
        elif self.data is None:
            content = b""
        else:
            text = re.sub(r'"@raw:([^"]*)@"', r"\1", json.dumps(self.data))
            text = text.replace(KEY_MARK, (self.spell or spell_plain)(key))
            content = text.encode()
        for change in self.recode:
            content = change(content)
        for _ in range(self.coding):
            content = gzip.compress(content)
        return content

    def head(self, size: int) -> bytes:
        """Return status line and headers."""
        headers = {"Connection": "close", "Date": formatdate(usegmt=True)}
        if self.data is not None or self.body is None:
            headers["Content-Type"] = "application/json"
        if self.coding:
            headers["Content-Encoding"] = ", ".join(["gzip"] * self.coding)
        if self.transfer == "length" and self.status != 204:
            headers["Content-Length"] = str(size + self.longer)
        elif self.transfer == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        headers |= self.headers
        version = "HTTP/1.0" if self.transfer == "http10" else "HTTP/1.1"
        lines = [f"{version} {self.status} Said", *(f"{n}: {v}" for n, v in headers.items() if v)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass(slots=True)
class Exchange:
    """One question, and what an oddity may look at to change its reply."""

    case: Case
    step: str  # submit, poll, result, video, list, models, cancel
    turn: int  # how often this step was asked for, this time counted
    waited: float  # seconds since it was asked for first
    accepts: bool
    reply: Reply
    base: str  # address of the service
    files: str  # address of its file host
    is_done: bool = False
    takes_gzip: bool = False

    @property
    def entries(self) -> Iterator[dict[str, Any]]:
        """The JSON objects in the reply that tell of our work."""
        if isinstance(self.reply.data, dict):
            listed = self.reply.data.get("data") if self.step == "list" else None
            yield from listed if isinstance(listed, list) else [self.reply.data]


def spell_plain(key: str) -> str:
    """As JSON writes it anyway."""
    return json.dumps(key)[1:-1]


def spell_slashes(key: str) -> str:
    r"""As PHP does: a slash is written \/."""
    return spell_plain(key).replace("/", "\\/")


def spell_escapes(key: str) -> str:
    """Every character as its number."""
    return "".join(f"\\u{ord(letter):04x}" for letter in key)


def spell_capitals(key: str) -> str:
    """As .NET does, in capital digits: plus and equals as their numbers."""
    return spell_plain(key).replace("+", "\\u002B").replace("=", "\\u003D")


def spell_percent(key: str) -> str:
    """As in an address."""
    return urllib.parse.quote(key, safe="")


def spell_percent_small(key: str) -> str:
    """As in an address, with small digits."""
    return spell_percent(key).replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d")


SPELLINGS = {
    each.__name__.removeprefix("spell_"): each
    for each in (
        spell_plain,
        spell_slashes,
        spell_escapes,
        spell_capitals,
        spell_percent,
        spell_percent_small,
    )
}
