"""The commands that change where a video goes: steer, finish, branch, extend."""

from typing import Annotated, Literal

from cyclopts import Parameter

from media_agent.cli.arguments import Flag, Number, Texts, whole_number
from media_agent.cli.flags import HERE, OutputFlags, RoutingFlags, VideoFlags


def steer(
    job_id: str,
    prompt: str,
    /,
    *,
    at: Annotated[str, Parameter(metavar="next|now|CHUNKS")] = "next",
    allow_unknown_words: Flag = False,
) -> int:
    """Let a video go on under another prompt, in whatever process it is made.

    Args:
        job_id: As jobs list shows it.
        prompt: What the video shows from then on.
        at: next: with the first chunk that is not begun; now: also in chunks that are begun, as far
            as that still changes them; a number: after so many chunks.
        allow_unknown_words: Go on with words that the model has never learnt.
    """
    import asyncio

    from media_agent.cli.job_actions import change
    from media_agent.errors import InvalidRequestError

    place: Literal["next", "now"] | int
    if at == "next":
        place = "next"
    elif at == "now":
        place = "now"
    elif at.isdecimal():
        place = int(at)
    else:
        raise InvalidRequestError(f"--at {at!r} is not next, now or a number of chunks")
    return asyncio.run(change(job_id, prompt, at=place, allow_unknown_words=allow_unknown_words))


def finish(job_id: str, /) -> int:
    """End a video with its next chunk, in whatever process it is made.

    Args:
        job_id: As jobs list shows it.
    """
    import asyncio

    from media_agent.cli.job_actions import end

    return asyncio.run(end(job_id))


def branch(
    job_id: str,
    prompt: str | None = None,
    /,
    *,
    at: Number = None,
    shot: Texts = (),
    duration: Number = None,
    endless: Flag = False,
    policy: Literal["strict", "adjust"] | None = None,
    allow_unknown_words: Flag = False,
    output: OutputFlags = HERE,
) -> int:
    """Make another video that begins as a video does and then goes its own way.

    Args:
        job_id: The job that made the video, as jobs list shows it.
        prompt: What the new part shows; or give shots.
        at: How many chunks both share; absent: all, so that the video is continued.
        shot: TEXT@SECONDS, a shot of the new part; repeat for more.
        duration: Length of the new part in seconds, with a prompt.
        endless: Go on until told to finish; the last shot has no length.
        policy: What cannot be done exactly: refuse it, or take the nearest and say so.
        allow_unknown_words: Go on with words that the model has never learnt.
        output: Where it goes.
    """
    import asyncio

    from media_agent.cli.build_request import Order
    from media_agent.cli.run_job import make

    video = VideoFlags(
        shot=shot, duration=duration, endless=endless, allow_unknown_words=allow_unknown_words
    )
    order = Order(
        prompt=prompt,
        video=video,
        routing=RoutingFlags(policy=policy),
        output=output,
        parent=job_id,
        shared_chunks=whole_number("at", at),
    )
    return asyncio.run(make(order))


def extend(
    video: str,
    prompt: str,
    /,
    *,
    duration: Number = None,
    backend: str | None = None,
    seed: Number = None,
    allow_unknown_words: Flag = False,
    output: OutputFlags = HERE,
) -> int:
    """Go on with a video: that of a job seamlessly, from its state; any other from its last frames.

    Of a job the whole video is there afterwards, of a file only the new part.

    Args:
        video: A job, as jobs list shows it, or FILE or http(s) address of a video.
        prompt: What the new part shows.
        duration: Length of the new part in seconds.
        backend: Who makes it, NAME or NAME/MODEL; a job is gone on with by who made it.
        seed: 0 to 2^63-1; absent: drawn, or that of the job.
        allow_unknown_words: Go on with words that the model has never learnt.
        output: Where it goes.
    """
    import asyncio

    from media_agent.cli.build_request import order_to_extend
    from media_agent.cli.run_job import make

    flags = VideoFlags(duration=duration, seed=seed, allow_unknown_words=allow_unknown_words)
    order = order_to_extend(video, prompt, flags, RoutingFlags(backend=backend), output)
    return asyncio.run(make(order))
