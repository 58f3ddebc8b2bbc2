"""What an agent gets: schemas that its vendor takes, and answers that are always data."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from media_agent.builtin.sandbox import media_agent_backends
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.storage.files import sha256_of
from media_agent.tools import DIALECTS, CreateVideo, ToolBox, tool_definitions
from media_agent.tools.answers.views import view_job
from media_agent.tools.decoding import as_object
from media_agent.tools.job_arguments import TOOLS
from media_agent.tools.new_videos import derive_idempotency_key
from media_agent_schemas import JobStatus, VideoJob
from media_agent_schemas.plan import Segment

pytestmark = pytest.mark.anyio

NAMES = [
    *("plan_video", "create_video", "get_video", "wait_video", "steer_video"),
    *("extend_video", "cancel_video", "list_videos", "list_video_backends"),
]
STRICT_WORDS = {
    *("type", "enum", "const", "anyOf", "items", "description"),
    *("properties", "required", "additionalProperties"),
}
ARGUMENTS: dict[str, Any] = {"prompt": "a cat", "duration": 0.5, "size": "64x36", "seed": 0}
MakeBox = Callable[..., ToolBox]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[VideoClient]:
    async with new_client(tmp_path) as made:
        yield made


def new_client(folder: Path) -> VideoClient:
    specs = {spec.name: spec for spec in media_agent_backends()}
    settings = load_settings(data_dir=folder / "data", default_backend="sandbox")
    return VideoClient(settings=settings, registry=Registry(Discovery(specs)))


@pytest.fixture
def box(client: VideoClient) -> ToolBox:
    return ToolBox(client)


async def finished(box: ToolBox, job_id: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await box.call("wait_video", {"job_id": job_id, "seconds": 60})
    assert answer["finished"], answer
    return answer


def names_in(folder: Path, pattern: str) -> list[str]:
    return [path.name for path in folder.glob(pattern)]


def is_file(path: Any, beginning: bytes = b"") -> bool:
    return Path(path).read_bytes().startswith(beginning)


def prompts_sent(record: Any) -> list[tuple[str, float]]:
    shots = json.loads(Path(record).read_bytes())["shots"]
    return [(shot["prompt_sent"], shot["start"]) for shot in shots]


def spoil(path: str | None) -> None:
    Path(str(path)).write_bytes(b"no video any more")


def parameters(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a definition, wherever its dialect keeps it."""
    inner = definition.get("function", definition)
    schema: dict[str, Any] = next(
        inner[key] for key in ("parameters", "input_schema", "schema") if key in inner
    )
    return schema


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema inside a schema, itself first."""
    yield schema
    inner = [*schema.get("anyOf", []), *schema.get("properties", {}).values()]
    for each in (*inner, *([schema["items"]] if "items" in schema else [])):
        yield from nodes(each)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_has_every_tool_and_is_json(dialect: Any) -> None:
    definitions = json.loads(json.dumps(tool_definitions(dialect)))

    heads = [each.get("function", each) for each in definitions]
    assert [head["name"] for head in heads] == NAMES
    assert all(head["description"].endswith(".") for head in heads)


@pytest.mark.parametrize("dialect", ["openai", "openai-responses"])
def test_strict_mode_requires_every_field_and_allows_no_other(dialect: Any) -> None:
    for definition in tool_definitions(dialect):
        assert definition.get("function", definition)["strict"] is True  # type: ignore[index, call-overload]
        for node in nodes(parameters(definition)):
            assert set(node) <= STRICT_WORDS
            if node.get("type") == "object":
                assert node["required"] == list(node["properties"])
                assert node["additionalProperties"] is False


def test_in_strict_mode_what_may_be_absent_may_be_null() -> None:
    (create,) = [each for each in tool_definitions("openai") if "create_video" in str(each)][:1]
    fields = parameters(create)["properties"]

    nullable = {name for name, node in fields.items() if {"type": "null"} in node.get("anyOf", [])}
    assert nullable == set(fields)


@pytest.mark.parametrize("dialect", ["anthropic", "json-schema"])
def test_plain_schemas_require_only_what_must_be_there_and_keep_the_limits(dialect: Any) -> None:
    schemas = dict(zip(NAMES, map(parameters, tool_definitions(dialect)), strict=True))

    assert set(schemas) == set(NAMES)
    assert schemas["wait_video"]["required"] == ["job_id"]
    assert "required" not in schemas["create_video"]
    seconds = schemas["wait_video"]["properties"]["seconds"]
    assert (seconds["exclusiveMinimum"], seconds["maximum"]) == (0, 60)
    assert all(schema["additionalProperties"] is False for schema in schemas.values())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_dialect_leaves_a_reference_or_a_title(dialect: Any) -> None:
    for definition in tool_definitions(dialect):
        text = json.dumps(parameters(definition))
        assert "$ref" not in text
        assert "$defs" not in text
        assert '"title"' not in text


def test_all_dialects_name_the_same_fields() -> None:
    fields = [
        [
            sorted(parameters(each)["properties"])
            for each in tool_definitions(dialect, routes=("final",))
        ]
        for dialect in DIALECTS
    ]

    assert fields.count(fields[0]) == len(DIALECTS)
    assert fields[0] == [sorted(tool.model_fields) for tool in TOOLS]


async def test_a_video_is_created_waited_for_and_shown(box: ToolBox) -> None:
    started = await box.call("create_video", ARGUMENTS)
    done = await finished(box, started["job_id"])

    assert started["status"] in ("queued", "in_progress")
    assert (done["status"], done["frame_size"], done["seconds"]) == ("completed", "64x36", 0.5)
    assert done["verification"] == "simulator"
    assert all(is_file(done[name]) for name in ("video", "record"))
    assert is_file(done["contact_sheet"], b"\x89PNG")
    assert await box.call("get_video", {"job_id": started["job_id"]}) == done


async def test_arguments_may_be_the_text_that_a_model_wrote(box: ToolBox) -> None:
    nulls = dict.fromkeys(CreateVideo.model_fields)

    from_text = await box.call("create_video", json.dumps(nulls | ARGUMENTS))
    from_data = await box.call("create_video", ARGUMENTS)

    assert from_text["job_id"] == from_data["job_id"]


async def test_the_same_request_is_the_same_job_however_it_is_written(
    box: ToolBox, client: VideoClient
) -> None:
    first, again, with_text = await asyncio.gather(
        box.call("create_video", ARGUMENTS),
        box.call("create_video", ARGUMENTS),
        box.call("create_video", ARGUMENTS | {"duration": "0.5"}),
    )

    assert first["job_id"] == again["job_id"] == with_text["job_id"]
    assert len(await client.list()) == 1


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"idempotency_key": "second take"}, {"prompt": "a dog"}]
)
async def test_another_request_is_another_job(box: ToolBox, other: dict[str, Any]) -> None:
    first = await box.call("create_video", ARGUMENTS)
    second = await box.call("create_video", ARGUMENTS | other)

    assert first["job_id"] != second["job_id"]


def test_the_key_is_made_of_caller_request_and_who_makes_it() -> None:
    video, named = CreateVideo(prompt="a cat"), CreateVideo(prompt="a cat", model="sandbox")
    routed = CreateVideo(prompt="a cat", route="draft")

    assert derive_idempotency_key("one", video, "sandbox") == derive_idempotency_key(
        "one", named, "magi"
    )
    assert derive_idempotency_key("one", video, "sandbox") != derive_idempotency_key(
        "two", video, "sandbox"
    )
    assert derive_idempotency_key("one", video, "sandbox") != derive_idempotency_key(
        "one", video, "magi"
    )
    assert derive_idempotency_key("one", routed, "sandbox") == derive_idempotency_key(
        "one", routed, "magi"
    )


async def test_an_empty_key_is_none_because_models_fill_every_field(box: ToolBox) -> None:
    first = await box.call("create_video", ARGUMENTS | {"idempotency_key": ""})
    again = await box.call("create_video", ARGUMENTS)
    other = await box.call("create_video", ARGUMENTS | {"prompt": "a dog", "idempotency_key": ""})

    assert first["job_id"] == again["job_id"]
    assert first["job_id"] != other["job_id"]


async def test_a_key_that_is_used_for_another_request_is_an_error(box: ToolBox) -> None:
    await box.call("create_video", ARGUMENTS | {"idempotency_key": "mine"})

    answer: Any = await box.call("create_video", {"prompt": "a dog", "idempotency_key": "mine"})

    assert answer["error"]["code"] == "idempotency_conflict"


async def test_an_agent_that_was_restarted_gets_its_job_back(
    tmp_path: Path, box: ToolBox, client: VideoClient
) -> None:
    first = await box.call("create_video", ARGUMENTS)
    await finished(box, first["job_id"])
    await client.aclose()

    async with new_client(tmp_path) as later:
        again = await ToolBox(later).call("create_video", ARGUMENTS)

    assert (again["job_id"], again["status"]) == (first["job_id"], "completed")


async def test_a_job_whose_client_was_closed_continues_when_it_is_asked_for_again(
    tmp_path: Path, client: VideoClient
) -> None:
    slow: dict[str, Any] = {"model": "sandbox", "prompt": "a cat", "duration": 3, "size": "64x36"}
    first = await ToolBox(client).call("create_video", slow)
    await client.aclose()
    left = client.store.jobs.get(str(first["job_id"]))

    async with new_client(tmp_path) as later:
        box = ToolBox(later)
        again = await box.call("create_video", slow)
        done = await finished(box, again["job_id"])

    assert not left.status.is_terminal
    assert again["job_id"] == first["job_id"]
    assert (done["status"], done["seconds"]) == ("completed", 3.0)


class Clock:
    """A clock that advances while somebody sleeps, and never otherwise."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


async def test_waiting_is_bounded(client: VideoClient) -> None:
    clock = Clock()
    box = ToolBox(client, clock=clock, sleep=clock.sleep)
    settings = {"sandbox": {"latency_seconds": 30}}
    job = await client.start(
        CreateVideo(**ARGUMENTS).to_request().model_copy(update={"options": settings})
    )

    answer = await box.call("wait_video", {"job_id": job.id, "seconds": 7})

    assert not answer["finished"]
    assert answer["next"] == f"call wait_video with job_id {job.id}"
    assert 7 <= clock.seconds < 8
    await client.cancel(job.id)


async def test_the_end_of_a_job_of_this_process_is_heard_and_not_looked_for(
    client: VideoClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = ToolBox(client)
    job = await client.start(CreateVideo(**ARGUMENTS).to_request())
    looks, look = 0, client.get

    async def count(job_id: str) -> VideoJob:
        nonlocal looks
        looks += 1
        return await look(job_id)

    monkeypatch.setattr(client, "get", count)
    answer = await box.call("wait_video", {"job_id": job.id, "seconds": 50})

    assert answer["status"] == "completed"
    assert looks <= 2


async def test_a_cancelled_job_says_so(client: VideoClient, box: ToolBox) -> None:
    job = await client.start(
        CreateVideo(**ARGUMENTS)
        .to_request()
        .model_copy(update={"options": {"sandbox": {"latency_seconds": 30}}})
    )

    await box.call("cancel_video", {"job_id": job.id})
    answer = await finished(box, job.id)

    assert answer["status"] == "cancelled"
    assert "idempotency_key" in str(answer["next"])
    assert await box.call("cancel_video", {"job_id": job.id}) == answer


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
async def test_nobody_is_told_to_pay_again_for_parts_that_are_kept(
    client: VideoClient, status: JobStatus
) -> None:
    job = await client.generate(CreateVideo(**ARGUMENTS).to_request())
    part = Segment(request=job.plan.request)
    plan = job.plan.model_copy(update={"segments": (part, part)})

    answer = view_job(job.model_copy(update={"status": status, "plan": plan}))

    assert "do not create it again" in answer.next
    assert f"media-agent jobs resume {job.id}" in answer.next


async def test_nobody_is_told_to_make_again_what_may_be_there(client: VideoClient) -> None:
    job = await client.generate(CreateVideo(**ARGUMENTS).to_request())

    answer = view_job(job.model_copy(update={"status": JobStatus.OUTCOME_UNKNOWN}))

    assert "do not create it again" in answer.next
    assert f"media-agent jobs resume {job.id}" in answer.next


async def test_a_video_is_steered_and_saying_it_twice_is_harmless(
    client: VideoClient, box: ToolBox
) -> None:
    video = CreateVideo(**{**ARGUMENTS, "duration": 3}).to_request()
    slow = video.model_copy(update={"options": {"sandbox": {"latency_seconds": 1.5}}})
    job = await client.start(slow)
    steer = {"job_id": job.id, "prompt": "a dog", "at": 2}

    first: Any = await box.call("steer_video", steer)
    again: Any = await box.call("steer_video", steer)
    done = await finished(box, job.id)

    assert first["next"] == again["next"] == f"call wait_video with job_id {job.id}"
    assert done["status"] == "completed"
    assert prompts_sent(done["record"]) == [("a cat", 0), ("a dog", 2)]
    assert "is completed" in str(await box.call("steer_video", steer))


async def test_a_failed_job_has_its_error_and_a_way_out(client: VideoClient, box: ToolBox) -> None:
    fault = {"sandbox": {"fail_at": "chunk:0", "fault": "content_rejected"}}
    request = CreateVideo(**ARGUMENTS).to_request().model_copy(update={"options": fault})
    job = await client.start(request)

    answer: Any = await finished(box, job.id)

    assert answer["status"] == "failed"
    assert answer["error"]["code"] == "content_rejected"
    assert "video" not in answer


async def test_a_plan_says_who_would_make_it_and_starts_nothing(
    box: ToolBox, client: VideoClient
) -> None:
    answer: Any = await box.call("plan_video", ARGUMENTS)

    assert answer["chosen"]["model"] == "sandbox/slate"
    assert answer["chosen"]["cost_usd"] == 0
    assert answer["next"].startswith("call create_video")
    assert await client.list() == []


async def test_a_plan_that_nobody_can_follow_says_why(box: ToolBox) -> None:
    answer: Any = await box.call("plan_video", {"prompt": "a cat", "first_frame": "a.png"})

    assert "chosen" not in answer
    assert answer["refused"]["count"] == 1
    assert answer["refused"]["reasons"][0].startswith("sandbox/slate: ")
    assert "inputs" in " ".join(answer["refused"]["reasons"])


SHOTS: Any = [{"prompt": "a cat", "duration": 1}, {"prompt": "a dog", "duration": 2}]


@pytest.mark.parametrize(
    "arguments",
    [
        {"shots": json.dumps(SHOTS)},
        {"shots": json.dumps(json.dumps(SHOTS))},
        {"shots": str(SHOTS)},
        {"shots": [json.dumps(shot) for shot in SHOTS]},
        {"shots": [str(shot) for shot in SHOTS]},
        json.dumps({"shots": SHOTS}),
        json.dumps(json.dumps({"shots": json.dumps(SHOTS)})),
        str({"shots": SHOTS, "duration": None}),
        {"arguments": {"shots": SHOTS}},
        {"arguments": json.dumps({"shots": SHOTS})},
        json.dumps({"arguments": {"arguments": {"shots": str(SHOTS)}}}),
        {"shots": SHOTS, "prompt": None, "duration": "null", "seed": "", "size": ""},
    ],
)
async def test_arguments_that_were_encoded_again_on_the_way_are_taken_for_what_they_are(
    box: ToolBox, arguments: Any
) -> None:
    answer: Any = await box.call("plan_video", arguments)
    plain: Any = await box.call("plan_video", {"shots": SHOTS})

    assert answer == plain
    assert "error" not in answer


@pytest.mark.parametrize("shots", [SHOTS[0], json.dumps(SHOTS[0]), str(SHOTS[0])])
async def test_one_object_where_a_list_is_due_is_a_list_of_one(box: ToolBox, shots: Any) -> None:
    answer = await box.call("plan_video", {"shots": shots})

    assert answer == await box.call("plan_video", {"shots": [SHOTS[0]]})
    assert "error" not in answer


@pytest.mark.parametrize("prompt", ['{"prompt": "a cat"}', "[1, 2]", "null", "7", "'a cat'"])
def test_a_text_that_looks_like_data_stays_a_text_where_a_text_is_due(prompt: str) -> None:
    assert CreateVideo.model_validate({"prompt": prompt}).prompt == prompt


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("create_video", {"shots": "a cat, a dog"}, 'shots: it should be a list, such as [{"prom'),
        (
            "create_video",
            {"shots": ["a cat"]},
            "shots.0: it should be a valid dictionary, such as {",
        ),
        ("create_video", {"shots": 5}, 'such as [{"prompt": "one"}]'),
        ("create_video", "[1]", 'such as {"prompt": "one"}'),
        ("get_video", "nonsense", 'such as {"job_id": "one"}'),
        ("create_video", '{"prompt": "a', 'such as {"prompt": "one"}'),
        ("create_video", "[" * 100_000, "not a JSON object"),
        ("create_video", {"shots": "(" * 100_000}, "it should be a list"),
        ("create_video", {"shots": "__import__('os').getcwd()"}, "it should be a list"),
        ("create_video", {(1, 2): 3}, "should be strings"),
    ],
)
async def test_the_example_of_what_is_due_fits_the_field(
    box: ToolBox, name: str, arguments: Any, said: str
) -> None:
    answer: Any = await box.call(name, arguments)

    assert answer["error"]["code"] == "invalid_request"
    assert said in f"{answer['error']['message']} ({answer['error'].get('hint')})"


PAIR = "a cat \ud83d\ude00"


@pytest.mark.parametrize(
    "arguments",
    [{"prompt": PAIR}, json.dumps({"prompt": PAIR}), {"shots": [{"prompt": PAIR}]}],
)
def test_a_pair_of_surrogates_is_the_character_they_stand_for(arguments: Any) -> None:
    video = CreateVideo.model_validate(as_object(arguments, shape=CreateVideo))

    assert [shot.prompt for shot in video.to_request().storyboard()] == ["a cat 😀"]


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"prompt": "a \ud83d cat"}, "prompt: it is not valid text: half a character (U+D83D) at"),
        ({"prompt": "\ude00\ud83d"}, "half a character (U+DE00) at position 0"),
        ('{"prompt": "a cat \\ud83d!"}', "(U+D83D) at position 6"),
        ({"shots": [{"prompt": "😀 \udfff"}]}, "(U+DFFF) at position 2"),
        ({"prompt": "a", "negative_prompt": "\ud800"}, "negative_prompt: it is not valid text"),
    ],
)
async def test_half_a_character_is_refused_with_its_place(
    box: ToolBox, arguments: Any, place: str
) -> None:
    answer: Any = await box.call("create_video", arguments)

    assert answer["error"]["code"] == "invalid_request"
    assert place in answer["error"]["message"]


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("make_video", {}, "unknown tool 'make_video'"),
        ("create_video", {"promt": "a cat"}, "did you mean prompt?"),
        ("create_video", "{not json", "JSON"),
        ("create_video", "[1]", "object"),
        ("create_video", {}, "nothing describes what to show"),
        ("create_video", {"prompt": "a", "shots": [{"prompt": "b"}]}, "not both"),
        ("create_video", {"prompt": "a", "size": "big"}, "is not WIDTHxHEIGHT"),
        ("create_video", {"prompt": "a", "duration": -1}, "is not above zero"),
        ("create_video", {"prompt": "a", "seed": -1}, "seed -1"),
        ("create_video", {"prompt": "a", "max_cost_usd": -1}, "max_cost_usd"),
        ("create_video", {"prompt": "a", "model": "sandbux"}, "sandbox"),
        ("wait_video", {"job_id": "a", "seconds": 61}, "60"),
        ("wait_video", {"job_id": "a", "seconds": 0}, "greater than 0"),
        ("wait_video", {}, "job_id: it is missing"),
        ("create_video", {"prompt": "a", "duration": 1e308}, "more than 1e+07 s"),
        ("create_video", {"prompt": "a", "seed": True}, "seed: it should be a number, not true"),
        ("get_video", {"job_id": "../../etc"}, "unknown job"),
        ("get_video", {"job_id": "\ud800"}, "is not valid text"),
        ("cancel_video", {"job_id": "nothing"}, "unknown job"),
        ("steer_video", {"job_id": "nothing", "prompt": "a dog"}, "unknown job"),
        ("steer_video", {"job_id": "nothing", "prompt": "a dog", "at": "soon"}, "at"),
        (
            "steer_video",
            {"job_id": "nothing", "prompt": "a dog", "at": True},
            "the number of a chunk, not True",
        ),
    ],
)
async def test_what_is_wrong_comes_back_as_data(
    box: ToolBox, client: VideoClient, name: str, arguments: Any, said: str
) -> None:
    answer: Any = await box.call(name, arguments)

    assert set(answer) == {"error"}
    assert set(answer["error"]) <= {"code", "message", "hint", "retryable"}
    assert said in f"{answer['error']['message']} {answer['error'].get('hint')}"
    assert await client.list() == []


@pytest.mark.parametrize("field", ["job_id", "at"])
async def test_what_is_wrong_is_not_repeated_at_any_length(box: ToolBox, field: str) -> None:
    arguments = {"job_id": "a", "prompt": "b", field: "x" * 1_000_000}

    answer: Any = await box.call("steer_video", arguments)

    assert answer["error"]["message"]
    assert len(json.dumps(answer)) < 3000


async def test_a_fault_of_ours_is_data_too_and_no_traceback(
    box: ToolBox, client: VideoClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(job_id: str) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(client, "get", broken)

    answer = await box.call("get_video", {"job_id": "a"})

    assert answer == {
        "error": {"code": "internal", "message": "ZeroDivisionError: oops", "retryable": False}
    }


async def test_a_sheet_is_of_the_video_of_its_job_also_where_another_was_before(
    box: ToolBox, client: VideoClient, tmp_path: Path
) -> None:
    place = tmp_path / "a.mp4"
    old = await client.generate(CreateVideo(**ARGUMENTS).to_request(), out=place)
    before: Any = await box.call("get_video", {"job_id": old.id, "contact_sheet": True})
    other = CreateVideo(**ARGUMENTS | {"prompt": "a dog"}).to_request()
    new = await client.generate(other, out=place, overwrite=True)

    after: Any = await box.call("get_video", {"job_id": new.id, "contact_sheet": "true"})

    assert sha256_of(Path(after["image"])) != sha256_of(Path(before["image"]))
    assert names_in(tmp_path, "*.png") == []


async def test_the_sheet_of_a_video_that_was_replaced_is_not_that_of_the_other(
    box: ToolBox, client: VideoClient, tmp_path: Path
) -> None:
    place = tmp_path / "a.mp4"
    old = await client.generate(CreateVideo(**ARGUMENTS).to_request(), out=place)
    other = CreateVideo(**ARGUMENTS | {"prompt": "a dog"}).to_request()
    await client.generate(other, out=place, overwrite=True)

    answer: Any = await box.call("get_video", {"job_id": old.id, "contact_sheet": True})

    assert "image" not in answer
    assert "is gone or was replaced" in answer["warnings"][0]


async def test_a_sheet_goes_with_its_job(box: ToolBox, client: VideoClient, tmp_path: Path) -> None:
    job = await client.generate(CreateVideo(**ARGUMENTS).to_request(), out=tmp_path / "a.mp4")
    answer: Any = await box.call("get_video", {"job_id": job.id, "contact_sheet": True})
    assert is_file(answer["image"])

    await client.remove(job.id)

    assert names_in(tmp_path / "data" / "jobs", "**/*") == []


async def test_a_sheet_that_cannot_be_written_is_a_warning(
    box: ToolBox, client: VideoClient
) -> None:
    job = await client.generate(CreateVideo(**ARGUMENTS).to_request())
    spoil(job.artifacts[0].path)

    answer: Any = await box.call("get_video", {"job_id": job.id})

    assert answer["status"] == JobStatus.COMPLETED
    assert "contact_sheet" not in answer
    assert "no contact sheet" in answer["warnings"][0]
