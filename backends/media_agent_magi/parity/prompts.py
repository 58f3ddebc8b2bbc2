"""Cases of cleaning captions and of putting text rows together."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from media_agent_magi.engine.text.rows import (
    NEGATIVE,
    SpecialTokens,
    TextRow,
    null_row,
    video_rows,
)
from media_agent_magi.loading.cleaning import CleaningError, clean_caption
from media_agent_magi.parity.comparison import CaseError, Check, Comparison, NotHereError
from media_agent_magi.parity.golden import Fields, GoldenFolder
from media_agent_magi.parity.wan.text import prompt_cleaning_checks

NULL_TOKENS_READ = 50
OTHER_TOKENS = 100


def prompt_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the cases of a file; each is named by its switches, chunks and caption."""
    for number, case in enumerate(golden.spec(stem)["cases"]):

        def check(case: Fields = case) -> Comparison:
            return _assembly(case)

        yield f"{stem}/{number}", check


def cleaning_checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
    """Yield the captions of a file; each is named by its number."""
    pairs = golden.spec(stem)["pairs"]
    if all(isinstance(pair, list) for pair in pairs):  # of another model
        yield from prompt_cleaning_checks(golden, stem)
        return
    for number, pair in enumerate(pairs):

        def check(pair: Fields = pair) -> Comparison:
            done = Comparison()
            try:
                done.equal("caption", clean_caption(pair["in"]), pair["out"])
            except CleaningError as error:
                raise NotHereError(str(error)) from error
            return done

        yield f"{stem}/{number}", check


class Labels:
    """Tokens that can be told apart: every row of a token holds the token's number throughout."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._names: list[str] = []

    def tokens(self, *names: str) -> Tensor:
        """Return rows for new names, (len(names), width)."""
        first = len(self._names)
        self._names += names
        return torch.arange(first, len(self._names)).float()[:, None].expand(-1, self._width)

    def name(self, row: Tensor) -> str:
        """Name of a row."""
        if bool((row != row[0]).any()):
            raise CaseError("a text row mixes tokens")
        return self._names[int(row[0])]


def _assembly(case: Fields) -> Comparison:
    _, chunks, length, width = case["cond_shape"]
    prefix, switches, real = case["prefix_chunks"], case["env"], case["caption_tokens"]
    labels = Labels(width)
    caption = labels.tokens(*(f"caption[{i}]" for i in range(length)))
    null_caption = labels.tokens(*(f"null[{i}]" for i in range(length)))
    special = SpecialTokens(
        labels.tokens("CAPTION"),
        labels.tokens("LOGO"),
        labels.tokens(*(f"other_tokens[{i}]" for i in range(OTHER_TOKENS))),
    )
    front = special.negative() if NEGATIVE in switches else []
    null = null_row(null_caption, NULL_TOKENS_READ, front)
    row = TextRow(caption, (torch.arange(length) < real).float())
    rows = video_rows(
        [row] * (case["chunks"] - prefix),
        null,
        prefix_chunks=prefix,
        special=special,
        switches=switches,
    )
    done = Comparison()
    done.equal("chunks", [len(rows), len(rows)], [chunks, case["chunks"]])
    done.equal("shape", [1, len(rows), *rows[-1].caption.shape], case["cond_shape"])
    if "cond_mask_shape" in case:
        done.equal("mask shape", [1, len(rows), *rows[-1].mask.shape], case["cond_mask_shape"])
    if "cond_dtype" in case:
        done.equal("dtype", str(rows[-1].caption.dtype), case["cond_dtype"])
    shown = [len(names) for names in case["cond_first_rows"]]
    first = [_names(labels, r, n) for r, n in zip(rows, shown, strict=True)]
    done.equal("first rows", first, case["cond_first_rows"])
    done.equal("last row", [labels.name(r.caption[-1]) for r in rows], case["cond_last_row"])
    done.equal("mask sums", [int(r.mask.sum()) for r in rows], case["cond_mask_sum"])
    count = len(case["uncond_first_rows"])
    done.equal("null rows", _names(labels, null, count), case["uncond_first_rows"])
    done.equal("last null row", labels.name(null.caption[-1]), case["uncond_last_row"])
    done.equal("null mask", [int(null.mask.sum())] * chunks, case["uncond_mask_sum"])
    return done


def _names(labels: Labels, row: TextRow, count: int) -> list[str]:
    return [labels.name(token) for token in row.caption[:count]]
