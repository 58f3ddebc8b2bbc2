"""A service that the settings describe, without code, over real HTTP."""

import asyncio
import json
import logging
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue, SecretStr

from media_agent.backend.protocol import BackendSettings
from media_agent.cli import main
from media_agent.config.settings import load_settings
from media_agent.errors import (
    BackendAuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    SubmitUncertainError,
)
from media_agent.testing import Route, SimulatedJob, Simulator, events_of
from media_agent.testing.conformance import Faults, MakeBackend, ServiceConformance
from media_agent.testing.simulator.faults import Fault
from media_agent.testing.simulator.server import Answer, Call
from media_agent_hosted.declared.backend import HttpBackend
from media_agent_hosted.declared.declaration import build_body, call
from media_agent_hosted.parsing.lenient import share, value_at
from media_agent_schemas import VideoRequest
from media_agent_schemas.events import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
)
from media_agent_schemas.records import GenerationRecord

pytestmark = pytest.mark.anyio

SECRET = "acme-secret-4711"
DECLARATION = """
[backends.mine]
kind = "http"
base_url = "URL"
key_env = "ACME_KEY"

[backends.mine.options]
auth = "X-Api-Key: {key}"
submit = "POST /videos"
id = "video.id"
poll = "GET /videos/{id}"
state = "video.state"
done = ["ready"]
failed = ["broken", "stopped"]
progress = "video.percent"
error = "video.why"
result = "video.files.0.url"
cancel = "DELETE /videos/{id}"
sizes = ["64x48"]
fps = [8]
usd_per_second = 0.25

[backends.mine.options.body]
text = "{prompt}"
avoid = "{negative_prompt}"
seconds = "{duration}"
seed = "{seed}"
image = "{first_frame}"
"""

Build = Callable[..., HttpBackend]


class AcmeSimulator(Simulator):
    """An API such as somebody may have in their cellar."""

    name = "acme"

    def routes(self) -> list[Route]:
        one = r"/videos/(?P<id>[^/]+)"
        return [
            Route("POST", "/videos", "submit", self._submit),
            Route("GET", one, "status", self._poll),
            Route("DELETE", one, "cancel", self._cancel),
        ]

    def refusal(self, call: Call) -> Answer | None:
        known = call.headers.get("x-api-key") == SECRET
        return None if known else Answer(401, {"message": "who are you?"})

    def _submit(self, call: Call) -> Answer:
        return Answer(201, {"video": {"id": self.accept("cellar", call.json()).id}})

    def _poll(self, call: Call) -> Answer:
        job = self.jobs.get(call.arguments["id"])
        if job is None:
            return Answer(404, {"message": "there is no such video"})
        job.polls += 1
        return Answer(200, {"video": self._video(job)})

    def _video(self, job: SimulatedJob) -> dict[str, JsonValue]:
        if job.is_cancelled:
            return {"state": "stopped"}
        if job.input["text"] == "a fault":
            return {"state": "broken", "why": "the cellar is\nflooded"}
        if job.polls < 3:
            return {"state": "working", "percent": 40 * job.polls}
        return {"state": "ready", "files": [{"url": f"{self.url}/files/{job.id}.mp4"}]}

    def _cancel(self, call: Call) -> Answer:
        job = self.jobs[call.arguments["id"]]
        if job.polls >= 3:
            return Answer(409, {"message": "it is ready"})
        job.is_cancelled = True
        return Answer(200, {})


@pytest.fixture
def acme() -> Iterator[AcmeSimulator]:
    with AcmeSimulator() as simulator:
        yield simulator


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Build]:
    """Return what makes a backend of the declaration, for an address."""
    made: list[HttpBackend] = []

    async def no_sleep(seconds: float) -> None:
        await asyncio.sleep(0)

    def build(url: str, *, key: str | None = SECRET, **changes: Any) -> HttpBackend:
        options = {**declared_options(), **changes}
        settings = BackendSettings(
            data_dir=tmp_path,
            options={name: value for name, value in options.items() if value is not None},
            base_url=url,
            key=None if key is None else SecretStr(key),
            name="mine",
        )
        made.append(HttpBackend(settings, sleep=no_sleep))
        return made[-1]

    yield build
    for backend in made:
        await backend.aclose()


def declared_options() -> dict[str, Any]:
    options: dict[str, Any] = tomllib.loads(DECLARATION)["backends"]["mine"]["options"]
    return options


def make_request(**fields: Any) -> VideoRequest:
    known = {"prompt": "a fox", "num_frames": 8, "fps": 8.0, "size": {"width": 64, "height": 48}}
    return VideoRequest.model_validate({**known, "seed": 0, **fields})


async def run(backend: HttpBackend, request: VideoRequest) -> list[Any]:
    ref = await backend.submit(request, key="job-1")
    return await events_of(backend, ref)


async def test_a_declared_service_makes_a_video(build: Build, acme: AcmeSimulator) -> None:
    *before, ended = await run(build(acme.url), make_request())

    assert isinstance(ended, JobCompleted)
    video = ended.artifacts[0]
    assert video.path is not None
    assert video.metadata is not None
    assert video.metadata.frames > 0
    assert ended.seed == 0
    assert [event.fraction for event in before if isinstance(event, JobProgressed)] == [0.4, 0.8]
    assert acme.accepted == 1


def test_a_video_comes_of_the_settings_alone(
    acme: AcmeSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = "[backends.mine.options]\npoll_seconds = 0.01"
    text = DECLARATION.replace("URL", acme.url).replace("[backends.mine.options]", options)
    (tmp_path / "media-agent.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEDIA_AGENT_CONFIG", raising=False)
    monkeypatch.setenv("ACME_KEY", SECRET)

    code = main(["generate", "a fox", "--backend", "mine", "--duration", "1", "--out", "fox.mp4"])

    record = GenerationRecord.model_validate_json((tmp_path / "fox.json").read_bytes())
    assert code == 0
    assert (record.backend, record.model, record.kind) == ("mine", "service", "http")
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in content for content in written)


def test_a_declaration_takes_at_most_25_lines() -> None:
    assert len([line for line in DECLARATION.splitlines() if line.strip()]) <= 25


async def test_the_body_has_numbers_as_numbers_and_leaves_out_what_was_not_given(
    build: Build, acme: AcmeSimulator
) -> None:
    await run(build(acme.url), make_request(prompt='a "fox" {seed}'))

    [submitted] = acme.calls("submit")
    assert json.loads(submitted.body) == {"text": 'a "fox" {seed}', "seconds": 1, "seed": 0}


async def test_work_that_fails_is_told_in_the_words_of_the_service(
    build: Build, acme: AcmeSimulator
) -> None:
    ended = (await run(build(acme.url), make_request(prompt="a fault")))[-1]

    assert isinstance(ended, JobFailed)
    assert ended.error.message == "mine says broken: the cellar is flooded"


async def test_work_can_be_cancelled(build: Build, acme: AcmeSimulator) -> None:
    backend = build(acme.url)
    ref = await backend.submit(make_request(), key="job-1")

    await backend.cancel(ref)
    ended = (await events_of(backend, ref))[-1]

    assert isinstance(ended, JobCancelled)
    assert [job.is_cancelled for job in acme.jobs.values()] == [True]


async def test_a_lost_reply_is_not_sent_again(build: Build) -> None:
    with AcmeSimulator(faults=[Fault("submit", "close_after_accept")]) as acme:
        with pytest.raises(SubmitUncertainError):
            await build(acme.url).submit(make_request(), key="job-1")

        assert acme.accepted == 1


async def test_an_answer_that_names_no_work_is_uncertain(build: Build, acme: AcmeSimulator) -> None:
    with pytest.raises(SubmitUncertainError, match=r"'video\.number'"):
        await build(acme.url, id="video.number").submit(make_request(), key="job-1")


async def test_a_failed_poll_is_asked_again(build: Build) -> None:
    faults = [Fault("status", "status", status=503), Fault("status", "close_before_accept")]
    with AcmeSimulator(faults=faults) as acme:
        ended = (await run(build(acme.url), make_request()))[-1]

    assert isinstance(ended, JobCompleted)


async def test_done_without_an_address_is_not_failed_and_says_what_to_correct(
    build: Build, acme: AcmeSimulator
) -> None:
    ended = (await run(build(acme.url, result="video.link"), make_request()))[-1]

    assert isinstance(ended, JobOutcomeUnknown)  # it is there and paid
    assert "'video.link'" in ended.error.message
    assert "backends.mine.options.result" in (ended.error.hint or "")


async def test_a_video_can_be_at_a_path(build: Build, acme: AcmeSimulator) -> None:
    ended = (await run(build(acme.url, result=None, content="/files/{id}.mp4"), make_request()))[-1]

    assert isinstance(ended, JobCompleted)


async def test_a_wrong_key_is_told_without_the_key(
    build: Build, acme: AcmeSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(BackendAuthenticationError) as caught:
        await build(acme.url, key="wrong-secret-99").submit(make_request(), key="job-1")

    assert "wrong-secret-99" not in str(caught.value) + caplog.text


async def test_what_it_takes_follows_from_its_placeholders(build: Build) -> None:
    backend = build("https://videos.test")

    facts = backend.capabilities()

    assert (facts.backend, facts.model) == ("mine", "service")
    assert (facts.seed, facts.negative_prompt, facts.cancels) == (True, True, True)
    assert [str(size) for size in facts.sizes] == ["64x48"]
    assert backend.estimate(make_request()).cost_usd == 0.25
    assert build("https://videos.test", key=None).capabilities().missing is not None


@pytest.mark.parametrize("names_key", [True, False])
def test_a_key_that_the_settings_name_is_wanted(names_key: bool, tmp_path: Path) -> None:
    options = {name: value for name, value in declared_options().items() if name != "auth"}
    named = {"key_env": "MY_UNSET_KEY"} if names_key else {}
    section = {"kind": "http", "base_url": "https://videos.test", "options": options, **named}
    settings = load_settings(data_dir=tmp_path, backends={"mine": section})

    missing = HttpBackend(settings.backend_settings("mine")).capabilities().missing

    assert missing == ("a key: the variable MY_UNSET_KEY is not set" if names_key else None)


async def test_another_model_is_refused(build: Build) -> None:
    with pytest.raises(InvalidRequestError, match="no model 'other'"):
        build("https://videos.test").capabilities("other")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"poll": "GET /videos"}, "needs {id}"),
        ({"poll": "GET /videos/{id}/{secret}"}, "{secret}"),
        ({"submit": "POST videos"}, "submit: it should be like POST /videos"),
        ({"content": "/files/{id}"}, "either result or content"),
        ({"result": None}, "either result or content"),
        ({"cancel": "videos"}, "cancel: it should be like POST /videos"),
        ({"auth": "X-Api-Key"}, "auth: it should be like X-Api-Key: {key}"),
        ({"done": []}, "done: it should have at least 1 item"),
        ({"stat": "video.state"}, "did you mean state?"),
        ({"body": {"text": "hello"}}, "the prompt is not used"),
        ({"body": {"text": "{prompt}", "more": "{prompt2}"}}, "did you mean prompt?"),
        ({"body": {"text": "{prompt}", "more": "{Seed}"}}, "did you mean seed?"),
        ({"body": {"text": "{prompt}", "more": "{first-frame}"}}, "did you mean first_frame?"),
        ({"poll": "GET /videos/${id}"}, "needs {id}"),
        ({"sizes": ["64x48", "128x96"]}, "give its one size"),
    ],
)
async def test_a_faulty_declaration_says_the_way_out(
    build: Build, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build("https://videos.test", **changes)

    assert said in str(caught.value)


def test_without_an_address_there_is_no_service(tmp_path: Path) -> None:
    options = declared_options()

    with pytest.raises(ConfigurationError, match=r"backends\.mine\.base_url"):
        HttpBackend(BackendSettings(data_dir=tmp_path, options=options, name="mine"))


def test_a_name_of_work_stays_within_its_part_of_the_path() -> None:
    assert call("GET /videos/{id}", {"id": "../keys?all=1"}).path == "/videos/..%2Fkeys%3Fall%3D1"


def test_a_body_is_filled_in_at_any_depth() -> None:
    template: JsonValue = {
        "a": [{"b": "{seed}"}, "{negative_prompt}", "size {width}"],
        "c": None,
        "d": True,
    }

    built = build_body(template, {"seed": 0, "negative_prompt": None, "width": 64})

    assert built == {"a": [{"b": 0}, "size 64"], "c": None, "d": True}


@pytest.mark.parametrize(
    ("place", "found"),
    [("a.0.b", 1), ("a.1.b", None), ("a.b", None), ("c", "x"), ("c.d", None), (None, None)],
)
def test_a_place_in_an_answer(place: str | None, found: JsonValue) -> None:
    assert value_at({"a": [{"b": 1}], "c": "x"}, place) == found


@pytest.mark.parametrize(
    ("said", "meant"),
    [(0, 0.0), (1, 0.01), (1.0, 1.0), (0.5, 0.5), (40, 0.4), (101, 1.0), ("x", None)],
)
def test_a_progress_is_a_share_or_a_percentage(said: JsonValue, meant: float | None) -> None:
    assert share(said) == meant


class TestConformance(ServiceConformance):
    """A declared service keeps the contract of a backend."""

    @pytest.fixture
    def secret(self) -> str:
        return SECRET

    @pytest.fixture
    def simulator(self, faults: Faults) -> Iterator[AcmeSimulator]:
        with AcmeSimulator(faults) as simulator:
            yield simulator

    @pytest.fixture
    def make_backend(self, tmp_path: Path, simulator: AcmeSimulator) -> MakeBackend:
        async def no_sleep(seconds: float) -> None:
            await asyncio.sleep(0.001)

        settings = BackendSettings(
            data_dir=tmp_path,
            options=declared_options(),
            base_url=simulator.url,
            key=SecretStr(SECRET),
            name="mine",
        )
        return lambda: HttpBackend(settings, sleep=no_sleep)
