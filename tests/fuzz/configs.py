"""What people write, changed: settings in files and variables, requests, catalogue updates."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import yaml

from media_agent.cli.request.file import read_request_file
from media_agent.config.faults import read_sound
from media_agent.config.file import read_file
from media_agent.config.settings import Settings, load_settings, look_at_sources
from media_agent.errors import InvalidRequestError
from media_agent.routing.refresh.update import read_update
from media_agent.setup.check import check
from media_agent.validation import in_words
from media_agent_schemas.request import VideoRequest
from tests.fuzz.odd import VALUES, odd_bytes, odd_json, odd_text
from tests.fuzz.rules import named, ruled

SETTINGS = (Path(__file__).parent / "example.toml").read_text("utf-8")
WORDS = (*Settings.model_fields, "kind", "base_url", "key", "key_env", "key_file", "options", "x")
VARIABLES = (
    *(f"MEDIA_AGENT_{name.upper()}" for name in Settings.model_fields if name != "config"),
    "MEDIA_AGENT_BACKENDS__FAL__BASE_URL",
    "MEDIA_AGENT_BACKENDS__FAL__OPTIONS",
    "MEDIA_AGENT_BUDGET__MAX_COST_USD",
    "FAL_KEY",
)
REQUEST: dict[str, Any] = {
    "shots": [{"prompt": "a fox", "duration": 2}, {"prompt": "a dog", "duration": 2}],
    "fps": 24,
    "size": {"width": 640, "height": 360},
    "seed": 1,
    "n": 1,
    "inputs": [{"role": "first_frame", "path": "a.png"}],
    "options": {"sandbox": {"latency_seconds": 0}},
    "labels": {"a": "b"},
    "routing": {"prefer": "cheapest", "max_cost_usd": 1.0},
}
PRICE = {"per": "second", "usd": 0.1, "as_of": "2026-11-29", "source": "https://example.com"}
UPDATE: dict[str, Any] = {
    "date": "2026-11-29",
    "backends": {"fal": {"x/y": {"prices": [PRICE], "status": "retired", "licence": "MIT"}}},
}


@contextlib.contextmanager
def configs(folder: Path) -> Iterator[Callable[[Random], None]]:
    """Yield what tries one file of each kind."""

    def example(dice: Random) -> None:
        try_one = dice.choice((_try_settings, _try_settings, _try_request, _try_update))
        try_one(dice, folder)

    yield example


def _try_settings(dice: Random, folder: Path) -> None:
    path = folder / "media-agent.toml"
    text = odd_text(dice, SETTINGS, WORDS)
    content = text.encode("utf-8", "replace")
    path.write_bytes(odd_bytes(dice, content) if dice.randint(0, 9) == 0 else content)
    variables = dice.sample(VARIABLES, dice.randint(0, 2))
    with _environment({name: _text(dice.choice(VALUES)) for name in variables}):
        with named("read_file"), ruled(folder):
            read_file(path)
        with named("load_settings"), ruled(folder) as told:
            told.append(repr(load_settings(config=path)))
        with named("read_sound"), ruled(folder) as told:
            settings, faults = read_sound(look_at_sources(config=path))
            told += [repr(faults), repr(settings)]
        with named("check"), ruled(folder) as told:
            told.append(repr(check(path).findings))


def _try_request(dice: Random, folder: Path) -> None:
    odd = odd_json(dice, REQUEST)
    path = folder / dice.choice(("request.json", "request.yaml", "request"))
    text = json.dumps(odd) if path.suffix != ".yaml" else yaml.safe_dump(odd, allow_unicode=True)
    content = text.encode("utf-8", "replace")
    path.write_bytes(odd_bytes(dice, content) if dice.randint(0, 3) == 0 else content)
    with named("request"), ruled(folder):
        file = read_request_file(str(path))
        try:
            VideoRequest.model_validate(file.fields)
        except ValueError as error:
            said = in_words(error, VideoRequest) if hasattr(error, "errors") else str(error)
            raise InvalidRequestError(said) from None


def _try_update(dice: Random, folder: Path) -> None:
    content = json.dumps(odd_json(dice, UPDATE)).encode()
    with named("update"), ruled(folder):
        update = read_update(odd_bytes(dice, content) if dice.choice((True, False)) else content)
        update.apply("fal", {})


def _text(value: object) -> str:
    said = value if isinstance(value, str) else json.dumps(value)
    return said.replace("\0", "").encode("utf-8", "replace").decode()


@contextlib.contextmanager
def _environment(said: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in said}
    os.environ.update(said)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
