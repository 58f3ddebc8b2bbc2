"""The texts of the chunks in work, as they were given and as the model reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import torch

from media_agent_magi.engine.text.keys import ChunkText
from media_agent_magi.engine.text.rows import TextRow, null_row
from media_agent_magi.engine.transformer import Transformer

TextSource = Callable[[int], TextRow | Sequence[TextRow] | None]
"""Chunk number -> its text, for all samples or one for each; None behind the end of the video."""

TEXTS_KEPT = 2
"""Texts that are kept as the model reads them, for the next chunks if they say the same. Each may
hold 100 MB of keys in a large model."""


class ChunkTexts:
    """Texts by chunk; a chunk without one reads `null`, where the model has such a text."""

    def __init__(self, model: Transformer, null: TextRow | None, null_tokens: int) -> None:
        """Read "no text": the null caption of the model, with so many tokens, if not given."""
        if null is None and (caption := model.null_caption()) is not None:
            null = null_row(caption, null_tokens)
        self._read = lru_cache(TEXTS_KEPT)(partial(read_rows, model))
        self._null = None if null is None else self._read((null,))
        self.rows: dict[int, tuple[TextRow, ...]] = {}
        self._texts: dict[int, ChunkText] = {}

    @property
    def null(self) -> ChunkText:
        """What a chunk without a text reads."""
        assert self._null is not None
        return self._null

    def ask(self, chunk: int, source: TextSource) -> bool:
        """Ask for the text of a chunk and keep it; say whether there is any."""
        answer = source(chunk)
        if answer is not None:
            self.keep(chunk, (answer,) if isinstance(answer, TextRow) else tuple(answer))
        return answer is not None

    def keep(self, chunk: int, rows: tuple[TextRow, ...]) -> None:
        """Keep the text of a chunk."""
        self.rows[chunk], self._texts[chunk] = rows, self._read(rows)

    def of(self, chunk: int) -> ChunkText:
        """Return what a chunk reads."""
        text = self._texts.get(chunk)
        return self.null if text is None else text

    def differ(self, chunk: int, other: int) -> bool:
        """Whether two chunks, both with texts, read different ones."""
        pairs = zip(self.rows[chunk], self.rows[other], strict=True)
        return not all(a.says(b) for a, b in pairs)

    def forget_before(self, chunk: int) -> None:
        """Forget the texts of earlier chunks."""
        for earlier in [c for c in self.rows if c < chunk]:
            del self.rows[earlier], self._texts[earlier]


@torch.inference_mode()
def read_rows(model: Transformer, rows: Sequence[TextRow]) -> ChunkText:
    """Let the model read the captions of one chunk, a row for each sample or one for all."""
    caption = torch.stack([row.caption.detach() for row in rows])  # N L width
    mask = torch.stack([row.mask for row in rows])
    return model.read(caption.to(model.device, torch.float32), mask.to(model.device))
