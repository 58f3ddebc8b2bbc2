"""The text a chunk reads: caption embeddings with learned special tokens in front.

Names and rows of the special tokens are those of MAGI-1 (SandAI-org/MAGI-1, Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

PREPENDED = {
    "PAD_STATIC": 2,
    "PAD_DYNAMIC": 3,
    "PAD_BORDERNESS": 4,
    "PAD_HQ": 1,
    "PAD_THREE_D_MODEL": 15,
    "PAD_TWO_D_ANIME": 16,
}
"""Switch -> row of `other_tokens`, in the order in which they are put in front."""

DURATION = "PAD_DURATION"
DURATION_ROWS = range(7, 15)
NEGATIVE = "NEG_PROMPT"
TRANS_ROW, BORDERNESS_ROW = 0, 4
SWITCHES = (*PREPENDED, DURATION, NEGATIVE)


@dataclass(frozen=True, slots=True, eq=False)
class TextRow:
    """One caption: embeddings (L, width) and a mask (L,) that is 1 where a token is read."""

    caption: Tensor
    mask: Tensor

    def says(self, other: TextRow) -> bool:
        """Whether another row has the same tokens that are read."""
        if self is other:
            return True
        mine, theirs = (row.caption[row.mask.bool()] for row in (self, other))
        return torch.equal(mine, theirs)

    def with_front(self, tokens: Sequence[Tensor]) -> TextRow:
        """Put tokens (width,) in front, each before the ones already there; cut to L again."""
        length = self.caption.shape[0]
        front = [token.to(self.caption)[None] for token in reversed(tokens)]
        ones = self.mask.new_ones(len(tokens))
        return TextRow(
            torch.cat([*front, self.caption])[:length], torch.cat([ones, self.mask])[:length]
        )


@dataclass(frozen=True, slots=True, eq=False)
class SpecialTokens:
    """The learned tokens: `caption` and `logo` (1, width), `other` (rows, width)."""

    caption: Tensor
    logo: Tensor
    other: Tensor

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> SpecialTokens:
        """Build from the tensors of the released file, by their names there."""
        return cls(tensors["caption_token"], tensors["logo_token"], tensors["other_tokens"])

    def front(self, switches: Collection[str], chunks_left: int) -> list[Tensor]:
        """Tokens for a chunk, first the one that goes in first.

        `chunks_left` counts this chunk and those after it; it picks the duration token.
        """
        check_switches(switches)
        rows = [row for switch, row in PREPENDED.items() if switch in switches]
        if DURATION in switches:
            rows.append(DURATION_ROWS[min(chunks_left, len(DURATION_ROWS)) - 1])
        return [self.other[row] for row in rows]

    def negative(self) -> list[Tensor]:
        """Tokens of the negative prompt, first the one that goes in first."""
        return [self.caption[0], self.logo[0], self.other[TRANS_ROW], self.other[BORDERNESS_ROW]]


def check_switches(switches: Collection[str]) -> None:
    """Raise ValueError naming every switch that does not exist."""
    if unknown := sorted(set(switches) - set(SWITCHES)):
        raise ValueError(f"unknown switches {', '.join(unknown)}; known: {', '.join(SWITCHES)}")


def null_row(null_caption: Tensor, tokens_read: int, front: Sequence[Tensor] = ()) -> TextRow:
    """Row of "no text" (L, width), of which the first `tokens_read` positions are read."""
    mask = torch.zeros(len(null_caption), dtype=torch.float32, device=null_caption.device)
    mask[:tokens_read] = 1
    return TextRow(TextRow(null_caption, mask).with_front(front).caption, mask)


def video_rows(
    captions: Sequence[TextRow],
    null: TextRow,
    *,
    prefix_chunks: int = 0,
    special: SpecialTokens | None = None,
    switches: Collection[str] = (),
) -> list[TextRow]:
    """Text row of every chunk of a video whose length is known.

    Args:
        captions: a row per chunk to be made, as the text encoder gave it.
        null: the row of "no text"; also stands in for a caption whose mask is all zero.
        prefix_chunks: whole given chunks in front; their rows are never read.
        special: the learned tokens; needed when `switches` names any.
        switches: which special tokens to put in front of each caption.
    """
    unread = TextRow(null.caption, torch.zeros_like(null.mask))
    rows = [unread] * prefix_chunks
    for index, caption in enumerate(captions):
        if not bool(caption.mask.any()):
            rows.append(null)
            continue
        front = special.front(switches, len(captions) - index) if special is not None else []
        rows.append(caption.with_front(front))
    return rows
