"""What agents and programs are told: in their own words, few of them, and with images."""

import ast
import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from media_agent.builtin.sandbox import media_agent_backends
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import InvalidRequestError
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.tools import DIALECTS, CreateVideo, ToolBox, tool_definitions
from media_agent.tools.answers.plan_views import LARGEST_PLAN, view_plan
from media_agent.wording import hint_to_tools, to_python, to_tools
from media_agent_schemas import VideoRequest
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.facts import Verification, VerificationLevel
from media_agent_schemas.plan import Candidate, PlanReport, Policy
from media_agent_schemas.request import RoutingPreference

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]
FLAG = re.compile(r"(?<![\w-])--[a-z]")
WISH: dict[str, Any] = {"prompt": "a cat", "duration": 0.5, "size": "64x36", "seed": 0}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[VideoClient]:
    specs = {spec.name: spec for spec in media_agent_backends()}
    settings = load_settings(data_dir=tmp_path / "data", default_backend="sandbox")
    async with VideoClient(settings=settings, registry=Registry(Discovery(specs))) as made:
        yield made


@pytest.fixture
def box(client: VideoClient) -> ToolBox:
    return ToolBox(client)


def texts_of_errors() -> list[str]:
    """Return every text of the core and our plugins that is given to an error or its hint."""
    found = []
    for folder in ("media_agent", "adapters", "backends"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "cli" in path.parts or path.name == "wording.py":
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Error"):
                    found += [text for text in map(text_of, arguments_of(node)) if text]
    return found


def arguments_of(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(each.value for each in call.keywords if each.arg == "hint")]


def text_of(node: ast.expr) -> str | None:
    """Return a text as it is written, X for what is put into it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "X" for part in node.values)
    return None


def test_no_error_names_a_flag_to_a_program_or_an_agent() -> None:
    texts = texts_of_errors()

    assert any(FLAG.search(text) for text in texts)
    assert [text for text in texts if FLAG.search(to_python(text))] == []
    assert [text for text in texts if FLAG.search(to_tools(text))] == []


@pytest.mark.parametrize(
    ("hint", "python", "tools"),
    [
        ("choose another name; --overwrite replaces it", "overwrite=True", "choose another name"),
        ("--backend magi/tiny", 'model="magi/tiny"', 'model "magi/tiny"'),
        ("raise --max-cost-per-day", "raise max_cost_per_day", "raise max_cost_per_day"),
        (
            "media-agent backends lists them",
            "media-agent backends",
            "list_video_backends lists them",
        ),
        ("media-agent jobs list shows them", "client.list() shows them", "list_videos shows them"),
        ("media-agent plan lists them", "client.plan_all(request)", "plan_video lists them"),
        (
            "media-agent jobs resume 20261129-1 looks again",
            'client.resume("20261129-1") looks again',
            "media-agent jobs resume 20261129-1 looks again (ask a person to run it)",
        ),
        (
            "media-agent extend FILE continues any video",
            "client.extend(FILE) continues any video",
            "extend_video with file continues any video",
        ),
        (
            "once it is done, media-agent extend 20261129-1 makes it longer",
            'client.extend("20261129-1") makes it longer',
            "once it is done, extend_video with job_id 20261129-1 makes it longer",
        ),
        (
            "media-agent branch 20261129-1 --at 3 makes a new video",
            'client.branch("20261129-1", at=3) makes a new video',
            "extend_video with job_id 20261129-1 and keep_chunks 3 makes a new video",
        ),
        (
            "media-agent jobs cancel 20261129-1 first",
            'client.cancel("20261129-1") first',
            "cancel_video with job_id 20261129-1 first",
        ),
    ],
)
def test_a_hint_has_the_words_of_its_surface(hint: str, python: str, tools: str) -> None:
    assert python in to_python(hint)
    assert hint_to_tools(hint) == tools


def test_a_hint_of_which_an_agent_can_do_nothing_is_left_out() -> None:
    assert hint_to_tools("--allow-unknown-words sends them all the same") is None
    assert to_tools("a prompt about --x and a--b") == "a prompt about x and a--b"


def test_an_exception_speaks_of_arguments_and_has_its_hint_as_a_note() -> None:
    error = InvalidRequestError("--out: a.mp4 exists", hint="--overwrite replaces it")

    assert str(error) == "out: a.mp4 exists"
    assert error.__notes__ == ["overwrite=True replaces it"]
    assert (error.message, error.hint) == ("--out: a.mp4 exists", "--overwrite replaces it")


async def test_unknown_words_are_answered_without_flags(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    settings = load_settings(data_dir=tmp_path / "data", default_backend="magi")

    async with VideoClient(settings=settings) as client:
        answer: Any = await ToolBox(client).call("create_video", {"prompt": "a cat"})

    assert 'model "sandbox"' in answer["error"]["hint"]
    assert "--" not in json.dumps(answer)


def candidate(number: int, *, refusal: str = "") -> Candidate:
    refusals = (ErrorInfo(code="unsupported_request", message=refusal, retryable=False),)
    return Candidate(
        backend="provider",
        model=f"vendor/a-long-name-of-a-model/v{number}/text-to-video",
        rank=None if refusal else number,
        verification=Verification(level=VerificationLevel.SIMULATOR),
        refusals=refusals if refusal else (),
    )


@pytest.mark.parametrize("able", [0, 1, 5, 80])
@pytest.mark.parametrize("letter", ["x", "\N{GRINNING FACE}"])
async def test_a_plan_is_short_however_many_models_there_are(able: int, letter: str) -> None:
    report = PlanReport(
        request=VideoRequest(prompt="a cat"),
        policy=Policy.ADJUST,
        prefer=RoutingPreference.CHEAPEST,
        candidates=(
            *(candidate(number) for number in range(1, able + 1)),
            *(candidate(number, refusal=f"{number} {letter * 400}") for number in range(90)),
        ),
        summary=letter * 500,
    )

    view = view_plan(report)

    assert len(json.dumps(view.model_dump(mode="json", exclude_none=True))) <= LARGEST_PLAN
    assert (view.chosen is None) == (able == 0)
    assert len(view.others) + view.left_out == max(0, able - 1)
    assert len(view.others) >= 2 or able < 3 or letter != "x"
    assert view.refused is not None
    assert view.refused.count == 90
    assert view.refused.reasons[-1].endswith("more")


async def test_a_plan_with_every_shipped_provider_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("FAL_KEY", "REPLICATE_API_TOKEN", "XAI_API_KEY"):
        monkeypatch.setenv(variable, "k")
    file = tmp_path / "media-agent.toml"
    file.write_text(
        '[backends.fal]\nkey_env = "FAL_KEY"\n[backends.xai]\nkey_env = "XAI_API_KEY"\n'
        '[backends.replicate]\nkey_env = "REPLICATE_API_TOKEN"\n'
    )
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(file))

    async with VideoClient() as client:
        answer: Any = await ToolBox(client).call(
            "plan_video", {"prompt": "a fox in the snow", "duration": 8, "size": "1280x720"}
        )

    assert len(json.dumps(answer)) <= LARGEST_PLAN
    assert 3 <= len(answer["others"]) <= 5
    assert all(
        len(str(each["cost_usd"])) <= 7 for each in answer["others"] if "cost_usd" in each
    ), answer


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_tools_name_the_routes_of_the_settings_and_no_other(dialect: Any) -> None:
    none = json.dumps(tool_definitions(dialect))
    some = json.dumps(tool_definitions(dialect, routes=("night", "final")))

    assert '"route"' not in none
    assert "draft" not in none + some
    assert some.count("One of: final, night.") == 2


async def test_a_box_names_the_routes_of_its_client(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, routes={"night": {"allow": ["sandbox"]}})

    async with VideoClient(settings=settings) as client:
        text = json.dumps(ToolBox(client).definitions("openai"))

    assert "One of: night." in text


async def test_models_are_listed_briefly_and_one_of_them_with_its_words(box: ToolBox) -> None:
    answer: Any = await box.call("list_video_backends", {"search": "SAND"})
    none: Any = await box.call("list_video_backends", {"search": "nobody"})

    (model,) = answer["models"]
    assert (model["model"], model["price"], model["local"]) == ("sandbox/slate", "free", True)
    assert none["models"] == []


async def test_jobs_are_listed_newest_first_and_by_state(box: ToolBox, client: VideoClient) -> None:
    first = await client.generate(CreateVideo(**WISH).to_request())
    second = await client.generate(CreateVideo(**WISH | {"prompt": "a dog " * 40}).to_request())

    listed: Any = await box.call("list_videos", {})
    one: Any = await box.call("list_videos", {"limit": "1", "status": ""})
    failed: Any = await box.call("list_videos", {"status": "failed"})

    assert [each["job_id"] for each in listed["jobs"]] == [second.id, first.id]
    assert len(listed["jobs"][0]["prompt"]) <= 60
    older: Any = await box.call("list_videos", {"before": second.id})
    assert one["next"] == f"call list_videos with before {one['jobs'][0]['job_id']}"
    assert [each["job_id"] for each in older["jobs"]] == [first.id]
    assert "next" not in older
    assert failed["jobs"] == []


async def test_a_video_is_extended_once_however_often_it_is_asked(
    box: ToolBox, client: VideoClient
) -> None:
    first = await client.generate(CreateVideo(**WISH | {"duration": 2}).to_request())
    extend = {"job_id": first.id, "prompt": "a dog", "duration": "1"}

    once: Any = await box.call("extend_video", extend)
    again: Any = await box.call("extend_video", extend | {"keep_chunks": None})
    done: Any = await box.call("wait_video", {"job_id": once["job_id"], "seconds": 60})
    shorter: Any = await box.call("extend_video", extend | {"keep_chunks": 1})
    cut: Any = await box.call("wait_video", {"job_id": shorter["job_id"], "seconds": 60})

    assert once["job_id"] == again["job_id"] != first.id
    assert (done["status"], done["seconds"]) == ("completed", 3.0)
    assert cut["seconds"] < 3.0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give either job_id or file"),
        ({"job_id": "", "file": None}, "give either job_id or file"),
        ({"job_id": "a", "file": "a.mp4"}, "give either job_id or file"),
        ({"file": "a.mp4", "keep_chunks": 1}, "keep_chunks is for a job"),
        ({"job_id": "a", "keep_chunks": 1, "size": "64x64"}, "size is not for keep_chunks"),
        ({"file": "gone.mp4"}, "gone.mp4 is neither a job nor a file"),
    ],
)
async def test_what_is_extended_is_a_job_or_a_file(
    box: ToolBox, given: dict[str, Any], said: str
) -> None:
    answer: Any = await box.call("extend_video", {"prompt": "a dog", **given})

    assert said in answer["error"]["message"]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_contact_sheet_is_an_image_of_each_dialect(
    box: ToolBox, client: VideoClient, dialect: Any
) -> None:
    job = await client.generate(CreateVideo(**WISH | {"size": "1280x720"}).to_request())

    answer = await box.call("get_video", {"job_id": job.id, "contact_sheet": True})
    text, image = await box.content(answer, dialect)

    data = re.findall(r"iVBOR[\w+/=]+", json.dumps(image))
    png = base64.b64decode(data[0], validate=True)
    width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))
    assert png.startswith(b"\x89PNG")
    assert max(width, height) == 1568
    assert json.loads(str(text["text"])) == answer
    assert {"openai": "image_url", "openai-responses": "input_image"}.get(dialect, "image") == (
        image["type"]
    )


async def test_an_answer_without_an_image_is_text_alone(box: ToolBox) -> None:
    answer = await box.call("get_video", {"job_id": "nothing", "contact_sheet": True})

    (part,) = await box.content(answer, "anthropic")

    assert "unknown job" in str(part["text"])


async def test_a_contact_sheet_comes_as_an_image_only_when_it_is_asked_for(
    box: ToolBox, client: VideoClient
) -> None:
    job = await client.generate(CreateVideo(**WISH).to_request())

    plain: Any = await box.call("get_video", {"job_id": job.id, "contact_sheet": False})
    shown: Any = await box.call("get_video", {"job_id": job.id, "contact_sheet": True})

    assert "image" not in plain
    assert "contact_sheet true" in plain["next"]
    assert shown["image"] == plain["contact_sheet"]
    assert "judge" in shown["next"]


async def test_a_video_that_is_not_finished_has_no_contact_sheet_yet(
    box: ToolBox, client: VideoClient
) -> None:
    slow = {"sandbox": {"latency_seconds": 30}}
    request = CreateVideo(**WISH).to_request().model_copy(update={"options": slow})
    job = await client.start(request)

    answer: Any = await box.call("get_video", {"job_id": job.id, "contact_sheet": True})

    assert answer["warnings"] == ["no contact sheet: the video is not finished yet"]
    assert answer["next"] == f"call wait_video with job_id {job.id}"
    await client.cancel(job.id)


async def test_a_job_without_a_video_says_why_it_cannot_be_looked_at(
    box: ToolBox, client: VideoClient
) -> None:
    fault = {"sandbox": {"fail_at": "chunk:0", "fault": "content_rejected"}}
    request = CreateVideo(**WISH).to_request().model_copy(update={"options": fault})
    job = await client.generate(request)

    answer: Any = await box.call("get_video", {"job_id": job.id, "contact_sheet": True})

    assert answer["error"]["code"] == "content_rejected"
    assert answer["warnings"] == ["no contact sheet: the video is missing"]


OPTIONAL = [name for name, field in CreateVideo.model_fields.items() if name != "prompt"]


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize("empty", ["", None])
async def test_empty_text_and_null_mean_not_given_in_every_field_of_a_tool(
    box: ToolBox, name: str, empty: Any
) -> None:
    answer = await box.call("plan_video", {"prompt": "a cat", "duration": 1} | {name: empty})
    if name in ("idempotency_key", "wait_seconds"):  # only create_video has them
        return
    plain = {"prompt": "a cat", "duration": 1}
    plain.pop(name, None)

    assert answer == await box.call("plan_video", plain)


@pytest.mark.parametrize("at", ["3", 3])
async def test_a_number_may_be_its_text(box: ToolBox, client: VideoClient, at: Any) -> None:
    slow = {"sandbox": {"latency_seconds": 1.5}}
    request = CreateVideo(**WISH | {"duration": 5}).to_request()
    job = await client.start(request.model_copy(update={"options": slow}))

    answer = await box.call("steer_video", {"job_id": job.id, "prompt": "a dog", "at": at})

    assert "error" not in answer
    await client.cancel(job.id)
