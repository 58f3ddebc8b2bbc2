"""The cleaning of prompts before the text encoders; that of MAGI-1's T5 is diffusers' own."""

import html
import re
from importlib.util import find_spec
from typing import Any

DELETED = re.compile("[\u31c0-\u9fff]")
"""Chinese characters and what stands beside them in Unicode; Japanese kana stay."""


class CleaningError(ValueError):
    """Captions cannot be cleaned here; the message says which library is missing."""


def clean_caption(caption: str) -> str:
    """Return a caption as the text encoder is to read it: lower case, no links, no markup.

    Cleaned twice, as the reference does. Scripts without spaces between words are deleted.

    Raises:
        CleaningError: diffusers, ftfy or beautifulsoup4 is missing.
    """
    absent = [name for name in ("diffusers", "ftfy", "bs4") if find_spec(name) is None]
    if absent:
        raise CleaningError(f"cleaning captions needs {', '.join(absent)}")
    from diffusers.pipelines.pixart_alpha.pipeline_pixart_alpha import PixArtAlphaPipeline

    cleaner: Any = PixArtAlphaPipeline
    for _ in range(2):
        caption = cleaner._clean_caption(cleaner, caption)  # it uses constants of the class alone
    return str(caption)


def clean_prompt(prompt: str) -> str:
    """Return a prompt as the UMT5 of Wan 2.1 is to read it.

    Broken Unicode is repaired, HTML unescaped twice, white space becomes single blanks.

    Raises:
        CleaningError: ftfy is missing.
    """
    try:
        from ftfy import fix_text
    except ImportError as error:
        raise CleaningError("cleaning prompts needs ftfy") from error
    return " ".join(html.unescape(html.unescape(fix_text(prompt))).split())


def find_deleted(caption: str) -> str:
    """Return the characters that cleaning deletes although they carry meaning, each once."""
    return "".join(dict.fromkeys(DELETED.findall(caption)))


def is_readable(caption: str) -> bool:
    """Return whether any letter or digit is left once these characters are deleted."""
    return any(letter.isalnum() for letter in DELETED.sub("", caption))
