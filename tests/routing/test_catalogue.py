"""Facts about models as data: what they say, and what happens when a file is wrong."""

import datetime
import math
from pathlib import Path

import pytest

from media_agent.backend.gpu_hours import by_the_hour
from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend
from media_agent.errors import PluginError
from media_agent.registry.registry import Registry
from media_agent.routing.catalogue import Catalogue, read_catalogue
from media_agent.routing.facts import ModelFacts, Price
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.facts import Verification, VerificationLevel
from media_agent_schemas.media import InputRole, MediaInput, ResolutionTier, Size
from media_agent_schemas.request import VideoMode, VideoRequest

TODAY = datetime.date(2026, 11, 20)
VIDEO = VideoRequest(
    prompt="a fox", num_frames=120, fps=24, size=Size(width=1280, height=720), seed=0
)
GOOD = """
backend: acme
models:
  one:
    licence: MIT
    quality: {tier: 3, opinion_of: a critic, date: 2026-11-20}
    prices:
      - {usd: 0.1, per: second, source: a page, date: 2026-11-20}
  "many/*":
    status: retired
"""


def price(**fields: object) -> Price:
    said = {"usd": 0.1, "per": "second", "source": "a page", "date": TODAY, **fields}
    return Price.model_validate(said)


def spec(path: Path | None) -> BackendSpec:
    def factory(settings: BackendSettings) -> VideoBackend:
        raise AssertionError("a catalogue starts no backend")

    return BackendSpec(name="acme", factory=factory, catalogue=path)


def written(folder: Path, text: str) -> Path:
    path = folder / "acme.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({}, 0.5),
        ({"per": "video"}, 0.1),
        ({"minimum_seconds": 8.0}, 0.8),
        ({"at_fps": 16.0}, 0.75),
    ],
)
def test_a_price_is_counted_as_it_says(fields: dict[str, object], cost: float) -> None:
    assert price(**fields).cost(VIDEO) == pytest.approx(cost)


def test_every_video_of_a_request_is_paid_for() -> None:
    assert price().cost(VIDEO.model_copy(update={"n": 3})) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("roles", "usd"),
    [
        ((InputRole.FIRST_FRAME, InputRole.LAST_FRAME), 0.5),
        ((InputRole.SUBJECT,) * 4, 0.5 + 2 * 0.04),
        ((InputRole.SUBJECT, InputRole.MOTION), 0.5 + 1.5),
        ((InputRole.SUBJECT, *(InputRole.MOTION,) * 3, *(InputRole.STYLE,) * 2), 2.0 + 0.04),
        ((InputRole.SOURCE_VIDEO,), 2.0),
    ],
)
def test_inputs_that_cost_extra_are_counted(roles: tuple[InputRole, ...], usd: float) -> None:
    inputs = tuple(MediaInput(role=role, url="https://a.example/1") for role in roles)
    request = VIDEO.model_copy(update={"inputs": inputs})
    extra = {
        "images_included": 2,
        "usd_per_image": 0.04,
        "input_videos": "charged",
        "most_video_seconds": 15,
    }

    assert price(**extra).cost(request) == pytest.approx(usd)
    assert price(**{**extra, "per": "video"}).cost(VIDEO) == pytest.approx(0.1)


def test_an_option_of_unknown_charge_leaves_no_price() -> None:
    facts = ModelFacts(prices=(price(without_options=("hdr",)),))
    with_hdr = VIDEO.model_copy(update={"options": {"acme": {"hdr": True}}})

    assert facts.estimate(VIDEO).cost_usd == pytest.approx(0.5)
    assert facts.estimate(with_hdr).cost_usd is None


def test_more_steps_than_included_cost_in_proportion() -> None:
    steps = VIDEO.model_copy(update={"options": {"acme": {"num_inference_steps": "32"}}})
    fewer = VIDEO.model_copy(update={"options": {"acme": {"num_inference_steps": 4}}})

    assert price(steps_included=16).cost(steps) == pytest.approx(1.0)
    assert price(steps_included=16).cost(fewer) == pytest.approx(0.5)


def test_a_price_of_one_region_counts_there_only() -> None:
    facts = ModelFacts(prices=(price(region="north"), price(usd=0.2, region="south")))
    catalogue = Catalogue({"acme": {"one": facts}})

    costs = [
        catalogue.estimate(
            Capabilities(backend="acme", model="one", region=region), Estimate(), VIDEO
        ).cost_usd
        for region in ("north", "south", None)
    ]

    assert costs == [pytest.approx(0.5), pytest.approx(1.0), None]


@pytest.mark.parametrize(
    ("adds", "cost", "rate"), [("free", 0.5, 0.1), ("charged", None, 0.1), ("unknown", None, None)]
)
@pytest.mark.parametrize(
    "brings",
    [
        {"inputs": (MediaInput(role=InputRole.SOURCE_VIDEO, url="https://example.com/a.mp4"),)},
        {"inputs": (MediaInput(role=InputRole.MOTION, url="https://example.com/a.mp4"),)},
        {"mode": VideoMode.VIDEO_EXTEND},  # a segment to come
    ],
)
def test_a_video_that_goes_in_may_be_charged_too(
    brings: dict[str, object], adds: str, cost: float | None, rate: float | None
) -> None:
    facts = ModelFacts(prices=(price(input_videos=adds),))

    with_video = facts.estimate(VIDEO.model_copy(update=brings))
    without = facts.estimate(VIDEO)

    assert (with_video.cost_usd, with_video.usd_per_second) == (cost, rate)
    assert (without.cost_usd, without.usd_per_second) == (pytest.approx(0.5), 0.1)


def test_each_image_beyond_those_included_is_paid_for() -> None:
    roles = ("first_frame", "subject", "subject", "source_video", "motion")
    inputs = tuple(MediaInput(role=InputRole(role), url="https://a.example/b") for role in roles)
    request = VIDEO.model_copy(update={"inputs": inputs, "n": 2})

    assert price(usd_per_image=0.01).cost(VIDEO) == pytest.approx(0.5)
    assert price(usd_per_image=0.01).cost(request) == pytest.approx(2 * (0.5 + 0.03))
    assert price(usd_per_image=0.01, images_included=2).cost(request) == pytest.approx(2 * 0.51)
    assert price(usd_per_image=0.01, per="video", images_included=9).cost(request) == 0.2


def test_a_price_may_be_for_some_kinds_of_work_only() -> None:
    facts = ModelFacts(prices=(price(modes=["text_to_video", "image_to_video"]),))
    edit = VIDEO.model_copy(update={"mode": VideoMode.VIDEO_EDIT})

    assert facts.estimate(VIDEO).cost_usd == pytest.approx(0.5)
    assert facts.estimate(edit).cost_usd is None


def test_an_endless_video_has_no_price_per_second() -> None:
    assert price().cost(VideoRequest(prompt="a fox", endless=True)) is None


def test_the_first_price_that_fits_counts() -> None:
    prices = price(up_to="480p"), price(usd=0.2, up_to="720p"), price(usd=0.9)
    facts = ModelFacts(prices=prices)

    def cost(side: int) -> float | None:
        size = Size(width=2 * side, height=side)
        return facts.estimate(VIDEO.model_copy(update={"size": size})).cost_usd

    assert [cost(side) for side in (480, 720, 1080)] == pytest.approx([0.5, 1.0, 4.5])


def test_a_price_for_a_resolution_says_nothing_of_an_open_one() -> None:
    facts = ModelFacts(prices=(price(up_to=ResolutionTier.P720),))
    unsized = VIDEO.model_copy(update={"size": None})

    assert facts.estimate(unsized) == Estimate()
    tier = unsized.model_copy(update={"resolution": ResolutionTier.P480})
    assert facts.estimate(tier).cost_usd == pytest.approx(0.5)


def test_sound_that_nobody_spoke_of_is_priced_as_on() -> None:
    facts = ModelFacts(prices=(price(audio=False), price(usd=0.2, audio=True)))

    assert facts.estimate(VIDEO).cost_usd == pytest.approx(1.0)
    silent = VIDEO.model_copy(update={"audio": False})
    assert facts.estimate(silent).cost_usd == pytest.approx(0.5)


def test_a_fact_says_its_source_and_date() -> None:
    speed = {"seconds_per_second": 4, "start_seconds": 5, "source": "a clock", "date": TODAY}
    facts = ModelFacts.model_validate({"prices": [dict(price())], "speed": speed})

    estimate = facts.estimate(VIDEO)

    assert estimate.seconds == pytest.approx(25)
    assert estimate.source == "price: a page, 2026-11-20; time: a clock, 2026-11-20"


def test_what_a_backend_knows_itself_goes_before_the_catalogue() -> None:
    capabilities = Capabilities(backend="acme", model="one")
    catalogue = Catalogue({"acme": {"one": ModelFacts(prices=(price(),))}})

    own = catalogue.estimate(capabilities, Estimate(cost_usd=0.0, source="own"), VIDEO)
    silent = catalogue.estimate(capabilities, Estimate(), VIDEO)

    assert own.cost_usd == 0.0
    assert silent.cost_usd == pytest.approx(0.5)


@pytest.mark.parametrize(("deadline", "usd"), [(None, None), (36.0, 0.025)])
def test_hours_of_unknown_number_are_not_free(deadline: float | None, usd: float | None) -> None:
    local = Capabilities(backend="acme", model="one", local=True)
    own = by_the_hour(Estimate(cost_usd=0.0), 2.5, deadline)

    assert Catalogue({}).estimate(local, own, VIDEO).cost_usd == usd
    assert Catalogue({}).estimate(local, Estimate(), VIDEO).cost_usd == 0.0


def test_a_file_is_found_by_name_then_by_pattern(tmp_path: Path) -> None:
    catalogue = Catalogue.load({"acme": spec(written(tmp_path, GOOD))})

    assert catalogue.facts("acme", "one").licence == "MIT"
    assert catalogue.facts("acme", "many/two").status == "retired"
    assert catalogue.facts("acme", "unheard") == ModelFacts()
    assert catalogue.facts("other", "one") == ModelFacts()


def test_a_section_of_the_settings_has_the_facts_of_its_kind(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)

    catalogue = Catalogue.load({"acme": spec(path), "mine": spec(path)})

    assert catalogue.facts("mine", "one").licence == "MIT"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("backend: [", "cannot be read"),
        ("backend: acme\nmodels: {one: {prise: 3}}", "models.one.prise"),
        ("backend: acme\nmodels: {one: {quality: {tier: 9}}}", "models.one.quality.tier"),
        ("just words", "valid dictionary"),
    ],
)
def test_a_faulty_file_is_named_with_its_fault(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)

    with pytest.raises(PluginError, match=r"acme\.yaml") as caught:
        read_catalogue(path)

    assert said in str(caught.value)


def test_a_faulty_file_is_logged_and_harms_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = written(tmp_path, GOOD), tmp_path / "missing.yaml"

    catalogue = Catalogue.load({"acme": spec(good), "torn": spec(bad)})

    assert catalogue.facts("acme", "one").licence == "MIT"
    assert "missing.yaml" in caplog.text


def test_corrections_hold_and_silence_is_filled() -> None:
    checked = Verification(level=VerificationLevel.LIVE, date=TODAY)
    facts = ModelFacts(licence="MIT", verification=checked, overrides={"max_duration": 4.0})
    catalogue = Catalogue({"acme": {"one": facts}})

    better = catalogue.correct(Capabilities(backend="acme", model="one", max_duration=10.0))
    said = catalogue.correct(
        Capabilities(
            backend="acme",
            model="one",
            licence="GPL-3.0",
            verification=Verification(level=VerificationLevel.SIMULATOR),
        )
    )

    assert (better.max_duration, better.licence, better.verification) == (4.0, "MIT", checked)
    assert said.licence == "GPL-3.0"
    assert said.verification.level is VerificationLevel.SIMULATOR


def test_every_catalogue_that_we_ship_can_be_read_and_dates_its_facts() -> None:
    specs = Registry.discover().specs
    files = {name: spec.catalogue for name, spec in specs.items() if spec.catalogue}

    known = {name: read_catalogue(path) for name, path in files.items()}

    assert {"fal", "magi", "sandbox"} <= known.keys()
    for models in known.values():
        for facts in models.values():
            assert facts.quality is None or facts.quality.opinion_of
            assert all(math.isfinite(price.usd) for price in facts.prices)
