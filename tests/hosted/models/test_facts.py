"""What a models.yaml may say, and which ids are taken."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from media_agent.errors import InvalidRequestError
from media_agent_hosted.models.describe import describe
from media_agent_hosted.models.facts import Models, Seconds
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

TEXT = """
models:
  - &first
    id: acme/clips
    description: Clips
    source: made up
    length: {seconds: 2-4, default: 2}
    rates: {values: [24], default: 24}
    tiers: [{short_side: 720}]
  - <<: *first
    id: acme/longer
    inputs: {source_video: video_url}
"""


def models(folder: Path, text: str = TEXT, **parts: int) -> Models:
    path = folder / "models.yaml"
    path.write_text(text, "utf-8")
    return Models(path, provider="acme", **parts)


def test_a_span_is_every_number_in_it_and_the_first_model_is_the_default(tmp_path: Path) -> None:
    found = models(tmp_path)

    length = found.by_id["acme/clips"].length
    assert isinstance(length, Seconds)
    assert length.seconds == (2, 3, 4)
    assert found.check_id(None) == "acme/clips"


def test_a_model_that_needs_a_video_continues_it_and_nothing_else(tmp_path: Path) -> None:
    model = models(tmp_path).by_id["acme/longer"]

    assert (model.needs, model.modes) == (InputRole.SOURCE_VIDEO, (VideoMode.VIDEO_EXTEND,))


def test_what_a_provider_does_not_say_is_neither_yes_nor_no(tmp_path: Path) -> None:
    unsaid = "    seed: unknown\n    audio_field: sound\n    may_lack_audio: true\n"
    text = TEXT.replace("  - <<: *first\n", unsaid + "  - <<: *first\n")

    facts = describe(models(tmp_path, text).by_id["acme/clips"], "acme/clips", 5.0)

    assert (facts["seed"], facts["audio"]) == ("unknown", "unknown")


@pytest.mark.parametrize(
    ("model", "least", "most", "is_taken"),
    [
        ("new", 1, 1, True),
        ("new/model", 1, 1, False),
        ("new/model", 2, 2, True),
        ("new", 2, 2, False),
        ("a/b/c/d", 2, None, True),
        ("a//b", 2, None, False),
        ("a/..", 2, None, False),
        ("a/b?c=1", 2, None, False),
        ("", 1, None, False),
    ],
)
def test_an_id_that_is_not_listed_is_taken_if_it_has_the_form_of_one(
    tmp_path: Path, model: str, least: int, most: int | None, is_taken: bool
) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(TEXT, "utf-8")
    found = Models(path, provider="acme", least_parts=least, most_parts=most)

    if is_taken:
        assert found.check_id(model) == model
        return
    with pytest.raises(InvalidRequestError, match="acme has no model") as caught:
        found.check_id(model)
    assert "ids look like acme/clips" in str(caught.value.hint)


def test_a_part_of_a_listed_id_is_understood(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        models(tmp_path, least_parts=2).check_id("longer")

    assert str(caught.value.hint).startswith("did you mean acme/longer?")


def test_a_fact_that_nobody_knows_is_a_fault_of_the_table(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="colour"):
        assert models(tmp_path, f"{TEXT}    colour: red\n").by_id


def test_a_folder_has_a_file_for_each_family_and_what_they_share(tmp_path: Path) -> None:
    shared = "shared:\n  tiers: &tiers [{short_side: 480}]\n"
    entry = (
        "models:\n  - {id: acme/%s, description: D, source: S, length: {frames: 9}, "
        "rates: {values: [24], default: 24}, tiers: *tiers}\n"
    )
    files = {"shared": shared, "birds": entry % "kite", "cats": entry % "lynx"}
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text, "utf-8")

    listed = Models(tmp_path, provider="acme")
    chosen = Models(tmp_path, provider="acme", default="acme/lynx")

    assert list(listed.by_id) == ["acme/kite", "acme/lynx"]
    assert list(chosen.by_id) == ["acme/lynx", "acme/kite"]
    assert listed.by_id["acme/lynx"].tiers[0].short_side == 480
