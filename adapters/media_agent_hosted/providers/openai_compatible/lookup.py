"""Which video in a server's list is the one whose reply was lost.

Only what the server repeats of ours proves anything: the prompt, and the seed, which is drawn for
each video and so tells it from another one of the same prompt, of another program or data folder.
It must not have been made before ours was asked for either.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from media_agent.errors import BackendResponseError
from media_agent_hosted.base.identity import fits_a_path
from media_agent_hosted.base.listed import (
    choose,
    is_after,
    is_before,
    is_same_text,
    since_by_its_clock,
)
from media_agent_hosted.http.client import HttpApi
from media_agent_hosted.providers.openai_compatible.video import Server, Video, parse_list

_PAGE = 100  # videos in a page, the most that both servers give
_PAGES = 50  # pages looked through at most
_UNPROVED = (
    "proves nothing: it does not repeat the prompt and the seed, or not that it was made after "
    "yours was asked for"
)
_COMPARED_ELSEWHERE = {"prompt", "model", "size", "num_frames", "fps", "seconds"}
_SHORTEST_PART = 20  # letters of a prompt that is repeated in part


@dataclass(frozen=True, slots=True)
class Listed:
    """What a server's list has, and from when on it can be what is looked for."""

    videos: tuple[Video, ...]
    unreadable: int
    since: float | None
    """By the server's clock; None: it does not say its time."""


async def find_video(
    api: HttpApi,
    form: Mapping[str, str],
    *,
    ago: Callable[[], float],
    taken: Collection[str],
) -> Video | None:
    """Return the video that repeats prompt and seed of this form, None if nothing is like it.

    It was asked for so many seconds `ago`; `taken` are ids of videos that are something else.

    Raises:
        BackendResponseError: nobody can be sure: several fit, or one that repeats no prompt or no
            seed, or some cannot be read.
    """
    listed = await _newest(api, ago)
    fitting = [
        video
        for video in listed.videos
        if video.id not in taken and fits_a_path(video.id) and echoes(video, form)
    ]
    candidates = {
        video.id: video
        for video in fitting
        if _may_be(video, form) and not is_before(video.created_at, listed.since)
    }
    ours = [
        name
        for name, video in candidates.items()
        if is_prompt_of(video, form)
        and repeats(video, form)
        and is_after(video.created_at, listed.since)
    ]
    found = choose(api.host, ours, [*candidates], _UNPROVED)
    if found is not None:
        return candidates[found]
    if listed.unreadable:
        raise BackendResponseError(
            f"{listed.unreadable} videos in the list of {api.host} cannot be read: it may be there"
        )
    return None


def is_prompt_of(video: Video, form: Mapping[str, str]) -> bool:
    """Whether a video has the prompt of the form, however it is spaced."""
    return video.prompt is not None and is_same_text(video.prompt, form.get("prompt", ""))


def repeats(video: Video, form: Mapping[str, str]) -> bool:
    """Whether a video repeats the seed of the form, and else nothing that differs from it."""
    said = {name: value for name, value in video.said.items() if value is not None}
    compared = form.keys() & said.keys() - _COMPARED_ELSEWHERE
    return "seed" in compared and all(_is_same(said[name], form[name]) for name in compared)


def echoes(video: Video, form: Mapping[str, str]) -> bool:
    """Whether nothing that a listed video repeats speaks against this form.

    What a server works out itself is compared roughly: vLLM-Omni rounds frames and their rate.
    """
    seed = video.said.get("seed")
    if seed is not None and "seed" in form and not _is_same(seed, form["seed"]):
        return False
    if video.model is not None and video.model != form.get("model", video.model):
        return False
    if _sides(video.size) != _sides(form.get("size")) and None not in (
        _sides(video.size),
        _sides(form.get("size")),
    ):
        return False
    numbers = {"num_frames": video.num_frames, "fps": video.fps}
    if not all(_is_about(said, form.get(name)) for name, said in numbers.items()):
        return False
    return _seconds_agree(video, form)


async def _newest(api: HttpApi, ago: Callable[[], float]) -> Listed:
    """Return the videos made since then, newest first."""
    found: dict[str, Video] = {}
    unreadable, begin = 0, None
    params = {"limit": str(_PAGE), "order": "desc"}
    for _ in range(_PAGES):
        reply = await api.send("GET", "/videos", params=params)
        begin = since_by_its_clock(reply, ago())
        page, odd, has_more = parse_list(reply.json())
        unreadable += odd
        new = {video.id: video for video in page if video.id not in found}
        found |= new
        is_last = has_more is False or (has_more is None and len(page) + odd < _PAGE)
        if is_last or not new or is_before(page[-1].created_at, begin):
            break
        params["after"] = page[-1].id
    return Listed(tuple(found.values()), unreadable, begin)


def _may_be(video: Video, form: Mapping[str, str]) -> bool:
    """Whether a video can be the one looked for, also where it repeats no prompt or a part."""
    if video.prompt is None or is_prompt_of(video, form):
        return True
    part = " ".join(video.prompt.split()).rstrip(".…")
    whole = " ".join(form.get("prompt", "").split())
    return len(part) >= _SHORTEST_PART and whole.startswith(part)


def _is_same(said: JsonValue, asked: str) -> bool:
    """Whether a server repeats what a form says, as text, number, truth or JSON."""
    if isinstance(said, str):
        return is_same_text(said, asked)
    try:
        return bool(said == json.loads(asked))
    except ValueError:
        return False


def _sides(size: str | None) -> tuple[int, ...] | None:
    """Return width and height of a size however it is written, None if it says none."""
    found = re.fullmatch(r"\s*(\d{1,6})\s*[xX*×:]\s*(\d{1,6})\s*", size or "")
    return None if found is None else (int(found[1]), int(found[2]))


def _is_about(said: float | None, asked: str | None) -> bool:
    return said is None or asked is None or abs(said - float(asked)) <= max(4.0, said / 10)


def _seconds_agree(video: Video, form: Mapping[str, str]) -> bool:
    """Whether the length fits: SGLang and FastVideo say the frames they make, in whole seconds.

    vLLM-Omni repeats the seconds asked, which are none where we asked for frames.
    """
    said = video.seconds
    if said is None:
        return True
    if "num_frames" in form and "fps" in form:
        is_counted = video.server in (Server.SGLANG, Server.FASTVIDEO)
        return not is_counted or abs(said - float(form["num_frames"]) / float(form["fps"])) <= 1
    return "seconds" not in form or said == float(form["seconds"])
