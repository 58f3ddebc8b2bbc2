"""The models that OpenRouter lists, each with what it can do and costs, kept in a file with a date.

A capability that is null there is unknown, and so is sent as it was asked; only what is known to be
missing is refused. The file is written where the list is fetched, and read by whoever plans.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from itertools import islice
from pathlib import Path

from pydantic import JsonValue

from media_agent.errors import StorageError
from media_agent.storage.files import write_atomically
from media_agent_hosted.models.facts import HostedModel, InMode, Models, Seconds, Tier
from media_agent_hosted.parsing.lenient import moment, number, read_json, text, trim, unwrap, whole
from media_agent_schemas.media import LARGEST_SIDE, SMALLEST_SIDE, ResolutionTier
from media_agent_schemas.request import VideoMode

_SHIPPED = Models(Path(__file__).with_name("models.yaml"), provider="openrouter")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_RATIO = re.compile(r"[1-9]\d?:[1-9]\d?")
_RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3", "21:9", "9:21")
_TIERS = ("360p", "480p", "720p", "768p", "1080p", "1K", "2K", "4K")
_SHORT_SIDES = {"1k": 1024, "2k": 1440, "4k": 2160}
_OUR_NAMES = {tier.value for tier in ResolutionTier}
_MOST_MODELS = 1000  # of a list that anybody who answers there may write
_MOST_VALUES = 100  # durations, resolutions and ratios of a model
_LONGEST = 3600  # seconds of one video
_DEAREST = 1000.0  # USD for a second
_LARGEST_TIER = LARGEST_SIDE * 9 // 16  # of which a frame of 16:9 is still one
_LAST_MOMENT = 4e9  # seconds since 1970; what is beyond it is no time
_UNSAID = Tier(short_side=720)  # a resolution that is left to the model
_PRICE = re.compile(r"per-video-second(?:-(\d+p|\dk))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the list."""

    model: HostedModel
    passed_on: tuple[str, ...] | None
    """Parameters that are handed on to who serves the model; None: nobody says which."""
    usd_per_second: Mapping[str, float] | None
    """Its prices by resolution, "" for all below them; None: they depend on more, or are unsaid."""


class ListedModels(Models):
    """The models that are known here, and those of the list of OpenRouter, if it is kept."""

    def __init__(self, kept: Path, *, longest: float) -> None:
        """Say where the list is kept; `longest` counts where it says nothing of durations."""
        super().__init__(kept, provider="openrouter", least_parts=2, most_parts=2)
        self._kept = kept
        self._longest = longest

    @cached_property
    def by_id(self) -> Mapping[str, HostedModel]:
        """The models, the default first; what the list says of one counts more."""
        listed = {name: entry.model for name, entry in self.entries.items()}
        return {**_SHIPPED.by_id, **listed}

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """What the list says of each model; none without a list."""
        read_at, listed = self._read
        if read_at is None:
            return {}
        usual = next(iter(_SHIPPED.by_id.values()))
        said = [each for each in listed if _ID.fullmatch(text(each.get("id")) or "")]
        when = datetime.fromtimestamp(read_at, UTC).date()
        return {
            name: _entry(name, each, usual, when, self._longest)
            for each in said
            if (name := text(each.get("id"))) is not None
        }

    @property
    def read_at(self) -> float | None:
        """When the list was fetched, in seconds since 1970; None: it was not, or is unreadable."""
        return self._read[0]

    def keep(self, body: JsonValue, now: float) -> None:
        """Keep a list that was fetched now; one that has no model in it is not kept."""
        if not [*_listed(body)]:
            return
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        kept = {"read_at": now, "data": [*_listed(body)]}
        write_atomically(self._kept, json.dumps(kept).encode())

    @cached_property
    def _read(self) -> tuple[float | None, list[dict[str, JsonValue]]]:
        try:
            body = read_json(self._kept.read_bytes())
        except (OSError, ValueError, StorageError):
            return None, []
        read_at = moment(body.get("read_at")) if isinstance(body, dict) else None
        if read_at is None or not 0 <= read_at <= _LAST_MOMENT:
            return None, []
        return read_at, [*_listed(body)]


def price_of(entry: Entry, tier: Tier, seconds: float) -> float | None:
    """Return what so many seconds of a resolution cost, in USD; None: unknown.

    One that is left to the model may be the dearest; one above all that are priced has no price.
    """
    prices = entry.usd_per_second
    if not prices:
        return None
    if tier.value is None:
        return max(prices.values()) * seconds
    priced = [each.short_side for each in map(_tier, filter(None, prices)) if each is not None]
    usual = None if any(side < tier.short_side for side in priced) else prices.get("")
    each = prices.get(tier.value.lower(), usual)
    return None if each is None else each * seconds


def _listed(body: JsonValue) -> Iterator[dict[str, JsonValue]]:
    data = body.get("data") if isinstance(body, dict) else None
    listed = data if isinstance(data, list) else []
    yield from islice((each for each in listed if isinstance(each, dict)), _MOST_MODELS)


def _entry(
    name: str, said: dict[str, JsonValue], usual: HostedModel, when: date, longest: float
) -> Entry:
    audio = said.get("generate_audio")
    called = trim(text(said.get("name")) or name)
    tiers = _tiers(_texts(said, "supported_resolutions"))
    changes: dict[str, object] = {
        "id": name,
        "description": f"{called} at OpenRouter, by its list of {when}",
        "source": f"the list of OpenRouter of {when}; unverified for the frame rate",
        "length": _length(_texts(said, "supported_durations"), longest),
        "tiers": tiers,
        "ratios": _ratios(_texts(said, "supported_aspect_ratios"), tiers),
        "seed": _known(said.get("seed")),
        "audio_field": None if audio is False else usual.audio_field,
        "may_lack_audio": not isinstance(audio, bool),
        "by_mode": _modes(usual, _texts(said, "supported_frame_images")),
    }
    return Entry(
        usual.model_copy(update=changes),
        _texts(said, "allowed_passthrough_parameters"),
        _prices(unwrap(said.get("pricing_skus"))),
    )


def _texts(said: dict[str, JsonValue], name: str) -> tuple[str, ...] | None:
    """Return a list of texts; None: it is null, so that nobody says."""
    values = said.get(name)
    if not isinstance(values, list):
        return None
    return tuple(each for each in map(text, values[:_MOST_VALUES]) if each is not None)


def _known(value: JsonValue) -> bool | str:
    return value if isinstance(value, bool) else "unknown"


def _length(said: tuple[str, ...] | None, longest: float) -> Seconds:
    values = sorted(
        {each for each in map(whole, said or ()) if each is not None and 0 < each <= _LONGEST}
    )
    values = values or [*range(1, max(1, int(longest)) + 1)]
    default = min(values, key=lambda each: abs(each - 5))
    return Seconds(seconds=tuple(values), default=default, as_text=False)


def _tiers(said: tuple[str, ...] | None) -> tuple[Tier, ...]:
    """Return the resolutions, 720p first; where none is said the field may be left out."""
    named = [_tier(each) for each in (_TIERS if said is None else said)]
    found = [each for each in named if each is not None]
    found.sort(key=lambda each: each.short_side != _UNSAID.short_side)
    return tuple(found) if said and found else (_UNSAID, *found)


def _tier(value: str) -> Tier | None:
    word = value.lower()
    lines = whole(word.removesuffix("p")) if word.endswith("p") else _SHORT_SIDES.get(word)
    if lines is None or not SMALLEST_SIDE <= lines <= _LARGEST_TIER:
        return None
    name = ResolutionTier(word) if word in _OUR_NAMES else None
    return Tier(value=value, name=name, short_side=lines)


def _ratios(said: tuple[str, ...] | None, tiers: tuple[Tier, ...]) -> tuple[str, ...]:
    """Return the aspect ratios, without any whose frames would be larger than a video may be."""
    named = [each for each in (_RATIOS if said is None else said) if _RATIO.fullmatch(each)]
    largest = max(tier.short_side for tier in tiers)
    return tuple(each for each in named if largest * _stretch(each) <= LARGEST_SIDE)


def _stretch(ratio: str) -> float:
    sides = [int(part) for part in ratio.split(":")]
    return max(sides) / min(sides)


def _modes(usual: HostedModel, frames: tuple[str, ...] | None) -> dict[VideoMode, InMode]:
    """Return the modes without those whose frames are known not to be taken."""
    needed = {
        VideoMode.IMAGE_TO_VIDEO: {"first_frame"},
        VideoMode.FIRST_LAST_FRAME: {"first_frame", "last_frame"},
    }
    taken = set(needed[VideoMode.FIRST_LAST_FRAME] if frames is None else frames)
    return {
        mode: facts for mode, facts in usual.by_mode.items() if needed.get(mode, set()) <= taken
    }


def _prices(skus: dict[str, JsonValue]) -> Mapping[str, float] | None:
    """Return prices by the second; any other kind means that they cannot be told beforehand."""
    prices: dict[str, float] = {}
    for name, said in skus.items():
        match, usd = _PRICE.fullmatch(name), number(said)
        if match is None or usd is None or not 0 <= usd <= _DEAREST:
            return None
        prices[(match[1] or "").lower()] = usd
    return prices or None
