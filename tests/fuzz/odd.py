"""Draws that make odd what is sound: JSON, text and bytes."""

import copy
import json
import struct
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

LETTERS = (
    "\0",
    "\n",
    " ",
    "[",
    "=",
    '"',
    "\\",
    "\x7f",
    "é",
    "\u202e",
    "\ufeff",
    "\U0001f98a",
    "a",
    "0",
)
_DEEP: Any = None
for _ in range(200):
    _DEEP = {"a": [_DEEP]}
VALUES: tuple[Any, ...] = (
    None, True, False, "", " ", "never", "10%", "0", -1, 0, 1, 7.5, 1e300, -0.0, 10**30, 10**400,
    float("inf"), float("nan"), [], [None], [[]], {}, {"a": 1}, ["a", {"b": None}], "9" * 400,
    "\ud83d", "\x00", "\x1b[2J", "a\nb", "\u202e", "x" * 70_000, _DEEP,
    "../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "http://169.254.169.254/latest",
    "http://[::1", "https://",
    "http://127.0.0.1:1/v.mp4", "data:video/mp4;base64,AAAA", "data:,", "2026-02-30T99:00:00Z",
    "0000-00-00", 1_790_000_000_000, "completed", "failed", "COMPLETED", "succeeded", "cancelled",
)  # fmt: skip
_NUMBERS = (0, 1, 2, 7, 8, 9, 0x7F, 0x80, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1)
_BOXES = b"ftyp moov mvhd trak tkhd mdia mdhd hdlr stbl stsd stts ctts stss stsc stsz stco avcC edts elst esds moof traf trun mdat IHDR IDAT iCCP acTL PLTE IEND".split()  # noqa: E501


def odd_json(dice: Random, sound: Any, *values: Any) -> Any:
    """Return JSON with one to three places changed; `values` may stand there too."""
    changed: Any = [copy.deepcopy(sound)]
    for _ in range(dice.randint(1, 3)):
        places = [*_places(changed)]
        holder, key = places[dice.randint(0, len(places) - 1)]
        _change(dice, holder, key, (*VALUES, *values))
        changed = changed if changed else [None]
    return changed[0]


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    keys = holder.keys() if isinstance(holder, dict) else range(len(holder))
    for key in keys:
        yield holder, key
        if isinstance(holder[key], dict | list) and holder[key] is not _DEEP:
            yield from _places(holder[key])


def _change(dice: Random, holder: Any, key: Any, values: Sequence[Any]) -> None:
    value = holder[key]
    match dice.choice(("odd", "drop", "list", "object", "text", "rename", "first")):
        case "odd":
            holder[key] = dice.choice(values)
        case "drop":
            del holder[key]
        case "list":
            holder[key] = [value]
        case "object":
            holder[key] = {"value": value}
        case "text":
            holder[key] = json.dumps(value)[:1000]
        case "rename" if isinstance(holder, dict):
            holder[str(key).upper()] = holder.pop(key)
        case _:
            holder[key] = value[0] if isinstance(value, list | str) and value else [value, value]


def odd_bytes(dice: Random, sound: bytes, most: int = 4) -> bytes:
    """Return content with some bytes changed, mostly near the boxes and chunks that it consists of.

    What follows a name of four letters is what says how much of something there is.
    """
    content = bytearray(sound)
    for _ in range(dice.randint(1, most)):
        place = _place(dice, content)
        match dice.choice(("byte", "number", "cut", "insert", "end", "repeat", "swap")):
            case "byte":
                content[place : place + 1] = bytes([dice.randint(0, 255)])
            case "number":
                content[place : place + 4] = struct.pack(">I", dice.choice(_NUMBERS))
            case "cut":
                del content[place : place + dice.choice((1, 2, 4, 8, 100, 5000))]
            case "insert":
                content[place:place] = dice.randbytes(dice.randint(1, 16))
            case "end":
                del content[place:]
            case "repeat":
                size = dice.choice((4, 8, 64, 1000))
                times = dice.choice((1, 2, 50))
                content[place:place] = bytes(content[place : place + size]) * times
            case _:
                other = _place(dice, content)
                content[place : place + 8], content[other : other + 8] = (
                    content[other : other + 8],
                    content[place : place + 8],
                )
    return bytes(content)


def _place(dice: Random, content: bytearray) -> int:
    named = [found for name in _BOXES if (found := content.find(name)) >= 0]
    if named and dice.randint(0, 3):
        return max(0, dice.choice(named) + dice.randint(-4, 48))
    return dice.randint(0, max(0, len(content) - 1))


def odd_text(dice: Random, sound: str, words: Sequence[str] = ()) -> str:
    """Return text with one to three of its lines or words changed."""
    lines = sound.splitlines()
    for _ in range(dice.randint(1, 3)):
        at = dice.randint(0, max(0, len(lines) - 1))
        line = lines[at] if lines else ""
        name, _, value = line.partition("=")
        match dice.choice(("value", "drop", "repeat", "cut", "insert", "word", "swap")):
            case "value":
                lines[at : at + 1] = [f"{name}= {dice.choice(TOML_VALUES)}"]
            case "drop":
                del lines[at : at + 1]
            case "repeat":
                lines[at:at] = [line]
            case "cut":
                lines[at : at + 1] = [line[: dice.randint(0, len(line))]]
            case "insert":
                place = dice.randint(0, len(line))
                lines[at : at + 1] = [
                    line[:place]
                    + "".join(dice.choices(LETTERS, k=dice.randint(1, 8)))
                    + line[place:]
                ]
            case "word" if words:
                lines[at:at] = [f"{dice.choice(words)} = {value or 1}"]
            case _:
                other = dice.randint(0, max(0, len(lines) - 1))
                if lines:
                    lines[at], lines[other] = lines[other], lines[at]
    return "\n".join(lines) + "\n"


TOML_VALUES = (
    '""', '"x"', "-1", "0", "1", "1e400", "nan", "inf", "true", "[]", "[[]]", "{}", "{a = {}}",
    "9" * 5000, "2026-11-29", "07:00:00", '"\\u0000"', '"../.."', '"/dev/zero"', '"https://u:p@h/"',
    '"http://["', '"' + "y" * 70_000 + '"', "[" * 60 + "]" * 60, '"~nobody-here/x"',
)  # fmt: skip
