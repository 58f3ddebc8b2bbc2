"""The special tokens of MAGI-1, from the file of its repository (Apache-2.0, see NOTICE)."""

from functools import cache
from pathlib import Path

from safetensors.torch import load_file

from media_agent_magi.engine.text.rows import DURATION, SpecialTokens

PATH = Path(__file__).parent / "assets" / "special_tokens.safetensors"
USUAL = ("PAD_HQ", DURATION)
"""What is put in front of captions, as the released scripts do."""


@cache
def special_tokens() -> SpecialTokens:
    """Return the tokens, 4096 wide."""
    return SpecialTokens.from_tensors(load_file(PATH))
