"""Which video in a server's list is the one whose reply was lost.

Only what the server repeats of ours proves anything: the prompt. The clocks of two machines are not
compared: the server's own Date is, and with minutes to spare, as it may have several clocks too.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from media_agent.errors import BackendResponseError
from media_agent_hosted.http import HttpApi
from media_agent_hosted.identity import fits_a_path
from media_agent_hosted.openai_video import Server, Video, parse_list
from media_agent_hosted.replies import Reply

_PAGE = 100  # videos in a page, the most that both servers give
_PAGES = 50  # pages looked through at most
_TO_SPARE = 300.0  # seconds by which a server's clocks may differ from each other
_SHOWN = 3  # candidates that a message names
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
    since: datetime,
    now: Callable[[], float],
    taken: Collection[str],
) -> Video | None:
    """Return the video that repeats the prompt of this form, None if nothing like it is there.

    `taken` are ids of videos that are known to be something else.

    Raises:
        BackendResponseError: nobody can be sure: several fit, or one that repeats no prompt, or
            some cannot be read.
    """
    listed = await _newest(api, since, now)
    fitting = [
        video
        for video in listed.videos
        if video.id not in taken and fits_a_path(video.id) and echoes(video, form)
    ]
    ours = [video for video in fitting if is_prompt_of(video, form)]
    found = _in_time(ours, listed.since)
    if len(found) == 1:
        return found[0]
    unsure = found or _in_time([video for video in fitting if _may_be(video, form)], listed.since)
    if unsure:
        raise BackendResponseError(_said(api.host, unsure, is_ours=bool(found)))
    if listed.unreadable:
        raise BackendResponseError(
            f"{listed.unreadable} videos in the list of {api.host} cannot be read: it may be there"
        )
    return None


def is_prompt_of(video: Video, form: Mapping[str, str]) -> bool:
    """Whether a video has the prompt of the form, however it is spaced."""
    return video.prompt is not None and _plain(video.prompt) == _plain(form.get("prompt", ""))


def echoes(video: Video, form: Mapping[str, str]) -> bool:
    """Whether nothing that a listed video repeats speaks against this form.

    What a server works out itself is compared roughly: vLLM-Omni rounds frames and their rate.
    """
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


async def _newest(api: HttpApi, since: datetime, now: Callable[[], float]) -> Listed:
    """Return the videos made since then, newest first."""
    found: dict[str, Video] = {}
    unreadable, begin = 0, None
    params = {"limit": str(_PAGE), "order": "desc"}
    for _ in range(_PAGES):
        reply = await api.send("GET", "/videos", params=params)
        begin = _by_its_clock(reply, since.timestamp(), now())
        page, odd, has_more = parse_list(reply.json())
        unreadable += odd
        new = {video.id: video for video in page if video.id not in found}
        found |= new
        is_last = has_more is False or (has_more is None and len(page) + odd < _PAGE)
        if is_last or not new or _is_before(page[-1], begin, _TO_SPARE):
            break
        params["after"] = page[-1].id
    return Listed(tuple(found.values()), unreadable, begin)


def _by_its_clock(reply: Reply, since: float, now: float) -> float | None:
    """Return a time of ours as the server's clock has it, None where it does not say its time."""
    try:
        its_now = parsedate_to_datetime(reply.headers.get("date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return since + its_now - now


def _in_time(videos: list[Video], since: float | None) -> list[Video]:
    """Return those that were not made long before; of several, those made not before at all."""
    fitting = [video for video in videos if not _is_before(video, since, _TO_SPARE)]
    after = [video for video in fitting if not _is_before(video, since, 2.0)]
    return after if len(fitting) > 1 and after else fitting


def _is_before(video: Video, since: float | None, to_spare: float) -> bool:
    """Whether a video is certainly older than that."""
    made = video.created_at
    return made is not None and since is not None and made < since - to_spare


def _may_be(video: Video, form: Mapping[str, str]) -> bool:
    """Whether a video that does not repeat the whole prompt can be the one looked for."""
    if video.prompt is None:
        return True
    part = _plain(video.prompt).rstrip(".…")
    return len(part) >= _SHORTEST_PART and _plain(form.get("prompt", "")).startswith(part)


def _said(host: str, videos: list[Video], *, is_ours: bool) -> str:
    names = ", ".join(video.id for video in videos[:_SHOWN])
    more = f" and {len(videos) - _SHOWN} more" if len(videos) > _SHOWN else ""
    if is_ours:
        return f"{host} has several videos of this prompt, {names}{more}: look which one it is"
    return (
        f"{host} does not repeat prompts, so its list proves nothing; by size and length it may be "
        f"{names}{more}: look whether that is the video you asked for"
    )


def _plain(prompt: str) -> str:
    return " ".join(prompt.split())


def _sides(size: str | None) -> tuple[int, ...] | None:
    """Return width and height of a size however it is written, None if it says none."""
    found = re.fullmatch(r"\s*(\d{1,6})\s*[xX*×:]\s*(\d{1,6})\s*", size or "")
    return None if found is None else (int(found[1]), int(found[2]))


def _is_about(said: float | None, asked: str | None) -> bool:
    return said is None or asked is None or abs(said - float(asked)) <= max(4.0, said / 10)


def _seconds_agree(video: Video, form: Mapping[str, str]) -> bool:
    """Whether the length fits: SGLang says the frames it makes, in whole seconds.

    vLLM-Omni repeats the seconds asked, which are none where we asked for frames.
    """
    said = video.seconds
    if said is None:
        return True
    if "num_frames" in form and "fps" in form:
        is_sglang = video.server is Server.SGLANG
        return not is_sglang or abs(said - float(form["num_frames"]) / float(form["fps"])) <= 1
    return "seconds" not in form or said == float(form["seconds"])
