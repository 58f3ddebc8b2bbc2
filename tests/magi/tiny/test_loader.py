import json
import shutil
from pathlib import Path

import pytest

from media_agent_magi.generating.family import WeightsError
from media_agent_magi.tiny.description import Guidance, TinyDescription
from media_agent_magi.tiny.loader import load_tiny


def test_guidance_is_strongest_where_the_prompt_is_new() -> None:
    guidance = Guidance(first=4.0, switch=3.0, steady=2.0)

    tables = [
        guidance.table(is_first=first, is_new=new)
        for first, new in [(True, True), (False, False), (False, True)]
    ]

    assert [table.at(0.5) for table in tables] == [(1.0, 4.0), (1.0, 2.0), (1.0, 3.0)]


def copy_weights(raw_weights: Path, folder: Path) -> Path:
    copy = folder / "weights"
    shutil.copytree(raw_weights, copy)
    return copy


def test_flipped_bytes_in_the_weights_are_noticed(raw_weights: Path, tmp_path: Path) -> None:
    copy = copy_weights(raw_weights, tmp_path)
    data = bytearray((copy / "tiny.safetensors").read_bytes())
    data[-5] ^= 1
    (copy / "tiny.safetensors").write_bytes(data)

    with pytest.raises(WeightsError, match="are damaged: SHA-256"):
        load_tiny(copy)


def test_missing_weights_are_named(raw_weights: Path, tmp_path: Path) -> None:
    copy = copy_weights(raw_weights, tmp_path)
    (copy / "tiny.safetensors").unlink()

    with pytest.raises(WeightsError, match=r"cannot read the weights .*tiny\.safetensors"):
        load_tiny(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": None}, "TypeError"),
        ({"guidance": {"strong": 1}}, "strong"),
        ({"sampler": {"num_stepz": 4}}, "unknown keys: num_stepz"),
    ],
)
def test_a_description_that_says_something_unknown_is_refused(
    raw_weights: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    copy = copy_weights(raw_weights, tmp_path)
    facts = json.loads((copy / "tiny.json").read_text())
    (copy / "tiny.json").write_text(json.dumps(facts | change))

    with pytest.raises(WeightsError, match=message):
        TinyDescription.read(copy)


def test_weights_of_another_model_are_refused(raw_weights: Path, tmp_path: Path) -> None:
    copy = copy_weights(raw_weights, tmp_path)
    facts = json.loads((copy / "tiny.json").read_text())
    facts["model"]["num_layers"] = 5
    (copy / "tiny.json").write_text(json.dumps(facts))

    with pytest.raises(WeightsError, match="do not fit their description"):
        load_tiny(copy)
