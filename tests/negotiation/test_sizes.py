"""A size that a model does not make keeps its shape first, and then its area as far as it can."""

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as some

from media_agent.negotiation.draft import Shape
from media_agent.negotiation.negotiate import negotiate
from media_agent.negotiation.sizes import find_nearest_size
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.facts import SizeRange
from media_agent_schemas.media import ResolutionTier, Size
from media_agent_schemas.plan import Plan, Policy
from media_agent_schemas.request import VideoRequest

WAN = ("1280x720", "720x1280", "720x720", "960x720", "720x960", "1920x1080", "1080x1920")
SEEDANCE = ("854x480", "480x854", "480x480", "640x480", "1120x480", "1280x720", "720x720")
SIDES = some.integers(8, 4096).map(lambda half: 2 * half)
SIZES = some.builds(lambda width, height: Size(width=width, height=height), SIDES, SIDES)


def capabilities(*sizes: str, span: SizeRange | None = None) -> Capabilities:
    made = tuple(Size.parse(size) for size in sizes)
    return Capabilities(backend="acme", model="one", sizes=made, size_range=span)


def between(smallest: str, largest: str, multiple: int) -> Capabilities:
    low, high = Size.parse(smallest), Size.parse(largest)
    return capabilities(span=SizeRange(minimum=low, maximum=high, multiple=multiple))


def shape_error(size: Size, wanted: Size) -> float:
    return abs(math.log(size.width / size.height) - math.log(wanted.width / wanted.height))


@pytest.mark.parametrize(
    ("asked", "model", "used"),
    [
        ("640x360", capabilities(*WAN), "1280x720"),
        ("360x640", capabilities(*WAN), "720x1280"),
        ("1024x576", capabilities(*WAN), "1280x720"),
        ("2560x1440", capabilities(*WAN), "1920x1080"),
        ("512x512", capabilities(*WAN), "720x720"),
        ("640x360", capabilities(*SEEDANCE), "854x480"),
        ("1024x576", capabilities(*SEEDANCE), "854x480"),
        ("2560x1080", capabilities(*SEEDANCE), "1120x480"),
    ],
)
def test_of_a_list_the_nearest_shape_wins_and_then_the_area(
    asked: str, model: Capabilities, used: str
) -> None:
    assert str(find_nearest_size(Size.parse(asked), model)) == used


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ("3840x2160", "2048x1152"),
        ("2160x3840", "1152x2048"),
        ("2560x1440", "2048x1152"),
        ("5040x2160", "2048x880"),
        ("64x36", "448x256"),
        ("36x64", "256x448"),
        ("4096x4096", "2048x2048"),
        ("8192x128", "2048x256"),
        ("1280x720", "1280x720"),
    ],
)
def test_beyond_a_range_a_size_is_scaled_with_its_shape_and_then_rounded(
    asked: str, used: str
) -> None:
    made = find_nearest_size(Size.parse(asked), between("256x256", "2048x2048", 16))

    assert str(made) == used


@given(wanted=SIZES, sizes=some.lists(SIZES, min_size=1, max_size=6))
def test_of_any_list_no_other_size_has_a_nearer_shape_that_one_would_see(
    wanted: Size, sizes: list[Size]
) -> None:
    used = find_nearest_size(wanted, capabilities(*map(str, sizes)))

    assert used in sizes
    best = min(shape_error(size, wanted) for size in sizes)
    assert shape_error(used, wanted) <= best + 0.031


@given(
    wanted=SIZES,
    low=some.tuples(SIDES, SIDES),
    high=some.tuples(SIDES, SIDES),
    multiple=some.sampled_from([2, 8, 16, 32, 64, 3]),
    scale=some.tuples(some.integers(1, 40), some.integers(1, 40)),
)
def test_in_any_range_the_shape_is_kept_where_some_size_of_it_is_made(
    wanted: Size,
    low: tuple[int, int],
    high: tuple[int, int],
    multiple: int,
    scale: tuple[int, int],
) -> None:
    step = math.lcm(multiple, 2)
    made = Size(width=max(16, scale[0] * step), height=max(16, scale[1] * step))
    assume(made.width % step == made.height % step == 0)
    smallest = Size(width=min(low[0], made.width), height=min(low[1], made.height))
    largest = Size(width=max(high[0], made.width), height=max(high[1], made.height))
    span = SizeRange(minimum=smallest, maximum=largest, multiple=multiple)

    used = find_nearest_size(wanted, capabilities(span=span))

    assert smallest.width <= used.width <= largest.width
    assert smallest.height <= used.height <= largest.height
    assert used.width % step == used.height % step == 0
    assert shape_error(used, wanted) <= shape_error(made, wanted) + 0.031


def planned(made_by: Capabilities, **fields: object) -> Plan:
    request = VideoRequest.model_validate({"prompt": "a fox", **fields})
    return negotiate(request, made_by, draw_seed=lambda: 0)


@pytest.mark.parametrize(
    ("tier", "ratio", "used"),
    [
        ("4k", "21:9", "2048x880"),
        ("4k", "9:16", "1152x2048"),
        ("360p", "4:3", "480x360"),
        ("4k", "100:1", "2048x256"),
    ],
)
def test_a_tier_and_a_ratio_keep_the_ratio(tier: str, ratio: str, used: str) -> None:
    model = between("256x256", "2048x2048", 8)

    plan = planned(model, resolution=ResolutionTier(tier), aspect_ratio=ratio)

    assert plan.request.size is not None
    assert shape_error(plan.request.size, Size.parse(used)) < 0.03
    assert [change.field for change in plan.adjustments if change.asked == f"{tier} {ratio}"]


def shaped(shape: Fraction, made_by: Capabilities, **fields: object) -> Plan:
    request = VideoRequest.model_validate({"prompt": "a fox", **fields})
    return negotiate(request, made_by, Policy.STRICT, draw_seed=lambda: 0, shape=Shape(shape))


def with_default(made_by: Capabilities, size: str, **changes: object) -> Capabilities:
    return made_by.model_copy(update={"default_size": Size.parse(size), **changes})


@pytest.mark.parametrize(
    ("shape", "made_by", "used"),
    [
        (Fraction(9, 16), between("16x16", "4096x4096", 16), "480x848"),
        (Fraction(1), between("16x16", "4096x4096", 16), "624x624"),
        (Fraction(16, 9), between("16x16", "4096x4096", 2), "842x474"),
        (Fraction(1, 500), between("16x16", "4096x4096", 16), "16x4096"),
        (Fraction(9, 16), capabilities("832x480", "480x832", "624x624"), "480x832"),
        (Fraction(5, 6), capabilities("832x480", "480x832", "624x624"), "624x624"),
        (Fraction(4, 5), capabilities("832x480"), "832x480"),
        (Fraction(9, 16), capabilities(), "474x842"),
    ],
)
def test_a_video_of_an_image_has_its_shape_and_the_area_of_the_model(
    shape: Fraction, made_by: Capabilities, used: str
) -> None:
    plan = shaped(shape, with_default(made_by, "832x480"))

    assert str(plan.request.size) == used
    [said] = [change for change in plan.adjustments if change.field == "size"]
    assert (said.asked, said.used) == (None, used)
    assert said.reason.startswith("not given; the model's default")
    assert ("in the shape given" in said.reason) == (used != "832x480")


def test_a_model_that_knows_shapes_by_name_gets_the_nearest() -> None:
    made_by = capabilities().model_copy(update={"aspect_ratios": ("16:9", "9:16", "1:1")})

    plan = shaped(Fraction(3, 5), made_by)

    assert plan.request.aspect_ratio == "9:16"
    assert [change.used for change in plan.adjustments if change.field == "aspect_ratio"] == [
        "9:16"
    ]


def test_a_model_of_which_no_size_is_known_is_told_none() -> None:
    plan = shaped(Fraction(3, 5), capabilities())

    assert plan.request.size is plan.request.aspect_ratio is None


@pytest.mark.parametrize("asked", [{"size": {"width": 640, "height": 360}}, {"resolution": "480p"}])
def test_a_size_that_was_asked_outweighs_the_shape(asked: dict[str, object]) -> None:
    plan = shaped(
        Fraction(9, 16), with_default(between("16x16", "4096x4096", 2), "832x480"), **asked
    )

    assert plan.request.size is not None
    assert plan.request.size.width > plan.request.size.height


@pytest.mark.parametrize(
    ("local", "source", "used", "said"),
    [
        (True, "64x64", "64x64", "not given; the size of the source"),
        (True, "70x66", "64x64", "not given; the nearest to the size of the source, 70x66"),
        (False, "64x64", "720x720", "not given; the model's default"),
    ],
)
def test_a_continued_video_keeps_its_size_where_the_model_is_local(
    local: bool, source: str, used: str, said: str
) -> None:
    made_by = between("32x32", "1024x1024", 16)
    model = with_default(made_by, "720x720", local=local)

    plan = negotiate(
        VideoRequest(prompt="a fox"),
        model,
        Policy.STRICT,
        draw_seed=lambda: 0,
        shape=Shape(Fraction(1), Size.parse(source)),
    )

    assert str(plan.request.size) == used
    assert said in [each.reason for each in plan.adjustments if each.field == "size"]
