"""The command that makes a video."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from media_agent.cli.routing import NO_FLAGS, RoutingFlags

_Texts = Annotated[list[str] | None, Parameter(negative=(), allow_leading_hyphen=True)]
_Number = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
_Flag = Annotated[bool, Parameter(negative=())]


def generate(
    prompt: str,
    /,
    *,
    shot: _Texts = None,
    backend: str | None = None,
    duration: _Number = None,
    seed: _Number = None,
    size: str | None = None,
    fps: _Number = None,
    out: Path | None = None,
    sheet: Path | None = None,
    policy: Literal["strict", "adjust"] | None = None,
    routing: RoutingFlags = NO_FLAGS,
    option: _Texts = None,
    allow_unknown_words: _Flag = False,
    idempotency_key: str | None = None,
    overwrite: _Flag = False,
    json: _Flag = False,
) -> int:
    """Make a video from a prompt, or from a storyboard of shots.

    Args:
        prompt: What the video shows; of a storyboard, the first shot.
        shot: TEXT@SECONDS, a further shot; may be repeated. The prompt gets what they leave.
        backend: Who makes it, NAME or NAME/MODEL; media-agent backends lists them.
        duration: Length of the whole video in seconds.
        seed: 0 to 2^63-1; absent: drawn, and recorded.
        size: WIDTHxHEIGHT in pixels.
        fps: Frames per second.
        out: The file to write, .mp4; its record goes beside it. Absent: out/PROMPT-SEED.mp4.
        sheet: Also write a contact sheet, .png.
        policy: adjust: use the nearest value a backend can do, and say so; strict: refuse.
            Absent: as the settings say, else adjust.
        routing: Who may make it, and for how much.
        option: NAME=VALUE, an option of the backend; may be repeated.
        allow_unknown_words: Go on with words that the model has never learnt.
        idempotency_key: Said again with the same request it is the same job, waited for or gone on
            with, never a second one.
        overwrite: Replace files that exist.
        json: Print the finished job as JSON on stdout, and nothing else.
    """
    import asyncio

    from media_agent.cli.arguments import number, whole_number
    from media_agent.cli.making import Wishes, make
    from media_agent_schemas.capabilities import Policy

    wishes = Wishes(
        prompt=prompt,
        shots=tuple(shot or ()),
        backend=backend,
        duration=number("duration", duration),
        seed=whole_number("seed", seed),
        size=size,
        fps=number("fps", fps),
        out=out,
        sheet=sheet,
        policy=None if policy is None else Policy(policy),
        routing=routing,
        options=tuple(option or ()),
        allow_unknown_words=allow_unknown_words,
        idempotency_key=idempotency_key,
        overwrite=overwrite,
        json=json,
    )
    return asyncio.run(make(wishes))
