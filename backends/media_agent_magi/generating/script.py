"""The prompts of a video, chunk by chunk."""

from collections.abc import Callable, Sequence

from media_agent_magi.engine.guidance_table import GuidanceTable
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.generating.family import Guidance

Prompts = Callable[[int], str | None]
"""Chunk number -> its prompt; None where the video ends before this chunk."""

ReadPrompt = Callable[[str, int], TextRow]
"""A prompt and the number of its chunk -> its text as the model reads it."""


class Script:
    """The prompts of the newest chunks, by number.

    Apart from the video, so that what the video is made with does not refer back to it: the keys of
    a video go with it, not with the garbage collector.
    """

    def __init__(self, read: ReadPrompt, window: int) -> None:
        self._read, self._window = read, window
        self.prompts: dict[int, str] = {}

    def row(self, chunk: int, prompt: str | None) -> TextRow | None:
        """Keep the prompt of a chunk and return it as the model reads it; None stays None."""
        if prompt is None:
            return None
        self.prompts[chunk] = prompt
        forgotten = chunk - self._window - 1  # guidance compares with the chunk before
        self.prompts = {c: text for c, text in self.prompts.items() if c >= forgotten}
        return self._read(prompt, chunk)

    def guide(self, guidance: Guidance, chunk: int) -> GuidanceTable:
        """Return the guidance of a chunk."""
        is_new = self.prompts.get(chunk) != self.prompts.get(chunk - 1)
        return guidance.table(is_first=chunk == 0, is_new=is_new)


def as_function(prompts: Prompts | Sequence[str]) -> tuple[Prompts, int | None]:
    """Return prompts as a function of the chunk, and how many chunks there are, if known."""
    if callable(prompts):
        return prompts, None
    texts = tuple(prompts)
    return (lambda chunk: texts[chunk] if 0 <= chunk < len(texts) else None), len(texts)
