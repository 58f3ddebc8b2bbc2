import pytest
import torch

from media_agent_magi.engine.text.rows import SpecialTokens, TextRow, null_row, video_rows

LENGTH = 5
SPECIAL = SpecialTokens(
    torch.tensor([[900.0]]), torch.tensor([[800.0]]), torch.arange(100.0)[:, None] + 100
)
NULL = null_row(torch.full((LENGTH, 1), -1.0), 2)
USUAL = ("PAD_HQ", "PAD_DURATION")


def caption(tokens: int) -> TextRow:
    values = torch.arange(LENGTH, dtype=torch.float32)
    return TextRow(values[:, None], (values < tokens).float())


def values(row: TextRow) -> list[float]:
    return row.caption.flatten().tolist()


def test_duration_comes_first_then_quality_then_the_caption() -> None:
    rows = video_rows([caption(2)], NULL, special=SPECIAL, switches=USUAL)

    assert values(rows[0]) == [107, 101, 0, 1, 2]
    assert rows[0].mask.tolist() == [1, 1, 1, 1, 0]


def test_duration_counts_down_to_the_last_chunk() -> None:
    rows = video_rows([caption(2)] * 10, NULL, special=SPECIAL, switches=["PAD_DURATION"])

    assert [values(row)[0] for row in rows] == [114, 114, 114, 113, 112, 111, 110, 109, 108, 107]


def test_a_full_caption_is_cut_at_its_end() -> None:
    rows = video_rows([caption(LENGTH)], NULL, special=SPECIAL, switches=USUAL)

    assert values(rows[0]) == [107, 101, 0, 1, 2]
    assert rows[0].mask.tolist() == [1] * LENGTH


def test_every_switch_has_its_place() -> None:
    every = ("PAD_STATIC", "PAD_TWO_D_ANIME", "PAD_DYNAMIC", *USUAL)
    rows = video_rows([caption(2)], NULL, special=SPECIAL, switches=every)

    assert values(rows[0]) == [107, 116, 101, 103, 102]


def test_no_switch_leaves_the_caption_alone() -> None:
    rows = video_rows([caption(2), caption(3)], NULL)

    assert values(rows[0]) == values(caption(2))
    assert rows[1].mask.tolist() == [1, 1, 1, 0, 0]


def test_prefix_chunks_have_rows_that_nobody_reads() -> None:
    rows = video_rows([caption(2)] * 2, NULL, prefix_chunks=1, special=SPECIAL, switches=USUAL)

    assert values(rows[0]) == [-1] * LENGTH
    assert rows[0].mask.tolist() == [0] * LENGTH
    assert [values(row)[0] for row in rows[1:]] == [108, 107]


def test_an_empty_caption_is_the_row_of_no_text() -> None:
    rows = video_rows([caption(0)], NULL, special=SPECIAL, switches=USUAL)

    assert values(rows[0]) == [-1] * LENGTH
    assert rows[0].mask.tolist() == [1, 1, 0, 0, 0]


def test_the_negative_prompt_stands_in_front_of_no_text() -> None:
    row = null_row(torch.full((LENGTH, 1), -1.0), 2, SPECIAL.negative())

    assert values(row) == [104, 100, 800, 900, -1]
    assert row.mask.tolist() == [1, 1, 0, 0, 0]


def test_unknown_switches_are_named() -> None:
    with pytest.raises(ValueError, match="unknown switches PAD_COLOUR, PAD_X; known: PAD_STATIC"):
        video_rows([caption(1)], NULL, special=SPECIAL, switches=["PAD_X", "PAD_COLOUR", "PAD_HQ"])
