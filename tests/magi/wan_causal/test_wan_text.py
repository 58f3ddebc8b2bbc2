"""UMT5 from the file of Wan 2.1: loaded for a moment, mapped, as transformers itself computes."""

from pathlib import Path

import pytest
import torch

from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.cleaning import clean_prompt
from media_agent_magi.loading.text_encoder import Precision, TextEncoder, encode
from media_agent_magi.loading.tokenizer import tokenize
from media_agent_magi.wan_causal.folder import WanCausalFolder
from media_agent_magi.wan_causal.table import UMT5_XXL, Umt5Sizes, count_numbers
from tests.magi.released_wan import CAPTIONS, LENGTH, TEXT, WIDTH

FOX = CAPTIONS[0]


@pytest.fixture(scope="module")
def folder(releases: Path) -> WanCausalFolder:
    return WanCausalFolder.find(releases / "self-forcing")


def encoder(folder: WanCausalFolder, precision: Precision = "float32") -> TextEncoder:
    return TextEncoder(folder.text(), LENGTH, precision)


def test_sizes_are_read_from_the_file(folder: WanCausalFolder) -> None:
    assert folder.text().sizes() == TEXT
    assert count_numbers(UMT5_XXL.table()) == 5_680_910_336


def test_a_prompt_becomes_the_rows_of_its_tokens_and_of_the_end(folder: WanCausalFolder) -> None:
    short, long = encode(encoder(folder), [FOX, FOX * 20])

    assert short.rows.shape == (len(tokenize(folder.tokenizer, FOX)), WIDTH)
    assert len(long.rows) == LENGTH


@pytest.mark.parametrize(("precision", "most"), [("bfloat16", 0.05), ("int8", 0.08)])
def test_smaller_numbers_say_nearly_the_same(
    folder: WanCausalFolder, precision: Precision, most: float
) -> None:
    [exact] = encode(encoder(folder), [FOX])
    [rounded] = encode(encoder(folder, precision), [FOX])

    assert 0 < (rounded.rows - exact.rows).norm() / exact.rows.norm() < most


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux says what is mapped")
def test_numbers_that_need_no_conversion_stay_in_the_file(folder: WanCausalFolder) -> None:
    model = folder.text().build(torch.bfloat16)
    place = model.get_parameter("encoder.block.0.layer.0.SelfAttention.q.weight").data_ptr()
    lines = Path("/proc/self/maps").read_text().splitlines()
    mapped = [line.split()[0] for line in lines if line.endswith(folder.text_weights.name)]
    spans = [[int(end, 16) for end in span.split("-")] for span in mapped]

    assert any(start <= place < end for start, end in spans)
    assert model.get_parameter("shared.weight").dtype == torch.bfloat16


def test_every_encoder_is_told_from_another(folder: WanCausalFolder) -> None:
    prints = {encoder(folder, precision).fingerprint() for precision in ("float32", "bfloat16")}

    assert len(prints) == 2
    assert encoder(folder).fingerprint() in prints


def test_a_file_of_another_model_is_refused(folder: WanCausalFolder) -> None:
    files = folder.read_vae()[0]

    with pytest.raises(WeightsError, match="holds no UMT5 encoder"):
        Umt5Sizes.read(files)


def test_prompts_are_cleaned_as_the_encoder_was_fed() -> None:
    assert clean_prompt("  A fox &amp;amp; snow\n\n ") == "A fox & snow"
