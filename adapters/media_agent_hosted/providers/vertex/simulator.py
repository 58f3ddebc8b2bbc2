"""Vertex AI on this machine: Veo as documented, for tests and for trying things out.

What the documents leave open is invented here: the words of errors.
"""

from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import JsonValue

from media_agent.testing import Route, SimulatedJob, Simulator
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video, make_video, small_shapes

_FPS, _USUAL = 24, 8
_SHAPES = small_shapes("16:9", "9:16")
_PLACE = (
    r"(?:/v1)?/(?P<place>(?:projects/[^/]+/locations/[^/]+/)?"
    r"publishers/google/models/(?P<model>[^/:]+))"
)


class VertexSimulator(Simulator):
    """Answers as aiplatform.googleapis.com does; any token or API key is good."""

    name = "vertex"
    gives_files = False
    outcomes: ClassVar[tuple[str, ...]] = ("completed", "failed", "filtered", "some", "bucket")

    def routes(self) -> Sequence[Route]:
        """Return the calls for operations."""
        return (
            Route("POST", f"{_PLACE}:fetchPredictOperation", "status", self._status),
            Route("POST", f"{_PLACE}:predictLongRunning", "submit", self._submit),
        )

    def refusal(self, call: Call) -> Answer | None:
        """Refuse whatever has neither a token nor an API key."""
        has_token = call.has_bearer
        if has_token or call.headers.get("x-goog-api-key"):
            return None
        return _refuse(401, "UNAUTHENTICATED", "the access token is missing")

    def error_body(self, text: str) -> JsonValue:
        """Return an error as Google writes one."""
        return {"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}}

    def video(self, job: SimulatedJob) -> Video:
        """Return a video of the length and shape asked, small."""
        asked = _parameters(job.input)
        seconds = asked.get("durationSeconds")
        width, height = _SHAPES.get(str(asked.get("aspectRatio")), _SHAPES["16:9"])
        length = seconds if isinstance(seconds, int) else _USUAL
        return Video(_FPS * length, float(_FPS), width, height, job.shade)

    def _submit(self, call: Call) -> Answer:
        body = call.json()
        problem = _problem(body)
        if problem is not None:
            return _refuse(400, "INVALID_ARGUMENT", problem)
        job = self.accept(call.arguments["model"], body)
        return Answer(200, {"name": f"{call.arguments['place']}/operations/{job.id}"})

    def _status(self, call: Call) -> Answer:
        name = str(call.json().get("operationName"))
        job = self.jobs.get(name.rpartition("/")[2])
        if job is None:
            return _refuse(404, "NOT_FOUND", f"there is no operation {name}")
        if self.poll(job) != "done":
            return Answer(200, {"name": name})
        if self.outcome == "failed":
            error: JsonValue = {"code": 13, "message": "Internal error"}
            return Answer(200, {"name": name, "done": True, "error": error})
        return Answer(200, {"name": name, "done": True, "response": self._response(job)})

    def _response(self, job: SimulatedJob) -> JsonValue:
        reasons: JsonValue = ["The prompt could not be processed. Support codes: 15236754"]
        withheld = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": reasons}
        if self.outcome == "filtered":
            return withheld
        if self.outcome == "bucket":
            uri = f"gs://bucket/{job.id}/sample_0.mp4"
            videos: JsonValue = [{"gcsUri": uri, "mimeType": "video/mp4"}]
        else:
            count = _parameters(job.input).get("sampleCount", 1)
            videos = [self._inline(job, number) for number in range(int(str(count)))]
        rest = withheld if self.outcome == "some" else {"raiMediaFilteredCount": 0}
        kind = "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse"
        return {"@type": kind, **rest, "videos": videos}

    def _inline(self, job: SimulatedJob, number: int) -> JsonValue:
        """Return one of the videos of an operation, each of another shade."""
        first = self.video(job)
        content = make_video(replace(first, shade=first.shade + number))
        encoded = b2a_base64(content, newline=False).decode("ascii")
        return {"bytesBase64Encoded": encoded, "mimeType": "video/mp4"}


def _parameters(body: dict[str, JsonValue]) -> dict[str, JsonValue]:
    found = body.get("parameters")
    return found if isinstance(found, dict) else {}


def _problem(body: dict[str, JsonValue]) -> str | None:
    """Return what is wrong with a submission."""
    instances, asked = body.get("instances"), _parameters(body)
    instance = instances[0] if isinstance(instances, list) and instances else None
    if not isinstance(instance, dict) or not (instance.get("prompt") or instance.get("image")):
        return "instances[0] needs a prompt or an image"
    lengths = (7,) if "video" in instance and "mask" not in instance else (4, 6, 8)
    if asked.get("durationSeconds", lengths[-1]) not in lengths:
        return "durationSeconds is not supported"
    if asked.get("resolution", "720p") not in ("720p", "1080p", "4k"):
        return "resolution is not supported"
    if asked.get("aspectRatio", "16:9") not in _SHAPES:
        return "aspectRatio is not supported"
    return None


def _refuse(status: int, name: str, words: str) -> Answer:
    return Answer(status, {"error": {"code": status, "message": words, "status": name}})
