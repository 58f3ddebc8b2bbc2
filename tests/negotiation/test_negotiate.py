"""Every field of a request is used, adjusted with a reason, or refused."""

from collections.abc import Iterator
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as some

from media_agent.errors import InvalidRequestError, UnsupportedRequestError
from media_agent.negotiation.draft import Shape
from media_agent.negotiation.negotiate import negotiate
from media_agent_schemas import (
    CameraMove,
    Capabilities,
    Estimate,
    FpsRange,
    InputRole,
    MediaInput,
    OptionSpec,
    Plan,
    Policy,
    ResolutionTier,
    Routing,
    RoutingPreference,
    Shot,
    Size,
    SizeRange,
    VideoMode,
    VideoRequest,
    Windows,
)

SQUARE = Size.parse("64x64")
TINY = Capabilities(
    backend="magi",
    model="tiny",
    sizes=(SQUARE,),
    default_size=SQUARE,
    fps_values=(24,),
    default_fps=24,
    default_duration=4,
    chunk_seconds=1,
    max_shots=None,
    seed=True,
    closed_vocabulary=("a", "red", "circle"),
    options=(OptionSpec(name="steps", type="integer", description="steps", minimum=1, maximum=64),),
)
FREE = Capabilities(
    backend="sandbox",
    model="slate",
    size_range=SizeRange(minimum=Size.parse("16x16"), maximum=Size.parse("1920x1920")),
    fps_range=FpsRange(minimum=1, maximum=60),
    endless=True,
    seed=True,
    negative_prompt=True,
    max_shots=None,
)


def plan(
    request: VideoRequest,
    capabilities: Capabilities = TINY,
    policy: Policy = Policy.ADJUST,
    **more: bool,
) -> Plan:
    return negotiate(request, capabilities, policy, draw_seed=lambda: 7, **more)


def changes(made: Plan) -> dict[str, tuple[object, object]]:
    return {change.field: (change.asked, change.used) for change in made.adjustments}


def request(**fields: object) -> VideoRequest:
    return VideoRequest.model_validate({"prompt": "a red circle", "duration": 2, **fields})


def test_what_fits_is_used_as_it_is() -> None:
    asked = request(size=SQUARE, fps=24, seed=0, mode="text_to_video", model="magi/tiny")

    made = plan(asked, policy=Policy.STRICT)

    assert made.adjustments == ()
    assert made.request.seed == 0
    assert made.request.num_frames == 48
    assert made.request.model == "magi/tiny"


def test_what_is_absent_is_filled_in_and_said_even_when_strict() -> None:
    made = plan(VideoRequest(prompt="a red circle"), policy=Policy.STRICT)

    assert changes(made) == {
        "model": (None, "magi/tiny"),
        "mode": (None, "text_to_video"),
        "size": (None, "64x64"),
        "fps": (None, 24.0),
        "duration": (None, 4.0),
        "seed": (None, 7),
    }
    assert (made.request.num_frames, made.request.seed, made.request.size) == (96, 7, SQUARE)


def test_adjust_takes_the_nearest_values_and_says_why() -> None:
    made = plan(
        request(
            size=Size.parse("640x360"),
            fps=30,
            negative_prompt="a cat",
            audio=True,
            n=3,
            camera="static",
        )
    )

    said = changes(made)
    assert said["size"] == ("640x360", "64x64")
    assert said["fps"] == (30.0, 24.0)
    assert said["negative_prompt"] == ("a cat", None)
    assert said["camera"] == ("static", None)
    assert said["audio"] == (True, False)
    assert said["n"] == (3, 1)
    assert all(change.reason for change in made.adjustments)
    assert made.request.negative_prompt is None
    assert made.request.n == 1


def test_audio_that_cannot_be_switched_off_is_said_or_refused() -> None:
    noisy = TINY.model_copy(update={"audio": "always"})

    made = plan(request(audio=False), noisy)
    with pytest.raises(UnsupportedRequestError, match="does not support") as caught:
        plan(request(audio=False), noisy, policy=Policy.STRICT)

    assert made.request.audio is True
    assert changes(made)["audio"] == (False, True)
    assert [each.field for each in caught.value.mismatches] == ["audio"]
    assert plan(request(), noisy).request.audio is None


def test_strict_refuses_everything_at_once() -> None:
    with pytest.raises(UnsupportedRequestError) as caught:
        plan(
            request(size=Size.parse("640x360"), fps=30, audio=True, camera="static"),
            policy=Policy.STRICT,
        )

    assert {mismatch.field for mismatch in caught.value.mismatches} == {
        "size",
        "fps",
        "audio",
        "camera",
    }
    assert "--policy adjust" in (caught.value.hint or "")


def test_what_has_no_near_value_is_refused_by_adjust_too() -> None:
    image = MediaInput(role=InputRole.FIRST_FRAME, path="cat.png")

    with pytest.raises(UnsupportedRequestError) as caught:
        plan(request(inputs=(image,), options={"magi": {"stepps": 3}}))

    reasons = {mismatch.field: mismatch.reason for mismatch in caught.value.mismatches}
    assert set(reasons) == {"mode", "inputs[0].role", "option stepps"}
    assert "did you mean steps?" in reasons["option stepps"]


@pytest.mark.parametrize(("value", "reason"), [(0, "below 1"), (65, "above 64"), ("x", "integer")])
def test_an_option_out_of_its_range_is_refused(value: object, reason: str) -> None:
    with pytest.raises(UnsupportedRequestError, match=reason):
        plan(request(options={"magi": {"steps": value}}))


def test_options_of_other_backends_are_left_out_and_said() -> None:
    made = plan(request(options={"magi": {"steps": 8}, "fal": {"safety": True}}))

    assert made.request.options == {"magi": {"steps": 8}}
    assert changes(made)["options.fal"] == ({"safety": True}, None)


def test_words_outside_a_closed_vocabulary_are_named_with_the_ways_out() -> None:
    with pytest.raises(UnsupportedRequestError) as caught:
        plan(request(prompt="A red cat, on the moon! 🐱"))

    assert "prompt words = cat, on, the, moon, 🐱" in caught.value.message
    for way_out in ("key", "real weights", "--backend sandbox", "--allow-unknown-words"):
        assert way_out in (caught.value.hint or "")


def test_unknown_words_that_were_allowed_become_a_warning() -> None:
    made = plan(request(prompt="a red cat"), allow_unknown_words=True)

    assert made.request.prompt == "a red cat"
    assert made.warnings == (
        "magi/tiny does not know these words: cat; the video may show something else",
    )


def test_known_words_in_any_case_and_punctuation_are_taken() -> None:
    assert plan(request(prompt="A RED, circle.")).warnings == ()


def test_a_prompt_of_punctuation_says_nothing_to_a_closed_vocabulary() -> None:
    with pytest.raises(UnsupportedRequestError, match="no words"):
        plan(request(prompt="...!"))


def test_every_shot_is_checked_against_the_vocabulary() -> None:
    shots = (Shot(prompt="a circle", duration=1), Shot(prompt="a dog", duration=1))

    with pytest.raises(UnsupportedRequestError, match="dog"):
        plan(VideoRequest(shots=shots))


def test_a_prompt_longer_than_the_model_reads_is_refused() -> None:
    capabilities = FREE.model_copy(update={"max_prompt_characters": 5})

    with pytest.raises(UnsupportedRequestError, match="12 characters; the limit is 5"):
        plan(request(), capabilities)


def test_frames_are_duration_times_rate_rounded() -> None:
    assert plan(request(duration=5)).request.num_frames == 120
    assert plan(request(duration=5.03)).request.num_frames == 121


def test_rounding_to_whole_frames_is_said_and_allowed_when_strict() -> None:
    made = plan(request(duration=5.03), policy=Policy.STRICT)

    assert changes(made)["duration"] == (5.03, 121 / 24)


def test_less_than_a_frame_is_refused_with_the_least_that_works() -> None:
    with pytest.raises(InvalidRequestError, match="less than one frame at 24") as caught:
        plan(request(duration=0.04))

    assert "0.0417" in (caught.value.hint or "")


def test_a_single_frame_may_be_asked() -> None:
    assert plan(VideoRequest(prompt="a circle", num_frames=1)).request.num_frames == 1


def test_a_video_is_made_longer_but_never_shorter_than_asked() -> None:
    capabilities = FREE.model_copy(update={"min_duration": 2.0, "max_duration": 8.0})

    assert changes(plan(request(duration=1), capabilities))["duration"] == (1.0, 2.0)
    with pytest.raises(
        UnsupportedRequestError, match=r"duration = 60: .* makes 2 s to 8 s at once"
    ):
        plan(request(duration=60), capabilities)


def test_the_shortest_of_fixed_durations_that_is_long_enough_is_taken() -> None:
    capabilities = FREE.model_copy(update={"durations": (4.0, 8.0, 12.0)})

    assert changes(plan(request(duration=5), capabilities))["duration"] == (5.0, 8.0)
    assert changes(plan(request(duration=4.02), capabilities))["duration"] == (4.02, 4.0)


def test_a_length_that_nobody_asked_for_may_be_any_that_the_model_makes() -> None:
    capabilities = FREE.model_copy(update={"default_duration": None, "durations": (2.0, 3.0)})

    assert plan(VideoRequest(prompt="a circle"), capabilities).request.num_frames == 3 * 24


@given(
    asked=some.floats(0.1, 100),
    fps=some.sampled_from([8.0, 16.0, 24.0, 29.97]),
    multiple=some.integers(1, 24),
    offset=some.integers(0, 8),
    longest=some.floats(1, 30) | some.none(),
    fixed=some.lists(some.floats(1, 20), max_size=3),
)
def test_what_is_planned_is_as_long_as_asked_but_for_one_step_of_the_frame_rule(
    asked: float, fps: float, multiple: int, offset: int, longest: float | None, fixed: list[float]
) -> None:
    changes: dict[str, object] = {
        "fps_values": (fps,),
        "fps_range": None,
        "frame_multiple": multiple,
        "frame_offset": offset,
        "max_duration": longest,
        "durations": tuple(fixed),
        "endless": False,
    }
    try:
        made = plan(request(duration=asked), FREE.model_copy(update=changes))
    except (UnsupportedRequestError, InvalidRequestError):
        return

    assert made.request.num_frames is not None
    assert made.request.num_frames / fps >= asked - multiple / fps - 1e-6


def test_shots_are_rounded_to_chunks_and_each_change_is_said() -> None:
    shots = (Shot(prompt="a circle"), Shot(prompt="a red circle", duration=2.4))

    made = plan(VideoRequest(shots=shots, duration=6))

    assert [shot.duration for shot in made.request.shots] == [4.0, 2.0]
    assert made.request.num_frames == 144
    assert changes(made)["shots[0].duration"] == (None, 4.0)
    assert changes(made)["shots[1].duration"] == (2.4, 2.0)


def test_more_shots_than_the_model_takes_are_refused() -> None:
    shots = (Shot(prompt="a circle", duration=1), Shot(prompt="a circle", duration=1))

    with pytest.raises(UnsupportedRequestError, match="accepts at most 1"):
        plan(VideoRequest(shots=shots), TINY.model_copy(update={"max_shots": 1}))


def test_an_endless_video_stays_endless_where_it_can() -> None:
    made = plan(VideoRequest(prompt="a cat", endless=True), FREE)

    assert made.request.endless
    assert made.request.num_frames is None


def test_a_restyled_video_is_never_endless() -> None:
    edits = FREE.model_copy(
        update={"modes": (VideoMode.VIDEO_EDIT,), "input_roles": (InputRole.SOURCE_VIDEO,)}
    )
    source = MediaInput(role=InputRole.SOURCE_VIDEO, data=b"video")
    request = VideoRequest(
        prompt="a cat", mode=VideoMode.VIDEO_EDIT, inputs=(source,), endless=True
    )

    with pytest.raises(UnsupportedRequestError) as caught:
        plan(request, edits)

    assert [(each.field, each.reason) for each in caught.value.mismatches] == [
        ("endless", "a restyled video ends where its source ends")
    ]


def test_an_endless_video_is_refused_where_it_cannot_be() -> None:
    with pytest.raises(UnsupportedRequestError, match="only makes videos of a fixed length"):
        plan(VideoRequest(prompt="a circle", endless=True))


def test_a_seed_that_nobody_takes_is_said_not_dropped_silently() -> None:
    made = plan(request(seed=0), FREE.model_copy(update={"seed": False}))

    assert changes(made)["seed"] == (0, None)
    assert made.request.seed is None


def test_an_unknown_fact_lets_the_value_pass() -> None:
    capabilities = FREE.model_copy(
        update={"seed": "unknown", "audio": "unknown", "camera": "unknown"}
    )

    made = plan(request(seed=3, audio=True, camera=CameraMove.STATIC), capabilities)

    assert (made.request.seed, made.request.audio, made.request.camera) == (3, True, "static")


def test_a_tier_becomes_pixels_where_the_model_does_not_know_it_by_name() -> None:
    made = plan(request(resolution=ResolutionTier.P720, aspect_ratio="16:9"), FREE)

    assert made.request.size == Size.parse("1280x720")
    assert made.request.resolution is None
    assert changes(made)["resolution"] == ("720p 16:9", "1280x720")


def test_a_tier_is_passed_on_where_the_model_knows_it_by_name() -> None:
    capabilities = FREE.model_copy(update={"resolutions": (ResolutionTier.P720,)})

    made = plan(request(resolution=ResolutionTier.P720), capabilities)

    assert made.request.resolution is ResolutionTier.P720
    assert made.request.size is None


def test_the_nearest_size_is_near_in_shape_too() -> None:
    sizes = tuple(Size.parse(text) for text in ("1280x720", "720x1280", "960x960"))
    capabilities = FREE.model_copy(update={"sizes": sizes, "size_range": None})

    assert plan(request(size=Size.parse("600x1000")), capabilities).request.size == sizes[1]


def test_a_preference_without_a_choice_is_said() -> None:
    made = plan(request(routing=Routing(prefer=RoutingPreference.CHEAPEST)))

    assert changes(made)["routing.prefer"] == ("cheapest", None)


def values() -> Iterator[tuple[str, object]]:
    """Yield a value for every field that a request can have."""
    yield "prompt", "a red circle"
    yield "negative_prompt", "a circle"
    yield "shots", ({"prompt": "a circle", "duration": 1.5}, {"prompt": "a red circle"})
    yield "mode", VideoMode.VIDEO_EDIT
    yield "inputs", ({"role": "mask", "path": "mask.png"},)
    yield "join_source", True
    yield "camera", "zoom_in"
    yield "duration", 3.3
    yield "num_frames", 50
    yield "endless", True
    yield "fps", 29.97
    yield "size", {"width": 640, "height": 360}
    yield "resolution", "1080p"
    yield "aspect_ratio", "4:3"
    yield "seed", 0
    yield "deadline", 60.0
    yield "audio", True
    yield "n", 2
    yield "model", "magi"
    yield "options", {"magi": {"steps": 8}, "fal": {"x": 1}}
    yield "watermark", "encoded"
    yield "visible_label", "AI-generated"
    yield "labels", {"project": "spring"}
    yield "consent", "release form 12"
    yield "budget", {"max_cost_usd": 1.0}
    yield "routing", {"prefer": "best"}


def test_every_field_has_a_value_in_the_next_test() -> None:
    assert {name for name, _ in values()} == set(VideoRequest.model_fields) - {"schema_version"}


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize(("name", "value"), list(values()))
def test_no_field_is_dropped_silently(name: str, value: object, policy: Policy) -> None:
    base: dict[str, object] = {} if name == "shots" else {"prompt": "a red circle"}
    capabilities = TINY
    if name == "join_source":
        base["inputs"] = ({"role": "source_video", "path": "a.mp4"},)
        extends = {"modes": (VideoMode.VIDEO_EXTEND,), "input_roles": (InputRole.SOURCE_VIDEO,)}
        capabilities = TINY.model_copy(update=extends)
    asked = VideoRequest.model_validate({**base, name: value})

    try:
        made = negotiate(
            asked,
            capabilities,
            policy,
            draw_seed=lambda: 7,
            estimate=lambda request: Estimate(cost_usd=0),
        )
    except UnsupportedRequestError as error:
        refused = [mismatch.field for mismatch in error.mismatches]
    else:
        refused = []
        is_used = getattr(made.request, name) == getattr(asked, name)
        is_said = any(change.field.startswith(name) for change in made.adjustments)
        assert is_used or is_said

    assert all(field.startswith((name.rstrip("s"), "mode")) for field in refused)


@given(
    seconds=some.floats(0.05, 3600),
    fps=some.floats(0.5, 400),
    width=some.integers(8, 4096),
    height=some.integers(8, 4096),
    capabilities=some.sampled_from([TINY, FREE]),
)
def test_an_adjusted_plan_always_fits_the_limits(
    seconds: float, fps: float, width: int, height: int, capabilities: Capabilities
) -> None:
    asked = VideoRequest(
        prompt="a red circle",
        duration=max(seconds, 1.1 / min(fps, 24)),
        fps=fps,
        size=Size(width=2 * width, height=2 * height),
    )

    try:
        made = plan(asked, capabilities)
    except InvalidRequestError as error:
        assert "less than one frame" in error.message  # noqa: PT017  # the only way out
        return

    again = plan(made.request, capabilities, Policy.STRICT)
    assert again.request == made.request
    assert again.adjustments == ()


RULED = FREE.model_copy(
    update={
        "frame_multiple": 4,
        "frame_offset": 1,
        "fps_range": None,
        "fps_values": (16.0,),
        "endless": False,
        "max_duration": 81 / 16,
    }
)


@pytest.mark.parametrize(
    ("seconds", "frames"),
    [(1 / 16, 1), (0.1, 1), (2.5 / 16, 1), (3 / 16, 5), (1, 17), (5, 81), (5.0625, 81), (5.25, 81)],
)
def test_a_length_goes_to_the_nearest_number_of_frames_of_the_rule(
    seconds: float, frames: int
) -> None:
    made = plan(request(duration=seconds), RULED)

    assert made.request.num_frames == frames
    if seconds * 16 != frames:
        _, used = changes(made)["duration"]
        assert used == frames / 16


@pytest.mark.parametrize(("asked", "frames"), [(1, 1), (2, 1), (3, 5), (8, 9), (9, 9), (84, 81)])
def test_a_number_of_frames_goes_to_the_nearest_of_the_rule(asked: int, frames: int) -> None:
    made = plan(VideoRequest(prompt="a circle", num_frames=asked), RULED)

    assert made.request.num_frames == frames
    assert ("num_frames" in changes(made)) == (asked != frames)


def test_more_frames_than_the_model_makes_are_refused_and_said_in_frames() -> None:
    with pytest.raises(UnsupportedRequestError, match="num_frames = 500"):
        plan(VideoRequest(prompt="a circle", num_frames=500), RULED)


def test_frames_against_the_rule_are_refused_when_strict_and_the_rule_is_said() -> None:
    with pytest.raises(UnsupportedRequestError, match=r"4k\+1 frames: 17, not 16"):
        plan(request(duration=1), RULED, Policy.STRICT)

    assert plan(request(duration=17 / 16), RULED, Policy.ADJUST).request.num_frames == 17


def test_frames_of_the_rule_are_not_fewer_than_the_shortest_video() -> None:
    capabilities = RULED.model_copy(update={"min_duration": 0.25, "frame_offset": 3})

    assert plan(VideoRequest(prompt="a circle", num_frames=1), capabilities).request.num_frames == 7


def test_with_a_first_frame_and_no_size_asked_the_shape_is_left_to_the_image() -> None:
    capabilities = Capabilities(
        backend="b",
        model="m",
        modes=(VideoMode.TEXT_TO_VIDEO, VideoMode.IMAGE_TO_VIDEO),
        input_roles=(InputRole.FIRST_FRAME,),
        sizes=(Size.parse("1280x720"), Size.parse("720x1280")),
        default_size=Size.parse("1280x720"),
        image_sets_shape=True,
        resolutions=(ResolutionTier.P720,),
        fps_values=(24,),
        default_duration=2,
        max_duration=4,
    )
    image = MediaInput(role=InputRole.FIRST_FRAME, path="cat.png")

    of_text = plan(VideoRequest(prompt="a cat"), capabilities).request
    asked = VideoRequest(prompt="a cat", inputs=(image,))
    of_image = negotiate(
        asked, capabilities, draw_seed=lambda: 7, shape=Shape(Fraction(9, 16))
    ).request

    assert (of_text.size, of_text.resolution) == (Size.parse("1280x720"), None)
    assert (of_image.size, of_image.resolution, of_image.aspect_ratio) == (None, "720p", None)


@pytest.mark.parametrize(
    ("changes", "given", "said"),
    [
        ({}, "first_frame", "the frames have the shape of the image; 720x1280 chooses only"),
        ({}, "source_video", "the frames have the shape of the source video; 720x1280 chooses"),
        ({}, None, None),
        ({"aspect_ratios": ("9:16",)}, "first_frame", None),
        ({"image_sets_shape": False}, "first_frame", None),
    ],
)
def test_a_size_that_only_chooses_how_large_is_warned_of(
    changes: dict[str, object], given: str | None, said: str | None
) -> None:
    capabilities = Capabilities(
        backend="b",
        model="m",
        modes=(VideoMode.TEXT_TO_VIDEO, VideoMode.IMAGE_TO_VIDEO, VideoMode.VIDEO_EXTEND),
        input_roles=(InputRole.FIRST_FRAME, InputRole.SOURCE_VIDEO),
        sizes=(Size.parse("1280x720"), Size.parse("720x1280")),
        image_sets_shape=True,
        default_duration=2,
    ).model_copy(update=changes)
    inputs = [] if given is None else [{"role": given, "path": "a.png"}]
    asked = {"prompt": "a cat", "size": {"width": 720, "height": 1280}, "inputs": inputs}

    warnings = plan(VideoRequest.model_validate(asked), capabilities).warnings

    assert (said is None) == (warnings == ())
    assert said is None or said in warnings[0]


@pytest.mark.parametrize("policy", list(Policy))
def test_an_address_is_refused_where_only_files_are_read(policy: Policy) -> None:
    capabilities = Capabilities(
        backend="b",
        model="m",
        modes=(VideoMode.IMAGE_TO_VIDEO,),
        input_roles=(InputRole.FIRST_FRAME,),
        reads_urls=False,
    )
    there = MediaInput(role=InputRole.FIRST_FRAME, url="https://x.test/a.png?token=abc")
    here = MediaInput(role=InputRole.FIRST_FRAME, path="a.png")

    with pytest.raises(UnsupportedRequestError, match="b/m reads files, not addresses") as caught:
        plan(VideoRequest(prompt="a", inputs=(there,)), capabilities, policy)
    assert "abc" not in str(caught.value)
    assert plan(VideoRequest(prompt="a", inputs=(here,)), capabilities).request.inputs == (here,)


@pytest.mark.parametrize(("mode", "used"), [("text_to_video", False), ("video_edit", None)])
def test_audio_that_a_model_cannot_generate_may_still_come_from_a_source(
    mode: str, used: bool | None
) -> None:
    video = {"role": "source_video", "path": "a.mp4"}
    asked = VideoRequest.model_validate(
        {"prompt": "a fox", "mode": mode, "audio": True, "inputs": [video] if used is None else []}
    )
    made_by = Capabilities(
        backend="acme", model="one", modes=(VideoMode(mode),), input_roles=("source_video",)
    )

    plan = negotiate(asked, made_by, draw_seed=lambda: 7)

    assert plan.request.audio is used
    assert [change.asked for change in plan.adjustments if change.field == "audio"] == [True]


@pytest.mark.parametrize(
    ("policy", "given", "sent"),
    [
        (Policy.STRICT, {}, {"spare": "strict"}),
        (Policy.STRICT, {"spare": "adjust"}, {"spare": "adjust"}),
        (Policy.ADJUST, {}, {}),
    ],
)
def test_strict_decides_the_options_that_have_a_strict_value_and_says_so(
    policy: Policy, given: dict[str, str], sent: dict[str, str]
) -> None:
    spare = OptionSpec(
        name="spare",
        type="string",
        choices=("adjust", "strict"),
        strict="strict",
        description="What is done where it does not fit.",
    )
    capabilities = FREE.model_copy(update={"options": (spare,)})
    asked = VideoRequest(prompt="a fox", options={"sandbox": given} if given else {})

    made = negotiate(asked, capabilities, policy, draw_seed=lambda: 7)

    said = [each.field for each in made.adjustments if each.field.startswith("options")]
    assert made.request.options.get("sandbox", {}) == sent
    assert said == (["options.sandbox.spare"] if sent and not given else [])


def test_a_length_beyond_the_longest_stays_where_windows_make_it() -> None:
    windows = Windows(modes=(VideoMode.TEXT_TO_VIDEO,), first_frames=64, further_frames=48)
    capabilities = Capabilities(
        backend="near",
        model="one",
        modes=(VideoMode.TEXT_TO_VIDEO, VideoMode.IMAGE_TO_VIDEO),
        input_roles=(InputRole.FIRST_FRAME,),
        default_fps=16,
        max_duration=5,
        windows=windows,
        frame_multiple=4,
        frame_offset=1,
    )
    image = MediaInput(role=InputRole.FIRST_FRAME, data=b"x")

    long = VideoRequest(prompt="a fox", duration=60)
    made = negotiate(long, capabilities, draw_seed=lambda: 7)

    assert made.request.num_frames == 961
    assert made.windows == 1 + 19
    with pytest.raises(UnsupportedRequestError, match="0 s to 5 s"):
        negotiate(long.model_copy(update={"inputs": (image,)}), capabilities, draw_seed=lambda: 7)


@pytest.mark.parametrize(("mode", "frames"), [("video_edit", 17), ("video_extend", 13)])
def test_a_restyled_video_is_filled_up_and_not_cut(mode: str, frames: int) -> None:
    capabilities = Capabilities(
        backend="b",
        model="m",
        modes=(VideoMode(mode),),
        input_roles=(InputRole.SOURCE_VIDEO,),
        fps_values=(16.0,),
        frame_multiple=4,
        frame_offset=1,
    )
    source = MediaInput(role=InputRole.SOURCE_VIDEO, url="https://example.com/a.mp4")
    asked = VideoRequest(prompt="a fox", mode=VideoMode(mode), inputs=(source,), duration=14 / 16)
    reading = capabilities.model_copy(update={"reads_urls": True})

    assert negotiate(asked, reading, draw_seed=lambda: 7).request.num_frames == frames
