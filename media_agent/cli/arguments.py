"""From the words of a command line to a request; every fault is named in one line."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.errors import InvalidRequestError

if TYPE_CHECKING:
    from pydantic import JsonValue, ValidationError

    from media_agent.cli.making import Wishes
    from media_agent_schemas.capabilities import Plan
    from media_agent_schemas.request import VideoRequest


def whole_number(name: str, text: str | None) -> int | None:
    """Read a whole number, exactly: 1.5 is not rounded.

    Raises:
        InvalidRequestError: it is none.
    """
    if text is None:
        return None
    if re.fullmatch(r"[+-]?[0-9]{1,100}", text.strip()) is None:
        raise InvalidRequestError(f"--{name} {text[:60]!r} is not a whole number")
    return int(text)


def number(name: str, text: str | None) -> float | None:
    """Read a number.

    Raises:
        InvalidRequestError: it is none.
    """
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        raise InvalidRequestError(f"--{name} {text[:60]!r} is not a number") from None
    if math.isnan(value):
        raise InvalidRequestError(f"--{name} {text[:60]!r} is not a number")
    return value


def build_request(
    wishes: "Wishes", backend: str | None, options: "dict[str, JsonValue]"
) -> "VideoRequest":
    """Return the request that a command line says; without a backend it is open who makes it.

    Raises:
        InvalidRequestError: a value is impossible.
    """
    from pydantic import ValidationError

    from media_agent_schemas.media import InputRole, MediaInput, Size
    from media_agent_schemas.request import VideoRequest

    words = _words(wishes)
    name = (backend or "").partition("/")[0]
    budget, routing = wishes.routing.budget(), wishes.routing.routing()
    try:
        return VideoRequest.model_validate(
            {
                **words,
                "inputs": (
                    ()
                    if wishes.image is None
                    else (MediaInput(role=InputRole.FIRST_FRAME, path=str(wishes.image)),)
                ),
                "duration": wishes.duration,
                "endless": wishes.endless,
                "seed": wishes.seed,
                "size": None if wishes.size is None else Size.parse(wishes.size),
                "fps": wishes.fps,
                "model": backend,
                "options": {name: options} if options else {},
                "budget": budget,
                "routing": routing,
            }
        )
    except ValidationError as error:
        raise InvalidRequestError(_first_words(error)) from None
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None


def _words(wishes: "Wishes") -> "dict[str, object]":
    from media_agent.storyboard import read_shots

    if not wishes.shots:
        return {"prompt": wishes.prompt}
    return {"shots": read_shots(wishes.prompt, wishes.shots)}


def _first_words(error: "ValidationError") -> str:
    """Return what is wrong, without the library's own framing."""
    said = []
    for problem in error.errors(include_url=False, include_context=False):
        message = problem["msg"].removeprefix("Value error, ")
        place = ".".join(str(part) for part in problem["loc"])
        said.append(message if problem["type"] == "value_error" else f"{place}: {message}")
    return "; ".join(said)


def default_place(plan: "Plan", folder: Path = Path("out")) -> Path:
    """Return out/<words of the prompt>-<seed>.mp4, and make that folder.

    Raises:
        InvalidRequestError: the folder cannot be made.
    """
    shots = plan.request.storyboard()
    words = re.sub(r"[^a-z0-9]+", "-", shots[0].prompt.lower() if shots else "").strip("-")
    seed = "" if plan.request.seed is None else f"-{plan.request.seed}"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InvalidRequestError(
            f"the folder {folder} cannot be made: {error.strerror}", hint="say where with --out"
        ) from error
    return folder / f"{words[:60].strip('-') or 'film'}{seed}.mp4"


def check_sheet(sheet: Path | None, *, overwrite: bool) -> None:
    """Refuse a place where the contact sheet could not be put, before any work.

    Raises:
        InvalidRequestError: it is a folder, exists, is no .png, or has no parent.
    """
    if sheet is None:
        return
    if sheet.is_dir():
        raise InvalidRequestError(f"--sheet {sheet} is a folder", hint="name a file in it")
    if sheet.suffix.lower() != ".png":
        raise InvalidRequestError(f"--sheet {sheet} does not end in .png")
    if not sheet.parent.is_dir():
        raise InvalidRequestError(
            f"--sheet {sheet}: there is no folder {sheet.parent}", hint="make it first"
        )
    if sheet.exists() and not overwrite:
        raise InvalidRequestError(
            f"--sheet: {sheet} exists",
            hint="choose another name, or replace it with --overwrite",
        )
