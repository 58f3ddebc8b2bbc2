"""Shots: read from the command line, and laid out on whole chunks."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from pydantic import ValidationError

from media_agent.errors import InvalidRequestError
from media_agent.validation import in_words
from media_agent_schemas.request import Shot


def read_shots(
    prompt: str | None, texts: Sequence[str], *, endless: bool = False
) -> tuple[Shot, ...]:
    """Return the shots of a command line: the prompt, then one for every `TEXT@SECONDS`.

    The prompt has no duration: it gets what the others leave of the whole. In an endless video that
    is the last shot instead, and all before it, the prompt too, are `TEXT@SECONDS`.

    Raises:
        InvalidRequestError: a text has no @SECONDS, or a prompt or a length is impossible.
    """
    if endless:
        *timed, last = texts if prompt is None else (prompt, *texts)
        return (*map(_read_shot, timed), _make_shot("the last shot", last, None))
    first = () if prompt is None else (_make_shot("the first shot", prompt, None),)
    return (*first, *map(_read_shot, texts))


def _read_shot(text: str) -> Shot:
    prompt, at, seconds = text.rpartition("@")
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    example = 'for example --shot "a blue square moving left@3"'
    if not at:
        raise InvalidRequestError(f"shot {shown!r} is not TEXT@SECONDS", hint=example)
    try:
        length = float(seconds)
    except ValueError:
        raise InvalidRequestError(
            f"shot {shown!r} ends in {seconds!r}, which is not a number of seconds", hint=example
        ) from None
    return _make_shot(f"shot {shown!r}", prompt, length)


def _make_shot(name: str, prompt: str, duration: float | None) -> Shot:
    try:
        return Shot(prompt=prompt, duration=duration)
    except ValidationError as error:
        raise InvalidRequestError(f"{name}: {in_words(error, Shot)}") from None


@dataclass(frozen=True, slots=True)
class Layout:
    """How many frames each shot gets."""

    frames: tuple[int | None, ...]  # per shot; None only for the last, and only when endless

    @property
    def total(self) -> int | None:
        """Return the frames of the whole video, None when endless."""
        known = [count for count in self.frames if count is not None]
        return sum(known) if len(known) == len(self.frames) else None


def lay_out(shots: Sequence[Shot], *, total: int | None, fps: float, chunk: int | None) -> Layout:
    """Give every shot its frames; every cut is on the border of a chunk.

    Each cut goes to the border nearest to where it was asked, so rounding does not add up, and
    every shot gets at least one chunk (one frame where there are no chunks); `total` grows if the
    last one would get nothing. `total` is None when endless.

    Raises:
        InvalidRequestError: the timed shots leave nothing for the one without a duration.
    """
    step = chunk or 1
    cuts = [0]
    for asked in list(accumulate(_resolve_lengths(shots, total, fps)))[:-1]:
        cuts.append(max(cuts[-1] + step, round(asked * fps / step) * step))
    last = None if total is None else max(total - cuts[-1], 0) or step
    return Layout((*(after - before for before, after in pairwise(cuts)), last))


def _resolve_lengths(shots: Sequence[Shot], total: int | None, fps: float) -> list[float]:
    """Return the length of every shot in seconds; the open one gets what the others leave."""
    timed = sum(shot.duration for shot in shots if shot.duration is not None)
    if total is None:
        return [0.0 if shot.duration is None else shot.duration for shot in shots]
    left = total / fps - timed
    if left * fps < 0.5 and any(shot.duration is None for shot in shots):
        raise InvalidRequestError(
            f"the timed shots take {timed:g} s and leave nothing of the {total / fps:g} s "
            "for the shot without a duration",
            hint="make the video longer, for example with --duration, or the shots shorter",
        )
    return [left if shot.duration is None else shot.duration for shot in shots]
