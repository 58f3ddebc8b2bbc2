"""What is tried with odd input, by name; and how: `make fuzz` for minutes, the tests briefly."""

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.configs import configs
from tests.fuzz.kept import kept
from tests.fuzz.media import media
from tests.fuzz.replies import replies

Example = Callable[[Random], None]
Target = Callable[[Path], contextlib.AbstractContextManager[Example]]

TARGETS: Mapping[str, Target] = {
    "replies": replies,
    "configs": configs,
    "kept": kept,
    "media": media,
}


def attempt(example: Example, *, examples: int, number: int = 0) -> None:
    """Try so many examples, others for each number.

    Raises:
        Exception: what the smallest example met that broke a rule.
    """

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
    )
    @given(dice=st.randoms(use_true_random=False))
    def run(dice: Random) -> None:
        example(dice)

    run()


def isolate(folder: Path) -> None:
    """Let nothing of this machine's owner be read or written, as the tests do."""
    for name in [*os.environ]:
        if name.startswith("MEDIA_AGENT_") or name.endswith(("_KEY", "_TOKEN", "_SECRET")):
            del os.environ[name]
    os.environ["HOME"] = os.environ["XDG_CONFIG_HOME"] = str(folder)
    os.environ["MEDIA_AGENT_DATA_DIR"] = str(folder / "data")
    os.environ["MEDIA_AGENT_CONFIG"] = str(folder / "none.toml")
    os.environ["MEDIA_AGENT_QUALITY"] = os.environ["MEDIA_AGENT_PROVENANCE__SIGN"] = "off"
