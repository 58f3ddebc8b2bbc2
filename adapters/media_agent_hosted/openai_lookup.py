"""Which video in a server's list is the one whose reply was lost."""

from collections.abc import Collection, Mapping
from datetime import datetime

from media_agent_hosted.http import HttpApi
from media_agent_hosted.openai_video import Server, Video, parse_list

_PAGE = 100  # videos in a page, the most that both servers give
_PAGES = 50  # pages looked through at most


async def find_video(
    api: HttpApi, form: Mapping[str, str], *, since: datetime, taken: Collection[str]
) -> Video | None:
    """Return the only video that this form can have become, None if there is none or several.

    `taken` are ids of videos that are known to be something else.
    """
    fitting = [
        video
        for video in await _newest(api, since)
        if video.id not in taken and echoes(video, form, since=since)
    ]
    return fitting[0] if len(fitting) == 1 else None


def echoes(video: Video, form: Mapping[str, str], *, since: datetime) -> bool:
    """Whether a listed video can be the one this form asked for, after `since`.

    Compared is what the server repeats: SGLang no prompt, vLLM-Omni all but the seed. Times are
    whole seconds there, so that one of the same second counts as after.
    """
    if video.created_at is None or _is_older(video, since):
        return False
    echoed = {"prompt": video.prompt, "model": video.model, "size": video.size}
    if any(said is not None and said != form.get(name, said) for name, said in echoed.items()):
        return False
    numbers = {"num_frames": video.num_frames, "fps": video.fps}
    if any(
        said is not None and said != float(form.get(name, said)) for name, said in numbers.items()
    ):
        return False
    return _seconds_agree(video, form)


async def _newest(api: HttpApi, since: datetime) -> list[Video]:
    """Return the videos made since then, newest first."""
    found: dict[str, Video] = {}
    params = {"limit": str(_PAGE), "order": "desc"}
    for _ in range(_PAGES):
        reply = await api.send("GET", "/videos", params=params)
        page, has_more = parse_list(reply.json())
        new = {video.id: video for video in page if video.id not in found}
        found |= new
        is_last = has_more is False or (has_more is None and len(page) < _PAGE)
        if is_last or not new or _is_older(page[-1], since):
            break
        params["after"] = page[-1].id
    return list(found.values())


def _is_older(video: Video, since: datetime) -> bool:
    """Whether a video is certainly older; a server says whole seconds."""
    return video.created_at is not None and video.created_at < int(since.timestamp())


def _seconds_agree(video: Video, form: Mapping[str, str]) -> bool:
    """Whether the length fits: SGLang says the frames it makes, in whole seconds."""
    try:
        said = None if video.seconds is None else float(video.seconds)
    except ValueError:
        return True
    if said is None:
        return True
    if "seconds" in form:
        return said == float(form["seconds"])
    if video.server is Server.SGLANG and "num_frames" in form and "fps" in form:
        return abs(said - float(form["num_frames"]) / float(form["fps"])) <= 1
    return True  # vLLM-Omni repeats the seconds asked, and we asked for frames
