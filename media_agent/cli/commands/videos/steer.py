"""The commands that change where a video goes: steer, finish, branch, extend."""

from typing import Annotated, Literal

from cyclopts import Parameter

from media_agent.cli.arguments import (
    Backend,
    Duration,
    Flag,
    Number,
    Text,
    Texts,
    read_whole_number,
)
from media_agent.cli.request.flags import DEFAULT_OUTPUT, OutputFlags, RoutingFlags, VideoFlags
from media_agent.cli.store import find_job


def steer(
    job_id: str,
    prompt: str,
    /,
    *,
    at: Annotated[str, Parameter(metavar="next|now|CHUNKS")] = "next",
    allow_unknown_words: Flag = False,
    json: Flag = False,
) -> int:
    """Change the prompt of a running job.

    Args:
        job_id: As shown by jobs list; or the beginning of one, or last.
        prompt: New prompt.
        at: next chunk not yet started; now: chunks in progress, too; or after a number of chunks.
        allow_unknown_words: Allow prompt words outside the model's vocabulary.
        json: Print JSON: {"data": [{"job", "status", "chunk", "said"}]}.
    """
    import asyncio

    from media_agent.cli.job_actions import change_prompt
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
    return asyncio.run(
        change_prompt(
            find_job(job_id), prompt, at=place, allow_unknown_words=allow_unknown_words, json=json
        )
    )


def finish(job_id: str, /, *, json: Flag = False) -> int:
    """Finish a running job after its next chunk.

    Args:
        job_id: As shown by jobs list; or the beginning of one, or last.
        json: Print JSON: {"data": [{"job", "status", "said"}]}.
    """
    import asyncio

    from media_agent.cli.job_actions import finish_video

    return asyncio.run(finish_video(find_job(job_id), json=json))


def branch(
    job_id: str,
    prompt: Text = None,
    /,
    *,
    at: Number = None,
    shot: Texts = (),
    duration: Duration = None,
    endless: Flag = False,
    policy: Literal["strict", "adjust"] | None = None,
    max_cost: Number = None,
    allow_unknown_words: Flag = False,
    output: OutputFlags = DEFAULT_OUTPUT,
    idempotency_key: Text = None,
) -> int:
    """Make a new video that keeps the first chunks of a job and continues differently.

    Args:
        job_id: The job of that video, as shown by jobs list; or the beginning of one, or last.
        prompt: Prompt for the new part, TEXT or TEXT@SECONDS; or give shots.
        at: Number of chunks to keep. Default: all of them, which continues the video.
        shot: A shot of the new part, TEXT@SECONDS, after the prompt; may be repeated.
        duration: Length of the new part in seconds, of one prompt.
        endless: Continue until you finish it; the last shot has no length.
        policy: If a value is unsupported: refuse, or use the nearest one and report it.
        max_cost: Maximum cost in USD.
        allow_unknown_words: Allow prompt words outside the model's vocabulary.
        output: Where the video is written.
        idempotency_key: Reusing a key with the same request returns the existing job.
    """
    import asyncio

    from media_agent.cli.request.build import Order
    from media_agent.cli.run_job import make

    video = VideoFlags(
        shot=shot, duration=duration, endless=endless, allow_unknown_words=allow_unknown_words
    )
    order = Order(
        prompt=prompt,
        video=video,
        routing=RoutingFlags(policy=policy, max_cost=max_cost),
        output=output,
        idempotency_key=idempotency_key,
        parent=job_id,
        shared_chunks=read_whole_number("at", at),
    )
    return asyncio.run(make(order))


def extend(
    video: str,
    prompt: str,
    /,
    *,
    duration: Duration = None,
    backend: Backend = None,
    option: Texts = (),
    policy: Literal["strict", "adjust"] | None = None,
    size: Annotated[str | None, Parameter(metavar="WxH")] = None,
    fit: Literal["crop", "pad"] | None = None,
    seed: Number = None,
    only_new: Flag = False,
    max_cost: Number = None,
    allow_unknown_words: Flag = False,
    output: OutputFlags = DEFAULT_OUTPUT,
    idempotency_key: Text = None,
) -> int:
    """Continue a video: a job from its saved state (seamless), a file from its last frames.

    The result is the whole video: the source, then the new part. A job whose model keeps no states
    is continued as a file is: the video that it delivered.

    Args:
        video: A job (its ID, the beginning of it, or last), or the path or http(s) URL of a video.
        prompt: Prompt for the new part.
        duration: Length of the new part in seconds.
        backend: NAME or NAME/MODEL; a job continues on its own, from its state.
        option: NAME=VALUE, an option of the chosen backend, for a file; may be repeated.
        policy: If a value is unsupported: refuse, or use the nearest one and report it.
        size: Frame size in pixels of a file's new part. Default, of a local model: the file's.
        fit: Crop a file whose shape differs from the new part's, or pad it with black.
        seed: Random seed, 0 to 2^63-1. Default: random; for a job, the job's seed.
        only_new: Write only the new part of a continued file, in the model's size and frame rate.
        max_cost: Maximum cost in USD.
        allow_unknown_words: Allow prompt words outside the model's vocabulary.
        output: Where the video is written.
        idempotency_key: Reusing a key with the same request returns the existing job.
    """
    import asyncio

    from media_agent.cli.request.build import Order
    from media_agent.cli.run_job import make

    order = Order(
        prompt=prompt,
        video=VideoFlags(
            duration=duration,
            seed=seed,
            size=size,
            fit=fit,
            allow_unknown_words=allow_unknown_words,
        ),
        routing=RoutingFlags(backend=backend, option=option, policy=policy, max_cost=max_cost),
        output=output,
        idempotency_key=idempotency_key,
        source=video,
        only_new=only_new,
    )
    return asyncio.run(make(order))
