"""The command that makes a video."""

from pathlib import Path

from media_agent.cli.arguments import Flag
from media_agent.cli.wishes import NO_FLAGS, NO_WISHES, FilmFlags, RoutingFlags


def generate(
    prompt: str,
    /,
    *,
    film: FilmFlags = NO_WISHES,
    routing: RoutingFlags = NO_FLAGS,
    out: Path | None = None,
    sheet: Path | None = None,
    follow: Flag = False,
    idempotency_key: str | None = None,
    overwrite: Flag = False,
    json: Flag = False,
) -> int:
    """Make a video from a prompt, or from a storyboard of shots.

    Args:
        prompt: What the video shows; of a storyboard, the first shot.
        film: What it is like.
        routing: Who may make it, and for how much.
        out: The file to write, .mp4; its record goes beside it. Absent: out/PROMPT-SEED.mp4.
        sheet: Also write a contact sheet, .png.
        follow: Say where the growing film is, to be watched already, and every new chunk.
        idempotency_key: Said again with the same request it is the same job, never a second one.
        overwrite: Replace files that exist.
        json: Print the finished job as JSON on stdout, and nothing else.
    """
    import asyncio

    from media_agent.cli.making import Order, make

    order = Order(
        prompt=prompt,
        film=film,
        routing=routing,
        out=out,
        sheet=sheet,
        follow=follow,
        idempotency_key=idempotency_key,
        overwrite=overwrite,
        json=json,
    )
    return asyncio.run(make(order))
