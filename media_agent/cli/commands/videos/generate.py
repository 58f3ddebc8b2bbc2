"""The command that makes a video."""

from media_agent.cli.arguments import Flag, Text
from media_agent.cli.request.flags import (
    DEFAULT_OUTPUT,
    DEFAULT_ROUTING,
    DEFAULT_VIDEO,
    OutputFlags,
    RoutingFlags,
    VideoFlags,
)


def generate(
    prompt: Text = None,
    /,
    *,
    video: VideoFlags = DEFAULT_VIDEO,
    routing: RoutingFlags = DEFAULT_ROUTING,
    output: OutputFlags = DEFAULT_OUTPUT,
    idempotency_key: Text = None,
    detach: Flag = False,
) -> int:
    """Generate a video from a prompt or a storyboard of shots.

    Args:
        prompt: What the video shows, TEXT or TEXT@SECONDS; in a storyboard, the first shot.
        video: How the video looks.
        routing: Which backend to use, and the maximum cost.
        output: Where the video is written.
        idempotency_key: Reusing a key with the same request returns the existing job.
        detach: Only queue the job for workers (runner = "dbos" in the settings), print its ID.
    """
    import asyncio

    from media_agent.cli.request.build import Order
    from media_agent.cli.run_job import make

    order = Order(
        prompt=prompt,
        video=video,
        routing=routing,
        output=output,
        idempotency_key=idempotency_key,
        detach=detach,
    )
    return asyncio.run(make(order))
