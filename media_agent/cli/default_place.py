"""Where a video goes if nobody says: a name with the words of its prompt, in any script."""

import unicodedata
from pathlib import Path

from media_agent.errors import InvalidRequestError
from media_agent.storage.destination import find_free
from media_agent_schemas.plan import Plan

_MOST_LETTERS = 60
_MOST_BYTES = 150  # with seed, number and ending a name may have 255


def choose_default_place(plan: Plan, *, overwrite: bool = False) -> Path:
    """Return out/<words of the prompt>-<seed>.mp4, where taken with -2, -3, ...; make that folder.

    Raises:
        InvalidRequestError: the folder cannot be made, or nothing can be written to it.
    """
    folder = Path("out")
    shots = plan.request.storyboard()
    seed = "" if plan.request.seed is None else f"-{plan.request.seed}"
    if plan.origin is not None:
        shots, seed = shots[-1:], f"{seed}-after-{plan.origin.chunk}"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InvalidRequestError(
            f"the folder {folder} cannot be created: {error.strerror}", hint="set a path with --out"
        ) from error
    words = name_words(shots[0].prompt) if shots else ""
    place = folder / f"{words or 'video'}{seed}.mp4"
    return place if overwrite else find_free(place, videos=plan.request.n)


def name_words(text: str) -> str:
    """Return the letters and numbers of a text, of whatever script, joined by hyphens."""
    plain = unicodedata.normalize("NFKC", text).lower()
    words = "-".join("".join(map(_keep_letter, plain)).split())[:_MOST_LETTERS]
    return words.encode()[:_MOST_BYTES].decode("utf-8", "ignore").strip("-")


def _keep_letter(character: str) -> str:
    """Return letters with their marks, and numbers; what is invisible leaves no gap."""
    kind = unicodedata.category(character)
    if kind[0] in "LMN":
        return character
    return "" if kind == "Cf" else " "
