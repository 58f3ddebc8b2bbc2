"""What the wire types accept, refuse and keep."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import JsonValue, TypeAdapter, ValidationError

from media_agent.validation import in_words
from media_agent_schemas import (
    Artifact,
    BackendEvent,
    Capabilities,
    ChunkReady,
    InputRole,
    JobCompleted,
    JobEvent,
    MediaInput,
    ResumeToken,
    Shot,
    Size,
    VideoMode,
    VideoRequest,
)
from media_agent_schemas.base import Document
from media_agent_schemas.jobs import ChangePrompt
from media_agent_schemas.records import GenerationRecord
from media_agent_schemas.request import Budget, Routing

LARGEST_SEED = 2**63 - 1


def refusal(**fields: object) -> str:
    """Return what is said about an impossible request."""
    with pytest.raises(ValidationError) as caught:
        VideoRequest.model_validate({"prompt": "a cat", **fields})
    return str(caught.value)


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t"])
def test_an_empty_prompt_is_refused(prompt: str) -> None:
    assert "prompt is empty" in refusal(prompt=prompt)


def test_a_prompt_of_a_megabyte_is_refused_without_being_repeated_by_us() -> None:
    assert "prompt has 1000000 bytes; the limit is 100000" in refusal(prompt="a" * 1_000_000)


def test_the_longest_prompt_is_counted_in_bytes_not_letters() -> None:
    VideoRequest(prompt="é" * 50_000)

    assert "prompt has 100002 bytes" in refusal(prompt="é" * 50_001)


def test_a_nul_in_a_prompt_is_refused_with_its_place() -> None:
    assert "NUL character at position 5" in refusal(prompt="a cat\0")


def test_a_prompt_that_is_not_text_is_refused() -> None:
    assert "not UTF-8" in refusal(prompt="a cat \udcff")


@pytest.mark.parametrize("duration", [0, -1, float("nan"), float("inf"), -0.0, 1e308])
def test_an_impossible_duration_is_refused(duration: float) -> None:
    assert "duration" in refusal(duration=duration)


@pytest.mark.parametrize("frames", [0, 10**30])
def test_an_impossible_number_of_frames_is_refused(frames: int) -> None:
    assert "num_frames" in refusal(num_frames=frames)


@pytest.mark.parametrize("seed", [-1, LARGEST_SEED + 1])
def test_a_seed_out_of_range_is_refused_with_its_value(seed: int) -> None:
    assert f"seed {seed} is not within 0 to {LARGEST_SEED}" in refusal(seed=seed)


@pytest.mark.parametrize("seed", [0, LARGEST_SEED])
def test_the_outermost_seeds_survive_json(seed: int) -> None:
    request = VideoRequest(prompt="a cat", seed=seed)

    again = VideoRequest.model_validate_json(request.model_dump_json())

    assert again.seed == seed


@pytest.mark.parametrize("fps", [0, -24, float("nan"), float("inf"), 1001])
def test_an_impossible_frame_rate_is_refused(fps: float) -> None:
    assert "fps" in refusal(fps=fps)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("63x64", "width 63 is odd"),
        ("64x63", "height 63 is odd"),
        ("14x64", "width 14 is not within 16 to 8192"),
        ("64x8194", "height 8194 is not within 16 to 8192"),
        ("64", "not WIDTHxHEIGHT"),
        ("64x", "not WIDTHxHEIGHT"),
        ("-64x64", "not WIDTHxHEIGHT"),
    ],
)
def test_an_impossible_size_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Size.parse(text)


@given(some.integers(8, 4096), some.integers(8, 4096))
def test_every_sane_size_reads_back_from_its_text(half_width: int, half_height: int) -> None:
    size = Size(width=2 * half_width, height=2 * half_height)

    assert Size.parse(str(size)) == size


@pytest.mark.parametrize(
    "fields",
    [
        {"duration": 5, "num_frames": 120},
        {"duration": 5, "endless": True},
        {"num_frames": 5, "endless": True},
    ],
)
def test_a_length_is_said_in_one_way_only(fields: dict[str, object]) -> None:
    assert "give one of duration, num_frames, endless; not" in refusal(**fields)


def test_prompt_and_shots_exclude_each_other() -> None:
    assert "either prompt or shots" in refusal(shots=[{"prompt": "a dog", "duration": 1}])


def test_a_request_that_says_nothing_is_refused() -> None:
    assert "nothing describes what to show" in refusal(prompt=None)


def test_an_image_alone_is_enough_to_start_from() -> None:
    image = MediaInput(role=InputRole.FIRST_FRAME, path="cat.png")

    assert VideoRequest(inputs=(image,)).storyboard() == ()


def test_only_one_shot_may_lack_a_duration() -> None:
    shots = [{"prompt": "a"}, {"prompt": "b"}]

    assert "2 shots have no duration" in refusal(prompt=None, shots=shots)


def test_shots_that_leave_nothing_are_refused_with_their_sum() -> None:
    shots = [{"prompt": "a"}, {"prompt": "b", "duration": 5}]

    assert "take 5 s and leave nothing of the 5 s" in refusal(prompt=None, shots=shots, duration=5)


def test_shots_that_do_not_add_up_are_refused() -> None:
    shots = [{"prompt": "a", "duration": 1}, {"prompt": "b", "duration": 1}]

    assert "take 2 s together, not 3 s" in refusal(prompt=None, shots=shots, duration=3)


def test_a_size_and_a_tier_exclude_each_other() -> None:
    assert "either size or resolution" in refusal(
        size={"width": 64, "height": 64}, resolution="720p"
    )


def test_an_unknown_field_is_refused_by_name() -> None:
    assert "sed" in refusal(sed=1)


def test_a_request_cannot_be_changed_once_made() -> None:
    request = VideoRequest(prompt="a cat")

    with pytest.raises(ValidationError, match="frozen"):
        request.prompt = "a dog"  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize(
    ("sources", "said"),
    [({}, "has none"), ({"path": "a.png", "url": "https://a/b.png"}, "has path, url")],
)
def test_an_input_comes_from_exactly_one_place(sources: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        MediaInput.model_validate({"role": "first_frame", **sources})


def test_a_keyframe_needs_its_time_and_others_take_none() -> None:
    with pytest.raises(ValidationError, match="keyframe needs a time"):
        MediaInput(role=InputRole.KEYFRAME, path="a.png")
    with pytest.raises(ValidationError, match="only a keyframe can have one"):
        MediaInput(role=InputRole.STYLE, path="a.png", at=1)


def test_bytes_of_an_input_survive_json() -> None:
    request = VideoRequest(inputs=(MediaInput(role=InputRole.MASK, data=b"\x00\xff\x80"),))

    again = VideoRequest.model_validate_json(request.model_dump_json())

    assert again.inputs[0].data == b"\x00\xff\x80"


@pytest.mark.parametrize(
    ("roles", "mode"),
    [
        ([], VideoMode.TEXT_TO_VIDEO),
        (["first_frame"], VideoMode.IMAGE_TO_VIDEO),
        (["first_frame", "last_frame"], VideoMode.FIRST_LAST_FRAME),
        (["subject"], VideoMode.REFERENCE_TO_VIDEO),
        (["source_video"], VideoMode.VIDEO_EXTEND),
        (["source_video", "mask"], VideoMode.VIDEO_EDIT),
    ],
)
def test_the_mode_follows_from_the_inputs(roles: list[str], mode: VideoMode) -> None:
    inputs = [{"role": role, "path": "file"} for role in roles]
    request = VideoRequest.model_validate({"prompt": "a cat", "inputs": inputs})

    assert request.infer_mode() is mode


def test_a_mode_that_was_said_is_not_inferred() -> None:
    request = VideoRequest(prompt="a cat", mode=VideoMode.VIDEO_EDIT)

    assert request.infer_mode() is VideoMode.VIDEO_EDIT


def test_a_single_prompt_is_a_storyboard_of_one_shot() -> None:
    request = VideoRequest(prompt="a cat", num_frames=48, fps=24)

    assert request.storyboard() == (Shot(prompt="a cat", duration=2.0),)


def test_a_model_name_is_split_at_its_first_slash() -> None:
    request = VideoRequest(prompt="a cat", model="fal/fal-ai/magi")

    assert request.split_model() == ("fal", "fal-ai/magi")


def test_an_event_comes_back_as_what_it_was() -> None:
    chunk = JobEvent(
        job_id="j",
        sequence=3,
        time=datetime(2026, 1, 2, tzinfo=UTC),
        event=ChunkReady(index=2, frames=24),
    )

    again = JobEvent.model_validate_json(chunk.model_dump_json())

    assert again == chunk
    assert isinstance(again.event, ChunkReady)


def test_an_unknown_event_type_is_refused() -> None:
    adapter: TypeAdapter[object] = TypeAdapter(BackendEvent)

    with pytest.raises(ValidationError, match=r"job\.exploded"):
        adapter.validate_python({"type": "job.exploded"})


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        JobEvent(job_id="j", sequence=0, time=datetime(2026, 1, 2), event=JobCompleted())


def test_an_artifact_is_somewhere() -> None:
    with pytest.raises(ValidationError, match="path or a uri"):
        Artifact()


def test_a_default_that_is_not_allowed_is_refused_in_capabilities() -> None:
    with pytest.raises(ValidationError, match="default_size 32x32 is not one of sizes"):
        Capabilities(
            backend="b",
            model="m",
            sizes=(Size.parse("64x64"),),
            default_size=Size.parse("32x32"),
        )
    with pytest.raises(ValidationError, match="default_fps 30 is not one of fps_values"):
        Capabilities(backend="b", model="m", fps_values=(24,), default_fps=30)


def test_a_digest_that_no_record_could_keep_is_refused_in_the_capabilities() -> None:
    with pytest.raises(ValidationError, match="weights_sha256"):
        Capabilities(backend="b", model="m", weights_sha256="v1.2")


@pytest.mark.parametrize("kind", [VideoRequest, ResumeToken, GenerationRecord])
def test_a_document_of_another_version_is_refused_in_one_sentence(kind: type[Document]) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate({"schema_version": "1", "what_it_had_then": True})

    (error,) = caught.value.errors()
    assert "it has schema version '1' and this media-agent reads '2'" in error["msg"]
    assert "the media-agent that wrote it" in error["msg"]


_ALWAYS_GIVEN = {"prompt", "schema_version"}


@pytest.mark.parametrize("empty", ["", None])
@pytest.mark.parametrize("name", sorted(VideoRequest.model_fields.keys() - _ALWAYS_GIVEN))
def test_empty_text_and_null_mean_not_given_in_every_field(name: str, empty: object) -> None:
    asked = VideoRequest.model_validate({"prompt": "a cat", name: empty})

    assert asked == VideoRequest(prompt="a cat")


@pytest.mark.parametrize("empty", ["", None])
@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"labls": 0}, "labls"),
        ({"shots": [{"prompt": "a", "duraton": 0}], "prompt": None}, "shots.0.duraton"),
        ({"inputs": [{"role": "mask", "path": "a.png", "ulr": 0}]}, "inputs.0.ulr"),
        ({"budget": {"max_cost": 0}}, "budget.max_cost"),
        ({"routing": {"alow": 0}}, "routing.alow"),
    ],
)
def test_a_mistyped_field_without_a_value_is_refused(
    fields: dict[str, JsonValue], place: str, empty: object
) -> None:
    data = json.loads(json.dumps(fields).replace(": 0", f": {json.dumps(empty)}"))

    with pytest.raises(ValidationError) as caught:
        VideoRequest.model_validate({"prompt": "a cat", **data})

    assert f"{place}: unknown key; did you mean" in in_words(caught.value, VideoRequest)


def test_empty_text_means_not_given_inside_too() -> None:
    asked = VideoRequest.model_validate(
        {
            "prompt": "",
            "shots": [{"prompt": "a cat", "duration": ""}],
            "inputs": [{"role": "first_frame", "path": "a.png", "url": "", "data": ""}],
            "budget": {"max_cost_usd": ""},
            "routing": {"route": "", "allow": ""},
        }
    )

    assert asked.shots[0].duration is None
    assert asked.inputs[0].url is None
    assert asked.budget == Budget()
    assert asked.routing == Routing()


@pytest.mark.parametrize("name", ["duration", "num_frames", "fps", "seed", "n"])
def test_a_number_may_be_its_text_and_is_never_true(name: str) -> None:
    asked = VideoRequest.model_validate({"prompt": "a cat", name: "3"})

    assert getattr(asked, name) == 3
    with pytest.raises(ValidationError, match="it should be a number, not true or false"):
        VideoRequest.model_validate({"prompt": "a cat", name: True})


@pytest.mark.parametrize(
    ("at", "meant"), [("3", 3), (3, 3), ("", "next"), (None, "next"), ("now", "now")]
)
def test_the_place_of_a_new_prompt_is_read_the_same_everywhere(at: object, meant: object) -> None:
    assert ChangePrompt.model_validate({"prompt": "a dog", "at": at}).at == meant


@pytest.mark.parametrize("at", ["soon", True, 1.5, -1, [1]])
def test_what_is_no_place_is_refused_in_one_sentence(at: object) -> None:
    with pytest.raises(ValidationError) as caught:
        ChangePrompt.model_validate({"prompt": "a dog", "at": at})

    said = in_words(caught.value, ChangePrompt)
    assert said == f'at: it should be "next", "now" or the number of a chunk, not {at!r}'
