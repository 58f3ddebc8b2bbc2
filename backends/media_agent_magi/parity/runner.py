"""Finds the cases of a folder and runs them, one outcome each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from media_agent_magi.parity.autoencoder import autoencoder_checks
from media_agent_magi.parity.comparison import Check, Comparison, NotHereError
from media_agent_magi.parity.golden import GoldenFolder
from media_agent_magi.parity.prompts import cleaning_checks, prompt_checks
from media_agent_magi.parity.quantised import quantised_checks
from media_agent_magi.parity.tables import plan_checks, rope_checks, schedule_checks
from media_agent_magi.parity.transformer import table_checks, transformer_checks
from media_agent_magi.parity.video import video_checks
from media_agent_magi.parity.wan.tables import parameter_table_checks
from media_agent_magi.parity.wan.text import umt5_checks
from media_agent_magi.parity.wan.transformer import (
    causal_checks,
    position_checks,
    timestep_checks,
)
from media_agent_magi.parity.wan.video import causal_video_checks

PASSED, FAILED, LATER = "passed", "failed", "later"
SUFFIXES = (".json", ".safetensors")


def by_kind(
    magi: Callable[[GoldenFolder, str], Iterator[Check]],
    causal: Callable[[GoldenFolder, str], Iterator[Check]],
) -> Callable[[GoldenFolder, str], Iterator[Check]]:
    """Return what checks a file of one name, by whose model it is of."""

    def checks(golden: GoldenFolder, stem: str) -> Iterator[Check]:
        is_causal = "dim" in golden.spec(stem).get("config", {})
        return (causal if is_causal else magi)(golden, stem)

    return checks


CHECKS: dict[str, Callable[[GoldenFolder, str], Iterator[Check]]] = {
    "dit_parameter_tables": table_checks,
    "dit_": by_kind(transformer_checks, causal_checks),
    "gen_": by_kind(video_checks, causal_video_checks),
    "vae_": autoencoder_checks,
    "rope_and_time": position_checks,
    "rope_": rope_checks,
    "timestep_tables": timestep_checks,
    "timestep_schedules": schedule_checks,
    "stage_plans": plan_checks,
    "prompt_assembly": prompt_checks,
    "prompt_cleaning": cleaning_checks,
    "fp8_": quantised_checks,
    "umt5_": umt5_checks,
    "parameter_tables": parameter_table_checks,
}
"""Start of a file's name -> what checks it; the first that fits counts."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The line of one case."""

    name: str
    state: str
    text: str

    def __str__(self) -> str:
        return f"{self.state:6}  {self.name}  {self.text}"


def sorted_files(folder: Path) -> tuple[list[str], list[str]]:
    """Return the stems that hold cases and the names of files this program does not know."""
    stems: set[str] = set()
    unknown: list[str] = []
    for path in sorted(folder.iterdir()):
        stem = path.name.removesuffix(path.suffix)
        known = path.is_file() and path.suffix in SUFFIXES
        if known and is_input(stem):
            continue
        if known and _checks(stem) is not None:
            stems.add(stem)
        else:
            unknown.append(path.name)
    return sorted(stems), unknown


def is_input(stem: str) -> bool:
    """Whether a file is read by other cases and is none itself."""
    return stem.endswith(".weights") or stem.startswith("special_tokens")


def outcomes(golden: GoldenFolder, stem: str) -> Iterator[Outcome]:
    """Run the cases of one file; whatever is wrong with one of them is its outcome."""
    checks = _checks(stem)
    assert checks is not None
    try:
        found = list(checks(golden, stem))
    except Exception as error:  # noqa: BLE001 - damage of any kind is a result here
        yield Outcome(stem, FAILED, _describe(error))
        return
    if not found:
        yield Outcome(stem, FAILED, "holds no case")
    for name, check in found:
        yield _outcome(name, check)


def _checks(stem: str) -> Callable[[GoldenFolder, str], Iterator[Check]] | None:
    return next((checks for start, checks in CHECKS.items() if stem.startswith(start)), None)


def _outcome(name: str, check: Callable[[], Comparison]) -> Outcome:
    try:
        done = check()
    except NotHereError as error:
        return Outcome(name, LATER, str(error))
    except Exception as error:  # noqa: BLE001 - damage of any kind is a result here
        return Outcome(name, FAILED, _describe(error))
    return Outcome(name, PASSED if done.passed else FAILED, done.text())


def _describe(error: Exception) -> str:
    """One line for an error; those of our own kinds speak for themselves."""
    text = " ".join(str(error).split())
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"
