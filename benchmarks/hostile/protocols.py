"""The three protocols as their documents have them: what a sane upstream replies at each step."""

import email
import email.policy
import json
import re
import time
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

from exchange import Case, Reply

SECONDS, SIZE, FPS = 2, "96x54", 24


@dataclass(slots=True)
class Work:
    """What was accepted once."""

    id: str
    prompt: str
    at: float
    form: dict[str, Any]
    polls: int = 0


@dataclass(slots=True)
class Place:
    """What the upstream knows of one case."""

    case: Case
    base: str
    files: str
    content: bytes
    works: list[Work] = field(default_factory=list)

    def step_of(self, method: str, path: str) -> tuple[str, str | None]:
        """Return which step a call is, and of which work."""
        path = urllib.parse.urlsplit(path).path
        if method == "POST":
            return "submit", None
        if path == "/v1/models":
            return "models", None
        if path == "/v1/videos" and method == "GET":
            return "list", None
        for pattern, step in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found is not None:
                number = urllib.parse.unquote(found.group(1))
                return ("cancel" if method in ("PUT", "DELETE") else step), number
        return "other", None

    def work(self, number: str | None) -> Work | None:
        """Return the work of this id."""
        return next((work for work in self.works if work.id == number), None)

    def reply(self, step: str, work: Work | None, number: str, *, is_done: bool) -> Reply:
        """Return what the documents say to this step."""
        if step == "models":
            return Reply(data={"object": "list", "data": [{"id": "wan", "object": "model"}]})
        if step == "list":
            videos = [self.video(each, is_done=True) for each in reversed(self.works)]
            return Reply(data={"object": "list", "data": videos, "has_more": False})
        if step == "video" and number.startswith("stranger"):
            other = self.content + b"\0\0\0\x08free"  # as good a video, of somebody else
            return Reply(body=other, headers={"Content-Type": "video/mp4"})
        if work is None and number.startswith("stranger"):
            return Reply(data=stranger_video(number))
        if work is None:
            return Reply(404, data={"detail": "Not found"})
        if step == "video":
            return Reply(
                body=self.content, headers={"Content-Type": "video/mp4"}, slow=self.case.slow
            )
        if step == "cancel":
            return Reply(202, data={"status": "CANCELLATION_REQUESTED"})
        return getattr(self, f"_{self.case.kind}")(step, work, is_done)

    def video(self, work: Work, *, is_done: bool) -> dict[str, Any]:
        """Return a video of an OpenAI-shaped server."""
        video = {
            "id": work.id,
            "object": "video",
            "model": "wan",
            "status": "completed" if is_done else "in_progress" if work.polls > 1 else "queued",
            "progress": 100 if is_done else 0,
            "created_at": int(work.at),
            "size": work.form.get("size", SIZE),
            "seconds": work.form.get("seconds", str(SECONDS)),
            "quality": "standard",
            "error": None,
        }
        if self.case.flavour == "vllm":
            return {**video, "prompt": work.prompt, "media_type": "video/mp4", "fps": FPS}
        return {**video, "url": None, "urls": [None] if is_done else None, "file_path": "/srv/o"}

    def _openai(self, _step: str, work: Work, is_done: bool) -> Reply:
        return Reply(data=self.video(work, is_done=is_done))

    def _fal(self, step: str, work: Work, is_done: bool) -> Reply:
        address = f"{self.base}/hostile/videos/requests/{urllib.parse.quote(work.id, safe='')}"
        known = {"request_id": work.id, "response_url": address}
        if step == "submit":
            further = {"status_url": f"{address}/status", "cancel_url": f"{address}/cancel"}
            return Reply(data={"status": "IN_QUEUE", **known, **further, "queue_position": 1})
        if step == "result":
            if not is_done:
                return Reply(400, data={"detail": "Request is still in progress"})
            facts = {
                "content_type": "video/mp4",
                "file_name": "x.mp4",
                "file_size": len(self.content),
            }
            return Reply(data={"video": {"url": self.video_address(work), **facts}, "seed": 7})
        if is_done:
            data = {"status": "COMPLETED", **known, "logs": None}
            return Reply(data={**data, "metrics": {"inference_time": 1.5}})
        if work.polls <= 1:
            return Reply(202, data={"status": "IN_QUEUE", **known, "queue_position": 0})
        log = {"message": "step 1/2", "level": "INFO", "timestamp": "2026-11-20T10:00:00Z"}
        return Reply(202, data={"status": "IN_PROGRESS", **known, "logs": [log]})

    def _http(self, step: str, work: Work, is_done: bool) -> Reply:
        if step == "submit":
            return Reply(data={"id": work.id, "state": "queued"})
        state = "succeeded" if is_done else "running"
        url = self.video_address(work) if is_done else None
        data = {"id": work.id, "state": state, "progress": 100 if is_done else 10}
        return Reply(data={**data, "url": url, "message": None})

    def video_address(self, work: Work) -> str:
        """Return where the video lies."""
        return f"{self.files}/video/{urllib.parse.quote(work.id, safe='')}.mp4"


def stranger_video(number: str) -> dict[str, Any]:
    """Return a finished video of somebody else, with the measures of ours."""
    return {
        "id": number,
        "object": "video",
        "model": "wan",
        "status": "completed",
        "progress": 100,
        "created_at": int(time.time()),
        "size": SIZE,
        "seconds": str(SECONDS),
        "error": None,
    }


def read_form(content_type: str, body: bytes) -> dict[str, Any]:
    """Return the fields of a submission, JSON or a form."""
    if not content_type.startswith("multipart"):
        return dict(json.loads(body or b"{}"))
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    parts = [part for part in message.walk() if not part.is_multipart()]
    return {
        str(part.get_param("name", "", header="content-disposition")): (
            part.get_payload(decode=True) or b""
        ).decode("utf-8", "replace")
        for part in parts
    }


def new_work(number: str, form: dict[str, Any]) -> Work:
    """Accept a submission."""
    return Work(number, str(form.get("prompt", form.get("text", ""))), time.time(), form)


_ROUTES = (
    (r"/hostile/videos/requests/([^/]+)/status", "poll"),
    (r"/hostile/videos/requests/([^/]+)/cancel", "cancel"),
    (r"/hostile/videos/requests/([^/]+)", "result"),
    (r"/v1/videos/([^/]+)/content", "video"),
    (r"/v1/videos/([^/]+)", "poll"),
    (r"/jobs/([^/]+)", "poll"),
    (r"/video/([^/]+)\.mp4", "video"),
)
