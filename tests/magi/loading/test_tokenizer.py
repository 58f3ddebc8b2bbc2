"""The file of a tokenizer: read whole or not at all."""

from pathlib import Path

import pytest

from media_agent_magi.generating.family import WeightsError
from media_agent_magi.loading.tokenizer import END, TOKENIZER, check_tokenizer, tokenize
from tests.magi.released_wan import CAPTIONS, write_tokenizer

VOCABULARY = 160


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("tokenizer") / TOKENIZER
    write_tokenizer(file)
    return file.read_bytes()


def test_a_whole_file_is_taken(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / TOKENIZER).write_bytes(whole)

    check_tokenizer(tmp_path, VOCABULARY)

    assert tokenize(tmp_path, CAPTIONS[0])[-1] == END


def test_wherever_it_is_cut_off_it_is_refused(whole: bytes, tmp_path: Path) -> None:
    """SentencePiece itself reads a file that is cut off behind a piece."""
    file = tmp_path / TOKENIZER
    for size in (*range(600), *range(600, len(whole), 9973), len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(WeightsError, match=f"is cut off or damaged: it has {size} bytes"):
            check_tokenizer(tmp_path, VOCABULARY)
        if size % 50 == 0:
            with pytest.raises(WeightsError, match="cut off or damaged"):
                tokenize(tmp_path, CAPTIONS[0])


def test_a_hole_is_refused(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / TOKENIZER).write_bytes(whole[:100] + bytes(100) + whole[200:])

    with pytest.raises(WeightsError, match="cut off or damaged"):
        check_tokenizer(tmp_path, VOCABULARY)


def test_a_tokenizer_with_more_tokens_than_its_encoder_is_refused(
    whole: bytes, tmp_path: Path
) -> None:
    (tmp_path / TOKENIZER).write_bytes(whole)

    with pytest.raises(WeightsError, match="tokens, and the text encoder beside it knows 20"):
        check_tokenizer(tmp_path, 20)
