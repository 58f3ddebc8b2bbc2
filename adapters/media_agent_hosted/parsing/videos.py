"""Finds the addresses of videos in an answer: those of its results, not those that it was sent."""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping

from pydantic import JsonValue

from media_agent.ingest.inline import is_inline
from media_agent_hosted.parsing.lenient import json_in, space_words, text, unwrap

Found = Iterator[tuple[str, Mapping[str, JsonValue]]]
"""Addresses, each with the object that it stands in."""

_DEPTH = 4  # objects within objects in which an address is looked for
_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]*://.+|\.{0,2}/.*|[^\s/:]+(?:/\S*)?\.[a-z]\w{1,4}", re.IGNORECASE
)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_IS_A_VIDEO = re.compile(r"[^?#\s]+\.(?:mp4|webm|mov|mkv|m4v)(?:[?#]\S*)?", re.IGNORECASE)
_IS_A_WHOLE_ADDRESS = re.compile(rf"https?://{_IS_A_VIDEO.pattern}", re.IGNORECASE)
_IS_NO_VIDEO = re.compile(
    r"[^?#\s]+\.(?:png|jpe?g|webp|gif|bmp|avif|svg|mp3|wav|json|txt)(?:[?#]\S*)?", re.IGNORECASE
)
_PLACES = (
    *("url", "urls", "video", "videos", "video_url", "video_urls", "download_url", "uri"),
    *("data", "result", "results", "output", "outputs", "metadata", "response", "file", "files"),
)
_INLINE_PLACES = ("b64_json", "video_base64", "base64", "bytesBase64Encoded", "encodedVideo")
_ONLY_WHERE_DUE = ("href", "link", "src", "address", "location")  # elsewhere they name anything
_OF_NO_RESULT = re.compile(
    r"\b(?:inputs?|sources?|init|references?|ref|requests?|arguments?|param(?:eter)?s?|payload|prompts?"
    r"|previews?|thumb(?:nail)?s?|covers?|posters?|(?:image|img)s?)\b"
)
"""In the name of a place: what stands there was sent, or is only a look at the result."""
_OF_OTHERS = re.compile(
    r"\b(?:featured|related|similar|examples?|samples?|galler(?:y|ies)|recommend\w*|suggest\w*"
    r"|trending|popular|communit(?:y|ies)|showcases?|explore|history|recent|previous|others?"
    r"|inspirations?|demos?|templates?|tutorials?|promos?|promotions?|adverts?|ads?|banners?)\b"
)
"""In the name of a place: what stands there need not be of the work that was asked for."""
_OF_THE_RESULT = ("url", "urls", "video", "videos", "video_url", "video_urls", "download_url")
_ROLES = ("type", "kind", "role")
_SHORT = 16  # digits of the mark of an address


def videos_in(body: JsonValue, *, everywhere: bool = False, sent: Collection[str] = ()) -> Found:
    """Yield each address of a video that an answer names, with the object that it stands in.

    What says that it is an image or a sound is none, nor is what was `sent`, by its mark. With
    `everywhere` names that are not known here are looked at too, where plainly a video stands.
    """
    seen: set[str] = set()
    others = _elsewhere(body, {}, _DEPTH) if everywhere else ()
    for address, around in (*_addresses(body, {}, _DEPTH), *others):
        is_known = address in seen or mark_of(address) in sent
        if not is_known and not _is_something_else(address, around):
            seen.add(address)
            yield address, around


def sole_video_in(body: JsonValue, sent: Collection[str] = ()) -> Found:
    """Yield the only address in an answer, whatever its name: of several one may be of others.

    Nor is one taken out of a list of objects, or where a known place says that there is none.
    """
    said = unwrap(body)
    found = [*videos_in(said, everywhere=True, sent=sent)]
    is_listed = any(_is_listed(said, around) for _, around in found)
    names = {*said, *(body if isinstance(body, dict) else ())}
    if len(found) == 1 and not is_listed and names.isdisjoint(_OF_THE_RESULT):
        yield from found


def marks_in(body: JsonValue) -> list[str]:
    """Return the marks of all addresses in what is sent, by which an echo of them is known.

    An address may hold a secret, and what is kept of a submission should not.
    """
    match body:
        case str():
            is_address = is_inline(body.strip()) or _ADDRESS.fullmatch(_unescape(body))
            return [mark_of(body)] if is_address else marks_in(json_in(body))
        case list():
            return [mark for each in body for mark in marks_in(each)]
        case dict():
            return marks_in(list(body.values()))
    return []


def mark_of(address: str) -> str:
    """Return what tells an address from others, and does not tell it."""
    return hashlib.sha256(_unescape(address).encode()).hexdigest()[:_SHORT]


def is_video_by_name(address: str) -> bool:
    """Whether an address looks like that of a video, or is the video itself."""
    return is_inline(address) or _IS_A_VIDEO.fullmatch(address) is not None


def is_fetchable(address: str) -> bool:
    """Whether an address is of a kind that is fetched: one in a bucket, such as s3:, is not."""
    scheme = _SCHEME.match(address)
    return scheme is None or scheme[1].lower() in ("http", "https", "data")


def address_in(value: JsonValue, sent: Collection[str] = ()) -> str | None:
    """Return the address at a place where one is due: any text, or in a list, or in an object."""
    match value:
        case str():
            inside = json_in(value)
            own = None if mark_of(value) in sent else _unescape(value) or None
            return own if inside is None else address_in(inside, sent)
        case list():
            return next(filter(None, (address_in(each, sent) for each in value)), None)
        case dict():
            found = (address for address, _ in videos_in(value, everywhere=True, sent=sent))
            others = (address_in(value.get(name), sent) for name in _ONLY_WHERE_DUE)
            return next(found, None) or next(filter(None, others), None)
    return None


def _addresses(value: JsonValue, around: Mapping[str, JsonValue], depth: int) -> Found:
    match value:
        case str() if _ADDRESS.fullmatch(_unescape(value)) or is_inline(value.strip()):
            yield _unescape(value), around
        case list() if depth:
            for each in value:
                yield from _addresses(each, around, depth - 1)
        case str() if depth:
            yield from _addresses(json_in(value), around, depth - 1)
        case dict() if depth:
            for place in _PLACES:
                yield from _addresses(value.get(place), value, depth - 1)
            for place in _INLINE_PLACES:
                inline = value.get(place)
                if isinstance(inline, str) and is_inline(inline.strip()):
                    yield inline.strip(), value


def _is_something_else(address: str, around: Mapping[str, JsonValue]) -> bool:
    """Whether an address, or what stands beside it, says that it is no video that was made."""
    kind = text(around.get("content_type") or around.get("mime_type")) or ""
    roles = (space_words(text(around.get(name)) or "") for name in _ROLES)
    is_other = _IS_NO_VIDEO.fullmatch(address) is not None or any(map(_OF_NO_RESULT.search, roles))
    return is_other or kind.startswith(("image/", "audio/"))


def _is_listed(value: JsonValue, sought: Mapping[str, JsonValue]) -> bool:
    """Whether an object stands within a list of objects."""
    if isinstance(value, dict):
        return any(_is_listed(each, sought) for each in value.values())
    if not isinstance(value, list):
        return False
    return any(isinstance(each, dict) and _holds(each, sought) for each in value)


def _holds(value: JsonValue, sought: Mapping[str, JsonValue]) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is sought or any(_holds(each, sought) for each in inside)


def _unescape(value: str) -> str:
    """Return an address without what is left of it being JSON within JSON."""
    return value.strip().replace("\\/", "/")


def _elsewhere(value: JsonValue, around: Mapping[str, JsonValue], depth: int) -> Found:
    """Yield what is plainly a video, under names that are not known here."""
    match value:
        case str() if _IS_A_WHOLE_ADDRESS.fullmatch(value.strip()):
            yield value.strip(), around
        case list() if depth:
            for each in value:
                yield from _elsewhere(each, around, depth - 1)
        case dict() if depth:
            for name, each in value.items():
                words = space_words(name)
                if not _OF_NO_RESULT.search(words) and not _OF_OTHERS.search(words):
                    yield from _elsewhere(each, value, depth - 1)
