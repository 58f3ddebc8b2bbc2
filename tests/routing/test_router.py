"""Who is chosen, why, and what it would take."""

import datetime
from collections.abc import AsyncGenerator, Mapping

import pytest

from media_agent.backend.protocol import VideoBackend
from media_agent.errors import (
    BudgetExceededError,
    InvalidRequestError,
    MediaAgentError,
    UnsupportedRequestError,
    to_info,
)
from media_agent.routing.catalogue import Catalogue
from media_agent.routing.explain import choose_plan, collect_reasons, collect_refusals
from media_agent.routing.facts import ModelFacts, Price
from media_agent.routing.router import Router
from media_agent.routing.rules import Route, RoutingRules
from media_agent_schemas.base import format_usd
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.events import BackendEvent
from media_agent_schemas.facts import FpsRange, SizeRange, Verification, VerificationLevel, Windows
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import InputRole, MediaInput, Size
from media_agent_schemas.plan import Candidate, Method, PlanReport, Policy, Quality
from media_agent_schemas.request import (
    Budget,
    Routing,
    RoutingPreference,
    Shot,
    VideoMode,
    VideoRequest,
)

TODAY = datetime.date(2026, 11, 20)
FOX = VideoRequest(prompt="a fox runs through snow")


class Shelf:
    """A backend that only says what it can do."""

    def __init__(self, *models: Capabilities, price: float | None = None) -> None:
        self.models = {each.model: each for each in models}
        self.price = price

    @property
    def name(self) -> str:
        return next(iter(self.models.values())).backend

    def capabilities(self, model: str | None = None) -> Capabilities:
        if model is None:
            return next(iter(self.models.values()))
        if model not in self.models:
            raise InvalidRequestError(f"{self.name} has no model {model!r}")
        return self.models[model]

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate() if self.price is None else Estimate(cost_usd=self.price, source="own")

    async def submit(self, *args: object, **named: object) -> OperationRef:
        raise AssertionError("a plan submits nothing")

    async def find(self, *args: object, **named: object) -> None:
        raise AssertionError("a plan looks for nothing")

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        raise AssertionError("a plan observes nothing")
        yield

    async def control(self, *args: object) -> None:
        raise AssertionError("a plan steers nothing")

    async def cancel(self, ref: OperationRef) -> None:
        raise AssertionError("a plan cancels nothing")

    async def aclose(self) -> None:
        return None


class Empty(Shelf):
    """A backend that has no model yet."""

    @property
    def name(self) -> str:
        return "empty"

    def capabilities(self, model: str | None = None) -> Capabilities:
        raise InvalidRequestError("empty has no model yet")


def model(backend: str, name: str, **capabilities: object) -> Capabilities:
    facts: dict[str, object] = {
        "backend": backend,
        "model": name,
        "models": (name,),
        "fps_values": (24.0,),
        "default_fps": 24.0,
        "default_duration": 5.0,
        "max_duration": 8.0,
        "default_size": Size(width=1280, height=720),
        "seed": True,
        "verification": Verification(level=VerificationLevel.SIMULATOR),
        **capabilities,
    }
    return Capabilities.model_validate(facts)


def endless(backend: str = "engine", **capabilities: object) -> Capabilities:
    return model(
        backend, "one", **{"max_duration": None, "endless": True, "max_shots": None, **capabilities}
    )


BOTH = {
    "modes": (VideoMode.TEXT_TO_VIDEO, VideoMode.IMAGE_TO_VIDEO),
    "input_roles": (InputRole.FIRST_FRAME,),
}
EXTENDS = {
    "modes": (VideoMode.TEXT_TO_VIDEO, VideoMode.VIDEO_EXTEND),
    "input_roles": (InputRole.SOURCE_VIDEO,),
    "extends": True,
}
IN_WINDOWS = {
    **EXTENDS,
    "windows": Windows(
        modes=(VideoMode.TEXT_TO_VIDEO, VideoMode.VIDEO_EXTEND),
        first_frames=96,
        further_frames=72,
    ),
}
FOUR_SECONDS = ({"prompt": "a fox", "duration": 4},)
PER_SECOND = Price(usd=0.1, per="second", source="a page", date=TODAY)


def router(
    *backends: Shelf,
    facts: Mapping[str, ModelFacts] | None = None,
    rules: RoutingRules | None = None,
    broken: Mapping[str, MediaAgentError] | None = None,
) -> Router:
    files: dict[str, dict[str, ModelFacts]] = {}
    for name, known in (facts or {}).items():
        backend, _, model_name = name.partition("/")
        files.setdefault(backend, {})[model_name] = known
    shelves: dict[str, VideoBackend] = {each.name: each for each in backends}
    return Router(shelves, Catalogue(files), rules, draw_seed=lambda: 7, broken=broken)


def asked(**fields: object) -> VideoRequest:
    return VideoRequest.model_validate({"prompt": "a fox", **fields})


def names(report: PlanReport) -> list[str]:
    return [each.name for each in report.ranked]


def refused(report: PlanReport, name: str) -> str:
    candidate = of(report, name)
    assert candidate.rank is None
    return " / ".join(refusal.message for refusal in candidate.refusals)


def of(report: PlanReport, name: str) -> Candidate:
    return next(each for each in report.candidates if each.name == name)


def frames(candidate: Candidate) -> list[int | None]:
    assert candidate.plan is not None
    return [segment.request.num_frames for segment in candidate.plan.segments]


@pytest.mark.parametrize(
    ("prefer", "first"),
    [
        (RoutingPreference.CHEAPEST, "cheap/x"),
        (RoutingPreference.FASTEST, "swift/x"),
        (RoutingPreference.BEST, "fine/x"),
        (RoutingPreference.LOCAL_FIRST, "here/x"),
    ],
)
def test_the_preference_decides_among_equals(prefer: RoutingPreference, first: str) -> None:
    def known(usd: float, seconds: float, tier: int) -> ModelFacts:
        return ModelFacts.model_validate(
            {
                "prices": [{**dict(PER_SECOND), "usd": usd}],
                "speed": {"seconds_per_second": seconds, "source": "a clock", "date": TODAY},
                "quality": Quality(tier=tier, opinion_of="a critic", date=TODAY),
            }
        )

    shelves = [Shelf(model(name, "x")) for name in ("cheap", "swift", "fine")]
    shelves.append(Shelf(model("here", "x", local=True)))
    facts = {
        "cheap/x": known(0.01, 9, 2),
        "swift/x": known(0.2, 1, 2),
        "fine/x": known(0.9, 9, 5),
        "here/x": known(0.5, 30, 1),
    }

    report = router(*shelves, facts=facts).report(asked(routing=Routing(prefer=prefer)))

    assert names(report)[0] == first
    assert report.summary.startswith(f"selected {first}: ")
    assert [each.rank for each in report.ranked] == [1, 2, 3, 4]


def test_an_unknown_price_is_last_not_free() -> None:
    shelves = Shelf(model("silent", "x")), Shelf(model("dear", "x"), price=100.0)

    report = router(*shelves).report(asked(routing=Routing(prefer=RoutingPreference.CHEAPEST)))

    assert names(report) == ["dear/x", "silent/x"]
    assert "price unknown" in report.ranked[1].reasons


def test_the_cheapest_is_first_in_however_many_segments() -> None:
    shelves = (
        Shelf(endless("engine"), price=9.0),
        Shelf(model("fal", "magi", **EXTENDS), price=0.9),
        Shelf(model("wan", "i2v", **BOTH), price=0.1),
    )

    report = router(*shelves).report(
        asked(duration=60, routing=Routing(prefer=RoutingPreference.CHEAPEST))
    )

    assert names(report) == ["wan/i2v", "fal/magi", "engine/one"]
    assert report.summary.startswith(
        "selected wan/i2v: 60 s in 8 segments, each from the last frame before, with 7 cuts; "
    )
    assert report.summary.endswith(
        "Ranked by price, regardless of the number of segments; 2 others available"
    )


@pytest.mark.parametrize("price", [0.0, 0.3])
def test_at_the_same_price_fewer_segments_are_better(price: float) -> None:
    shelves = (
        Shelf(model("apart", "x", **BOTH), price=price / 3),
        Shelf(model("extended", "x", **EXTENDS), price=price / 3),
        Shelf(endless("whole"), price=price),
    )

    report = router(*shelves).report(
        asked(duration=20, routing=Routing(prefer=RoutingPreference.CHEAPEST))
    )

    assert names(report) == ["whole/one", "extended/x", "apart/x"]


def test_the_cheapest_of_known_prices_goes_before_one_piece_of_an_unknown_price() -> None:
    shelves = Shelf(endless("silent")), Shelf(model("wan", "i2v", **BOTH), price=5.0)

    report = router(*shelves).report(
        asked(duration=60, routing=Routing(prefer=RoutingPreference.CHEAPEST))
    )

    assert names(report) == ["wan/i2v", "silent/one"]


def test_the_fastest_is_first_in_however_many_segments() -> None:
    def pace(seconds: float) -> ModelFacts:
        speed = {"seconds_per_second": seconds, "source": "a clock", "date": TODAY}
        return ModelFacts.model_validate({"speed": speed})

    report = router(
        Shelf(endless("slow")),
        Shelf(model("swift", "x", **BOTH)),
        facts={"slow/one": pace(30), "swift/x": pace(1)},
    ).report(asked(duration=60, routing=Routing(prefer=RoutingPreference.FASTEST)))

    assert names(report) == ["swift/x", "slow/one"]


@pytest.mark.parametrize("prefer", [RoutingPreference.LOCAL_FIRST, RoutingPreference.BEST])
def test_what_is_no_sum_of_money_or_time_puts_one_piece_before_segments(
    prefer: RoutingPreference,
) -> None:
    shelves = Shelf(endless("dear"), price=9.0), Shelf(model("wan", "x", **BOTH), price=0.1)

    report = router(*shelves).report(asked(duration=60, routing=Routing(prefer=prefer)))

    assert names(report) == ["dear/one", "wan/x"]
    assert "Ranked by method (one piece, then extending, then chaining)" in report.summary


def test_a_refusal_cuts_no_name_that_another_begins_with() -> None:
    longer = UnsupportedRequestError("fal/magi/extend would make this, fal/magi cannot", hint="x")

    report = router(Shelf(model("fal", "magi"))).report(asked())
    refused = report.ranked[0].model_copy(update={"refusals": (to_info(longer),)})

    ((said, _),) = collect_refusals(report.model_copy(update={"candidates": (refused,)}))
    assert said.message == "fal/magi/extend would make this, it cannot"


def test_extending_once_is_said_so() -> None:
    report = router(Shelf(model("fal", "magi", **EXTENDS), price=1.0)).report(asked(duration=12))

    assert "12 s by extending the video once, with 1 cut" in report.ranked[0].reasons


def test_ten_minutes_go_to_the_backend_without_a_limit_and_it_says_why() -> None:
    shelves = (
        Shelf(endless(local=True), price=0.0),
        Shelf(model("fal", "magi", **EXTENDS), price=0.8),
        Shelf(model("wan", "i2v", **BOTH), price=0.1),
    )

    report = router(*shelves).report(asked(duration=600))

    assert names(report) == ["engine/one", "fal/magi", "wan/i2v"]
    assert report.summary == (
        "selected engine/one: no length limit: 600 s in one piece, no cuts; local; free. Ranked by "
        "method (one piece, then extending, then chaining), then with local backends first, then "
        "by price; 2 others available"
    )
    assert of(report, "engine/one").method is Method.ENDLESS
    assert of(report, "engine/one").submissions == 1


def test_a_model_that_works_in_windows_takes_one_job_and_comes_after_one_without_cuts() -> None:
    shelves = (
        Shelf(model("near", "windows", **IN_WINDOWS, local=True), price=0.0),
        Shelf(endless(), price=9.0),
        Shelf(model("wan", "i2v", **BOTH, local=True), price=0.0),
    )

    report = router(*shelves).report(asked(duration=10))

    assert names(report) == ["engine/one", "near/windows", "wan/i2v"]
    assert "no length limit: 10 s in one piece, no cuts" in report.summary
    candidate = of(report, "near/windows")
    assert candidate.plan is not None
    assert (candidate.method, candidate.submissions, candidate.seams) == (Method.EXTEND, 1, 2)
    assert candidate.plan.request.num_frames == 240
    assert "10 s by extending the video 2 times, with 2 cuts" in candidate.reasons


@pytest.mark.parametrize(
    ("fields", "submissions", "windows"),
    [
        ({"duration": 8.0}, 1, 1),  # as much as it makes at once
        ({"duration": 9.0}, 1, 3),
        ({"prompt": None, "shots": FOUR_SECONDS * 2}, 2, 2),  # each shot is a segment
        ({"duration": 6.0, "inputs": ({"role": "source_video", "url": "https://a/b.mp4"},)}, 1, 2),
    ],
)
def test_windows_are_counted_as_the_model_makes_them(
    fields: dict[str, object], submissions: int, windows: int
) -> None:
    plan = router(Shelf(model("near", "windows", **IN_WINDOWS))).plan(asked(**fields))

    assert (plan.submissions, plan.windows) == (submissions, windows)
    assert plan.seams == submissions + windows - 2


def test_the_model_that_continues_another_one_can_be_named_by_their_backend() -> None:
    text = model("mine", "text", image_model="image")
    image = model("mine", "image", **{**BOTH, "modes": (VideoMode.IMAGE_TO_VIDEO,)})

    plan = router(Shelf(text, image)).plan(asked(duration=20, model="mine/text"))

    assert plan.method is Method.CHAIN
    assert [each.request.model for each in plan.segments] == [
        "mine/text",
        "mine/image",
        "mine/image",
    ]


def test_an_extended_video_has_a_price_and_seams_for_every_segment() -> None:
    report = router(
        Shelf(model("fal", "magi", **EXTENDS)), facts={"fal/magi": ModelFacts(prices=(PER_SECOND,))}
    ).report(asked(duration=20))

    candidate = report.ranked[0]
    assert candidate.method is Method.EXTEND
    assert frames(candidate) == [160, 160, 160]
    assert candidate.plan is not None
    assert [segment.continues_from for segment in candidate.plan.segments] == [
        "nothing",
        "video",
        "video",
    ]
    assert candidate.seams == 2
    assert candidate.estimate.cost_usd == pytest.approx(2.0)
    assert "20 s by extending the video 2 times, with 2 cuts" in candidate.reasons


def test_a_chain_counts_the_shared_frame_once() -> None:
    report = router(Shelf(model("wan", "both", **BOTH), price=0.5)).report(asked(duration=20))

    candidate = report.ranked[0]
    assert candidate.method is Method.CHAIN
    assert candidate.plan is not None
    assert sum(each or 0 for each in frames(candidate)) - candidate.seams == 480
    assert candidate.plan.request.num_frames == 480
    assert candidate.estimate.cost_usd == pytest.approx(1.5)
    follower = candidate.plan.segments[1].request
    assert (follower.mode, follower.inputs) == (VideoMode.IMAGE_TO_VIDEO, ())
    assert follower.seed == 7
    assert follower.size == Size(width=1280, height=720)


def test_a_chain_warns_of_the_shape_of_an_image_only_if_the_caller_gave_one() -> None:
    shelf = Shelf(model("wan", "both", **BOTH, image_sets_shape=True), price=0.5)
    image = MediaInput(role=InputRole.FIRST_FRAME, url="https://x.test/a.png")
    size = Size(width=1280, height=720)

    of_text = router(shelf).report(asked(duration=20, size=size)).ranked[0].plan
    of_image = router(shelf).report(asked(duration=20, size=size, inputs=(image,))).ranked[0].plan

    assert of_text is not None
    assert of_image is not None
    assert len(of_text.segments) == len(of_image.segments) == 3
    assert of_text.warnings == ()
    assert of_image.warnings == (
        "the frames have the shape of the image; 1280x720 chooses only how large",
    )


@pytest.mark.parametrize("wanted", [None, True, False])
def test_a_video_in_segments_has_the_audio_that_was_asked(wanted: bool | None) -> None:
    short = model("fal", "short", audio=True, **BOTH)

    plan = router(Shelf(short)).report(asked(duration=20, audio=wanted)).ranked[0].plan

    assert plan is not None
    assert plan.request.audio is wanted
    assert [each for each in plan.adjustments if each.field == "audio"] == []
    assert {segment.request.audio for segment in plan.segments} == {wanted}


@pytest.mark.parametrize(
    ("audio", "wanted", "used"), [("always", False, True), (False, True, False)]
)
def test_audio_of_segments_that_is_not_as_asked_is_said_once(
    audio: object, wanted: bool, used: bool
) -> None:
    short = model("fal", "short", audio=audio, **BOTH)

    plan = router(Shelf(short)).report(asked(duration=20, audio=wanted)).ranked[0].plan

    assert plan is not None
    said = [(each.asked, each.used) for each in plan.adjustments if each.field == "audio"]
    assert said == [(wanted, used)]
    assert plan.request.audio is used
    assert {segment.request.audio for segment in plan.segments} == {used}


def test_another_model_of_the_backend_may_continue() -> None:
    text = model("fal", "wan/text")
    image = model(
        "fal",
        "wan/image",
        modes=(VideoMode.IMAGE_TO_VIDEO,),
        input_roles=("first_frame",),
        seed=False,
    )
    facts = {"fal/wan/text": ModelFacts(image_model="wan/image")}

    report = router(Shelf(text, image), facts=facts).report(asked(duration=10))

    plan = choose_plan(report)
    assert [segment.request.model for segment in plan.segments] == ["fal/wan/text", "fal/wan/image"]
    assert plan.segments[1].request.seed is None
    assert "wan/image" not in names(report)


def test_what_only_makes_fixed_lengths_is_rounded_up_and_says_so() -> None:
    shelf = Shelf(model("kling", "x", durations=(5.0, 10.0), max_duration=None, **BOTH))

    plan = choose_plan(router(shelf).report(asked(duration=12)))

    assert [segment.request.num_frames for segment in plan.segments] == [240, 120]
    (change,) = [each for each in plan.adjustments if each.field == "duration"]
    assert change.asked == 12.0
    assert change.used == pytest.approx(359 / 24)


def test_strict_refuses_segments_that_do_not_add_up_but_takes_those_that_do() -> None:
    fixed = Shelf(model("fixed", "x", durations=(5.0,), max_duration=None, **BOTH))
    free = Shelf(model("free", "x", **BOTH))

    report = router(fixed, free).report(asked(duration=12), Policy.STRICT)

    assert names(report) == ["free/x"]
    assert "duration" in refused(report, "fixed/x")


def test_a_storyboard_is_chained_with_its_words() -> None:
    shots = (Shot(prompt="dawn", duration=3), Shot(prompt="noon", duration=12))

    plan = choose_plan(router(Shelf(model("wan", "x", **BOTH))).report(VideoRequest(shots=shots)))

    assert [segment.request.prompt for segment in plan.segments] == ["dawn", "noon", "noon"]
    assert all(segment.request.shots == () for segment in plan.segments)
    assert [shot.prompt for shot in plan.request.shots] == ["dawn", "noon"]
    assert [shot.duration for shot in plan.request.shots] == [3.0, 12.0]
    assert plan.request.num_frames == 15 * 24


def test_a_storyboard_prefers_the_backend_that_takes_shots() -> None:
    shots = (Shot(prompt="dawn", duration=3), Shot(prompt="noon", duration=3))
    shelves = Shelf(endless()), Shelf(model("wan", "x", local=True, **BOTH))

    assert names(router(*shelves).report(VideoRequest(shots=shots))) == ["engine/one", "wan/x"]


def test_a_model_that_can_neither_extend_nor_begin_from_an_image_refuses_length() -> None:
    report = router(Shelf(model("mochi", "x"))).report(asked(duration=60))

    assert report.chosen is None
    assert "makes at most 8 s at once and can neither extend a video" in refused(report, "mochi/x")
    with pytest.raises(UnsupportedRequestError, match="no backend can serve this request: mochi/x"):
        choose_plan(report)


def test_lengths_that_are_out_of_reach_count_as_one_reason_whatever_limits_them() -> None:
    shelves = [Shelf(model("a", "x")), Shelf(model("b", "x", max_duration=9.0))]
    shelves.append(Shelf(model("c", "x", max_duration=None, max_frames=121)))

    reasons = collect_reasons(router(*shelves).report(asked(duration=60)))

    assert [reason.names for reason in reasons] == [("a/x", "b/x", "c/x")]
    assert "more than they make at once" in reasons[0].error.message


@pytest.mark.parametrize("local", [True, False])
def test_a_model_asked_for_by_name_never_makes_less_than_was_asked(local: bool) -> None:
    shelf = Shelf(model("mochi", "x", local=local), price=1.0)

    with pytest.raises(UnsupportedRequestError, match="at most 8 s at once") as caught:
        router(shelf).plan(asked(duration=60, model="mochi"))

    assert "ask for at most 8 s" in (caught.value.hint or "")


def test_a_model_asked_for_by_name_makes_a_long_video_in_segments_where_it_can() -> None:
    shelf = Shelf(model("wan", "x", **{**BOTH, "max_duration": 15.0}), price=1.0)

    plan = router(shelf).plan(asked(duration=59, model="wan"))

    assert len(plan.segments) == 4
    assert plan.request.num_frames == 59 * 24


@pytest.mark.parametrize(
    ("routing", "reason"),
    [
        (Routing(allow=("other",)), "not in this list"),
        (Routing(avoid=("fal",)), "it is in this list"),
        (Routing(avoid=("fal/x",)), "it is in this list"),
        (Routing(local_only=True), "it is hosted"),
        (Routing(licences=("MIT",)), "its licence is unknown"),
    ],
)
def test_a_preference_refuses_with_its_reason(routing: Routing, reason: str) -> None:
    report = router(Shelf(model("fal", "x")), Shelf(endless("other"))).report(
        asked(routing=routing)
    )

    assert reason in refused(report, "fal/x")
    assert of(report, "fal/x").plan is not None
    with pytest.raises(UnsupportedRequestError, match=reason):
        router(Shelf(model("fal", "x"))).plan(asked(routing=routing, model="fal"))


@pytest.mark.parametrize(
    ("routing", "said"),
    [
        (Routing(avoid=("fall",)), "unknown backend 'fall'; did you mean fal?"),
        (Routing(avoid=("fal/y",)), "fal has no model 'y'"),
        (Routing(allow=("fal", "nope")), "unknown backend 'nope'"),
        (Routing(route="draft"), "unknown backend 'fall'"),
    ],
)
def test_a_slip_in_a_preference_is_refused_before_it_lets_anybody_in(
    routing: Routing, said: str
) -> None:
    rules = RoutingRules(routes={"draft": Route(deny=("fall",))})

    with pytest.raises(InvalidRequestError) as caught:
        router(Shelf(model("fal", "x")), rules=rules).report(asked(routing=routing))

    assert said in f"{caught.value.message}; {caught.value.hint}"


def test_a_backend_that_is_broken_or_has_no_model_can_be_denied() -> None:
    broken = {"torn": UnsupportedRequestError("torn needs torch")}
    request = asked(routing=Routing(avoid=("torn", "torn/x", "empty")))

    report = router(Shelf(model("fal", "x")), Empty(), broken=broken).report(request)

    assert names(report) == ["fal/x"]


def test_a_budget_refuses_what_costs_more_and_what_nobody_knows() -> None:
    shelves = Shelf(model("dear", "x"), price=2.0), Shelf(model("silent", "x"))
    cheap = Shelf(model("cheap", "x"), price=0.5)

    report = router(*shelves, cheap).report(asked(budget=Budget(max_cost_usd=1)))

    assert names(report) == ["cheap/x"]
    assert "would cost 2.00 USD; the budget is 1.00 USD" in refused(report, "dear/x")
    assert "silent/x has an unknown price" in refused(report, "silent/x")


@pytest.mark.parametrize(("price", "budget"), [(2.0, 1.5), (None, 1.5), (0.5, 0)])
def test_a_budget_refuses_a_model_asked_for_by_name(price: float | None, budget: float) -> None:
    request = asked(model="fal", budget=Budget(max_cost_usd=budget))

    with pytest.raises(BudgetExceededError, match=f"the budget is {format_usd(budget)} USD"):
        router(Shelf(model("fal", "x"), price=price)).plan(request)


@pytest.mark.parametrize(("price", "budget"), [(3 * 0.1, 0.3), (0, 0)])
def test_a_budget_of_exactly_the_price_pays_for_it(price: float, budget: float) -> None:
    request = asked(model="fal", budget=Budget(max_cost_usd=budget))

    assert router(Shelf(model("fal", "x"), price=price)).plan(request).estimate.cost_usd == budget


def test_a_budget_counts_all_segments() -> None:
    shelf = Shelf(model("wan", "x", **BOTH), price=0.5)

    report = router(shelf).report(asked(duration=20, budget=Budget(max_cost_usd=1)))

    assert "would cost 1.50 USD" in refused(report, "wan/x")
    with pytest.raises(BudgetExceededError):
        choose_plan(report)


def test_what_lacks_a_key_is_shown_with_its_price_and_never_chosen() -> None:
    keyless = Shelf(model("fal", "x", missing="a key: set FAL_KEY"), price=0.5)

    report = router(keyless).report(FOX)

    assert refused(report, "fal/x") == "fal/x needs a key: set FAL_KEY"
    assert of(report, "fal/x").estimate.cost_usd == 0.5


def test_a_closed_vocabulary_is_never_chosen_for_other_words() -> None:
    shelf = Shelf(endless(closed_vocabulary=("a", "red", "circle"), local=True), price=0.0)
    far = Shelf(model("fal", "x"), price=1.0)

    report = router(shelf, far).report(FOX, allow_unknown_words=True)

    assert names(report) == ["fal/x"]
    assert "not in its vocabulary" in refused(report, "engine/one")


def test_a_closed_vocabulary_asked_for_by_name_may_continue() -> None:
    shelf = Shelf(endless(closed_vocabulary=("a", "red")))
    named = FOX.model_copy(update={"model": "engine/one"})

    with pytest.raises(UnsupportedRequestError, match="prompt words"):
        router(shelf).plan(named)
    assert router(shelf).plan(named, allow_unknown_words=True).warnings


def test_what_is_no_model_is_chosen_only_by_name() -> None:
    shelf = Shelf(endless("sandbox"), price=0.0)
    facts = {"sandbox/one": ModelFacts(status="test")}
    by_name = asked(routing=Routing(allow=("sandbox",)))

    assert "used only when named" in refused(router(shelf, facts=facts).report(FOX), "sandbox/one")
    assert names(router(shelf, facts=facts).report(by_name)) == ["sandbox/one"]
    assert router(shelf, facts=facts).plan(asked(model="sandbox")).model == "one"


def test_a_retired_model_says_that_it_is_gone() -> None:
    report = router(
        Shelf(model("sora", "x")), facts={"sora/*": ModelFacts(status="retired")}
    ).report(FOX)

    assert refused(report, "sora/x") == "sora/x has been retired"
    assert of(report, "sora/x").refusals[0].code == "model_retired"


def test_a_broken_backend_is_shown_and_harms_nobody() -> None:
    broken = {"torn": UnsupportedRequestError("torn needs torch")}

    report = router(Shelf(model("fal", "x")), broken=broken).report(FOX)

    assert names(report) == ["fal/x"]
    assert refused(report, "torn/-") == "torn needs torch"


def test_a_route_says_what_the_request_does_not() -> None:
    rules = RoutingRules(routes={"draft": Route(allow=("cheap",), max_cost_usd=1.0)})
    shelves = Shelf(model("cheap", "x"), price=0.1), Shelf(model("dear", "x"), price=0.05)
    request = asked(routing=Routing(route="draft", prefer=RoutingPreference.CHEAPEST))

    report = router(*shelves, rules=rules).report(request)

    assert names(report) == ["cheap/x"]
    assert report.prefer is RoutingPreference.CHEAPEST


def test_the_smallest_of_all_budgets_holds() -> None:
    rules = RoutingRules(routes={"final": Route(max_cost_usd=5.0)}, max_cost_usd=2.0)
    request = asked(routing=Routing(route="final"), budget=Budget(max_cost_usd=3))

    assert rules.resolve_route(request).max_cost_usd == 2.0


def test_an_unknown_route_names_the_nearest() -> None:
    rules = RoutingRules(routes={"draft": Route()})

    with pytest.raises(InvalidRequestError, match="unknown route 'draf'") as caught:
        router(Shelf(model("fal", "x")), rules=rules).report(asked(routing=Routing(route="draf")))

    assert "did you mean draft" in str(caught.value.hint)


def test_a_route_to_one_model_considers_only_that() -> None:
    rules = RoutingRules(routes={"long": Route(model="engine/one")})
    shelves = Shelf(endless()), Shelf(model("fal", "x"))

    report = router(*shelves, rules=rules).report(asked(routing=Routing(route="long")))

    assert [each.name for each in report.candidates] == ["engine/one"]


def test_endless_goes_to_what_is_endless_and_else_needs_a_budget() -> None:
    paid = Shelf(model("wan", "x", **BOTH), price=0.5)

    report = router(Shelf(endless()), paid).report(asked(endless=True))

    assert names(report) == ["engine/one"]
    assert "endless video of segments at 0.50 USD each" in refused(report, "wan/x")


def test_an_endless_chain_ends_where_the_budget_does() -> None:
    shelf = Shelf(model("wan", "x", **BOTH), price=0.5)

    plan = choose_plan(router(shelf).report(asked(endless=True, budget=Budget(max_cost_usd=2.2))))

    assert len(plan.segments) == 4
    assert plan.estimate.cost_usd == pytest.approx(2.0)
    assert plan.request.endless
    assert "ends after 4 segments" in plan.warnings[-1]


@pytest.mark.parametrize("length", [{"endless": True}, {"duration": 8 * 5000}])
def test_a_plan_of_thousands_of_equal_segments_stays_small(length: dict[str, object]) -> None:
    shelf = Shelf(model("wan", "x", **BOTH), price=0.01)

    plan = choose_plan(router(shelf).report(asked(**length, budget=Budget(max_cost_usd=60))))

    assert plan.submissions > 5000
    assert plan.seams == plan.submissions - 1
    assert len(plan.segments) < 5
    assert len(plan.model_dump_json()) < 20_000
    assert plan.estimate.cost_usd == pytest.approx(plan.submissions * 0.01)


def test_an_endless_chain_that_costs_nothing_repeats_until_told_to_finish() -> None:
    plan = choose_plan(
        router(Shelf(model("here", "x", **BOTH), price=0.0)).report(asked(endless=True))
    )

    assert plan.repeats
    assert len(plan.segments) == 2


def test_an_image_at_the_end_cannot_be_chained() -> None:
    both = {**BOTH, "input_roles": ("first_frame", "last_frame"), "modes": tuple(VideoMode)}
    last = MediaInput(role=InputRole.LAST_FRAME, url="https://images.test/end.png")

    report = router(Shelf(model("wan", "x", **both))).report(asked(duration=30, inputs=(last,)))

    assert "not possible in segments" in refused(report, "wan/x")


def test_a_first_image_goes_to_the_first_segment_alone() -> None:
    first = MediaInput(role=InputRole.FIRST_FRAME, url="https://images.test/start.png")

    plan = choose_plan(
        router(Shelf(model("wan", "x", **BOTH))).report(asked(duration=15, inputs=(first,)))
    )

    assert [segment.request.inputs for segment in plan.segments] == [(first,), ()]


def test_a_model_outside_the_list_can_be_allowed_by_its_full_name() -> None:
    shelf = Shelf(model("fal", "x"), model("fal", "brand-new"))
    shelf.models["x"] = shelf.models["x"].model_copy(update={"models": ("x",)})

    report = router(shelf).report(asked(routing=Routing(allow=("fal/brand-new",))))

    assert names(report) == ["fal/brand-new"]


def test_sizes_and_rates_of_many_kinds_meet_in_one_report() -> None:
    wide = SizeRange(minimum=Size(width=256, height=256), maximum=Size(width=1024, height=1024))
    free = model(
        "free", "x", fps_values=(), fps_range=FpsRange(minimum=8, maximum=30), size_range=wide
    )

    report = router(Shelf(free)).report(asked(fps=60, size=Size(width=1920, height=1080)))

    fields = {each.field for each in choose_plan(report).adjustments}
    assert {"fps", "size", "model"} <= fields


def test_all_candidates_of_a_plan_share_one_seed_which_is_drawn_once() -> None:
    drawn: list[int] = []

    def draw_seed() -> int:
        drawn.append(len(drawn) + 1)
        return drawn[-1]

    shelves: dict[str, VideoBackend] = {
        name: Shelf(model(name, "one")) for name in ("first", "second")
    }

    plan = Router(shelves, Catalogue({}), draw_seed=draw_seed).plan(asked())

    assert drawn == [1]
    assert plan.request.seed == 1


@pytest.mark.parametrize("fps", [4.0, 14.0, 30.0])
def test_a_model_limited_in_frames_makes_segments_of_as_many_at_any_rate(fps: float) -> None:
    frames = {"min_frames": 2, "max_frames": 25, "max_duration": None, "default_duration": 25 / 7}
    rates = {"fps_values": (), "fps_range": FpsRange(minimum=1, maximum=30), "default_fps": 7.0}
    shelf = Shelf(model("svd", "x", **{**BOTH, **frames, **rates}))

    chained = router(shelf).plan(asked(duration=20, fps=fps, model="svd/x"))
    single = router(shelf).plan(asked(num_frames=25, fps=fps, model="svd/x"))

    made = [each.request.num_frames or 0 for each in chained.segments for _ in range(each.count)]
    assert max(made) <= 25
    assert sum(made) - (len(made) - 1) >= 20 * fps
    assert (single.method, single.request.num_frames) == (Method.SINGLE, 25)
    said = next(each.reason for each in chained.adjustments if each.field == "segments")
    assert said == f"svd/x makes at most 25 frames ({25 / fps:.4g} s) at once"


def test_a_backend_may_refuse_to_estimate_what_is_not_negotiated_yet() -> None:
    class Exact(Shelf):
        def estimate(self, request: VideoRequest) -> Estimate:
            if request.fps != 24:
                raise InvalidRequestError("it makes 24 frames per second")
            return super().estimate(request)

    shelves = [Exact(model(f"near{number}", "x"), price=float(number)) for number in range(12)]

    report = router(*shelves).report(asked(duration=5, fps=30), best=2)

    assert report.chosen is not None
    assert report.chosen.plan is not None
    assert report.chosen.plan.request.fps == 24
    assert not any(each.refusals for each in report.candidates)
