"""The command that makes a video."""

from media_agent.cli.flags import (
    HERE,
    NO_FLAGS,
    NO_WISHES,
    OutputFlags,
    RoutingFlags,
    VideoFlags,
)


def generate(
    prompt: str,
    /,
    *,
    video: VideoFlags = NO_WISHES,
    routing: RoutingFlags = NO_FLAGS,
    output: OutputFlags = HERE,
    idempotency_key: str | None = None,
) -> int:
    """Make a video from a prompt, or from a storyboard of shots.

    Args:
        prompt: What the video shows; of a storyboard, the first shot.
        video: What it is like.
        routing: Who may make it, and for how much.
        output: Where it goes.
        idempotency_key: Said again with the same request it is the same job, never a second one.
    """
    import asyncio

    from media_agent.cli.build_request import Order
    from media_agent.cli.run_job import make

    order = Order(
        prompt=prompt, video=video, routing=routing, output=output, idempotency_key=idempotency_key
    )
    return asyncio.run(make(order))
