"""What goes wrong with hosted video APIs everywhere, held against every provider at once.

What only some of them do is tested beside them; what the base does, in `base/` and `http/`.
"""

import ast
import base64
import json
import logging
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from pydantic import SecretStr

import media_agent_hosted
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendAuthenticationError,
    BackendError,
    BackendRateLimitError,
    InvalidRequestError,
)
from media_agent.negotiation.negotiate import negotiate
from media_agent.testing.simulator.videos import Video, make_video
from media_agent_hosted.base.provider import HostedBackend
from media_agent_hosted.parsing.causes import Cause, cause_of
from media_agent_hosted.parsing.lenient import value_at
from media_agent_hosted.parsing.states import State, state_of
from media_agent_hosted.plugin import provider_specs
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.request import VideoRequest
from tests.hosted.provider_kit import no_sleep

pytestmark = pytest.mark.anyio

KEY = "a-key-of-nobody-0123456789"
OPTIONS = {"vertex": {"project": "some-project"}}


def make(name: str, folder: Path, **means: Any) -> HostedBackend:
    settings = BackendSettings(folder, key=SecretStr(KEY), options=OPTIONS.get(name, {}), name=name)
    spec = next(each for each in provider_specs() if each.name == name)
    backend = spec.factory(settings)
    assert isinstance(backend, HostedBackend)
    return type(backend)(settings, sleep=no_sleep, **means)


def hosted() -> list[str]:
    made = (
        spec.factory(BackendSettings(Path(), options=OPTIONS.get(spec.name, {})))
        for spec in provider_specs()
        if not spec.needs_section
    )
    return [each.name for each in made if isinstance(each, HostedBackend)]


HOSTED = hosted()


def smallest(backend: HostedBackend) -> VideoRequest:
    """Return what its default model makes, as the backend gets it."""
    facts = backend.capabilities()
    request = VideoRequest(prompt="a fox", model=f"{backend.name}/{facts.model}")
    return negotiate(request, facts, draw_seed=lambda: 7).request


async def refused(name: str, folder: Path, status: int) -> list[httpx.Request]:
    """Let a provider answer everything with an error; return what it was sent."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.method == "GET":  # a question before the submission, such as for a list
            offers = {"fal-ai": {"providerId": "fal-ai/x", "task": "text-to-video"}}
            return httpx.Response(200, json={"inferenceProviderMapping": offers})
        return httpx.Response(status, json={"error": {"message": "oops"}})

    backend = make(name, folder, transport=httpx.MockTransport(answer))
    with pytest.raises(BackendError):
        await backend.submit(smallest(backend), key="job-1")
    return asked


@pytest.mark.parametrize("name", HOSTED)
async def test_a_submission_in_doubt_is_sent_once_and_the_key_in_a_header_alone(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    asked = await refused(name, tmp_path, 500)

    backend = make(name, tmp_path)
    own = backend.connection()
    assert own is not None
    host = httpx.URL(own.base_url).host
    submissions = [each for each in asked if each.method != "GET"]
    assert len(submissions) == 1
    assert submissions[0].url.host == host
    assert any(KEY in value for value in submissions[0].headers.values())
    assert not any(KEY in str(each.url) or KEY.encode() in each.content for each in asked)
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "model",
    [
        "seedance/seedance-1-0-pro-250528",
        "seedance/ep-20261120-abc",
        "fal/fal-ai/bytedance/seedance/v1/pro/text-to-video",
        "replicate/bytedance/seedance-1-pro",
        "openrouter/bytedance/seedance-1-5-pro",
        "huggingface/fal-ai/ByteDance/Seedance-1.0",
    ],
)
async def test_a_prompt_becomes_no_parameters_of_seedance_wherever_that_runs(
    model: str, tmp_path: Path
) -> None:
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        offers = {"fal-ai": {"providerId": "fal-ai/x", "task": "text-to-video"}}
        if request.method == "POST":
            sent.append(request.content)
        return httpx.Response(
            200, json={"id": "work-1", "request_id": "work-1", "inferenceProviderMapping": offers}
        )

    name, _, model_id = model.partition("/")
    backend = make(name, tmp_path, transport=httpx.MockTransport(answer))
    asked = VideoRequest(prompt="a fox --duration 12", model=model)
    request = negotiate(asked, backend.capabilities(model_id), draw_seed=lambda: 7).request

    ref = await backend.submit(request, key="job-1")

    assert "a fox —duration 12" in str(json.loads(sent[0]))
    assert any(
        "in place of each --" in str(each) for each in cast("list[str]", ref.data["warnings"])
    )


@pytest.mark.parametrize("name", ["dashscope", "kling", "seedance"])
async def test_a_video_file_is_refused_where_only_its_address_is_taken(
    name: str, tmp_path: Path
) -> None:
    backend = make(name, tmp_path, transport=httpx.MockTransport(lambda _: httpx.Response(500)))
    video = MediaInput(role=InputRole.SOURCE_VIDEO, data=make_video(Video(24, 24.0, 64, 36, 90)))
    request = smallest(backend).model_copy(update={"inputs": (video,)})

    with pytest.raises(InvalidRequestError, match="videos by their address only"):
        await backend.submit(request, key="job-1")


@pytest.mark.parametrize("name", HOSTED)
def test_nobody_waits_without_end(name: str, tmp_path: Path) -> None:
    backend = make(name, tmp_path)

    assert 0 < backend.deadline_seconds < 24 * 3600
    assert "deadline_seconds" in {each.name for each in backend.capabilities().options}


@pytest.mark.parametrize(
    ("name", "place", "expected"),
    [
        ("google", "response_format.duration", "8s"),
        ("kling", "duration", "5"),
        ("openrouter", "duration", 5),
        ("runway", "duration", 5),
        ("vertex", "parameters.durationSeconds", 8),
        ("xai", "duration", 8),
    ],
)
async def test_a_length_has_the_type_that_its_provider_reads(
    name: str, place: str, expected: object, tmp_path: Path
) -> None:
    asked = await refused(name, tmp_path, 500)

    sent = value_at(json.loads(asked[-1].content), place)
    assert (type(sent), sent) == (type(expected), expected)


@pytest.mark.parametrize("name", HOSTED)
def test_base64_of_the_largest_input_fits_into_a_request(name: str, tmp_path: Path) -> None:
    backend = make(name, tmp_path)
    largest = len(base64.b64encode(b"x" * 3)) * backend.largest_input // 3

    assert largest <= 30 * 2**20
    assert backend.largest_upload is None or backend.largest_upload > backend.largest_input


def test_every_state_that_a_provider_documents_means_what_it_says() -> None:
    words = {
        State.QUEUED: "queued pending submitted created starting preparing Preparing Queueing "
        "IN_QUEUE PENDING THROTTLED",
        State.RUNNING: "IN_PROGRESS in_progress running RUNNING processing Processing dreaming "
        "InProgress",
        State.DONE: "succeeded succeed Success SUCCEEDED completed COMPLETED Completed done",
        State.FAILED: "failed Fail FAILED Failed expired",
        State.CANCELLED: "cancelled canceled CANCELED CANCELLED aborted",
    }
    found = {word: state_of(word) for said in words.values() for word in said.split()}

    assert found == {word: state for state, said in words.items() for word in said.split()}


@pytest.mark.parametrize(
    "word",
    [
        *("ready", "SUSPENDED", "UNKNOWN", "deleted", "incomplete", "budget_exceeded"),
        *("requires_action", "requires_continuation", "polishing", ""),
    ],
)
def test_a_word_that_some_mean_otherwise_ends_nothing_by_itself(word: str) -> None:
    assert state_of(word) is None


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (("content_policy_violation",), ""),
        (("InputTextSensitiveContentDetected",), ""),
        (("InputImageSensitiveContentDetected.PrivacyInformation",), ""),
        (("OutputVideoSensitiveContentDetected",), "Request id: 0217"),
        (("content_moderated",), ""),
        (("SAFETY.INPUT.TEXT",), ""),
        (("DataInspectionFailed",), "Input data may contain inappropriate content."),
        ((), "The input or output was flagged as sensitive. (E005)"),
        ((), "Content was blocked by the provider"),
    ],
)
def test_moderation_is_known_in_every_form(codes: tuple[str, ...], words: str) -> None:
    assert cause_of(codes, words) is Cause.CONTENT


@pytest.mark.parametrize(
    "words", ["a sensitive instrument is drawn", "the safety car leads", "moderate rain falls"]
)
def test_a_prompt_that_is_repeated_in_an_error_is_no_moderation(words: str) -> None:
    assert cause_of((), f'cannot use "{words}"') is not Cause.CONTENT


NO_MONEY = {"code": "insufficient_quota", "message": "check your plan and billing details"}


@pytest.mark.parametrize(
    ("body", "headers", "error", "is_repeated"),
    [
        ({"error": NO_MONEY}, {}, BackendAuthenticationError, False),
        ({"error": "Insufficient balance"}, {}, BackendAuthenticationError, False),
        ({"error": {"message": "余额不足"}}, {}, BackendAuthenticationError, False),
        ({"error": NO_MONEY}, {"Retry-After": "1"}, BackendRateLimitError, True),
        ({"error": "Too many requests"}, {}, BackendRateLimitError, True),
        ({"error": "Quota exceeded: 10 requests a minute"}, {}, BackendRateLimitError, True),
        ({"error": {"code": "QuotaExceeded"}}, {}, BackendRateLimitError, True),
        (None, {}, BackendRateLimitError, True),
    ],
)
async def test_a_limit_of_rate_is_told_from_an_empty_account(
    body: Any, headers: dict[str, str], error: type[BackendError], is_repeated: bool, tmp_path: Path
) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(429, json=body, headers=headers)

    backend = make("xai", tmp_path, transport=httpx.MockTransport(answer))
    with pytest.raises(error):
        await backend.submit(smallest(backend), key="job-1")

    assert (len(asked) > 1) == is_repeated


def test_no_sdk_of_a_provider_is_imported_which_would_repeat_submissions() -> None:
    folder = Path(media_agent_hosted.__file__).parent
    trees = [ast.parse(path.read_text("utf-8")) for path in folder.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    top = {name.partition(".")[0] for name in named}

    forbidden = {
        *("openai", "runwayml", "fal_client", "replicate", "google", "lumaai", "openrouter"),
        *("volcenginesdkarkruntime", "dashscope", "xai_sdk", "together", "huggingface_hub"),
    }
    assert "httpx" in top
    assert top & forbidden == set()
