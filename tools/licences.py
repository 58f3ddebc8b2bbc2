"""Lists the licence of everything that an install brings along, by extra (`make licences`).

Exit code 1 where one is unknown or not on the list of `tools/licences.toml`.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
OURS = "media-agent-video"
NOT_INSTALLED = ("testing", "dev")  # extras of those who work on it; nobody runs a video with them


@dataclass(frozen=True, slots=True)
class Rules:
    """What `tools/licences.toml` says."""

    allowed: Mapping[str, str]
    spellings: Mapping[str, str]
    unsaid: Mapping[str, str]
    brings: Mapping[str, str]

    @classmethod
    def read(cls) -> "Rules":
        """Read the file."""
        with (ROOT / "tools" / "licences.toml").open("rb") as file:
            return cls(**tomllib.load(file))

    def allow(self, licence: str) -> bool:
        """Whether a licence, or a choice or sum of several, is allowed; an odd one is not."""
        return any(
            all(part.strip() in self.allowed for part in choice.split(" AND "))
            for choice in licence.split(" OR ")
        )


def main() -> int:
    """Print a table for each extra; return 1 where something is not allowed."""
    rules, refused = Rules.read(), []
    base = find_packages("").keys()
    for extra in extras():
        print(f"\n[{extra}] adds" if extra else "without extras")
        for name, found in sorted(find_packages(extra).items()):
            if extra and name in base:
                continue
            if found is None:
                print(f"  {name:<28} not installed here")
                continue
            licence = licence_of(found, rules)
            is_allowed = licence is not None and rules.allow(licence)
            print(f"  {name:<28} {licence or 'UNKNOWN'}{'' if is_allowed else '   NOT ALLOWED'}")
            refused += [] if is_allowed else [f"{name}: {licence or 'unknown'}"]
    for name, said in rules.brings.items():
        print(f"\n{name}: {said}")
    if refused:
        print(
            f"\nnot allowed: {'; '.join(sorted(set(refused)))}\n"
            "look at the package, then add its licence to tools/licences.toml with a reason",
            file=sys.stderr,
        )
    return bool(refused)


def extras() -> list[str]:
    """Return "" for the install without extras, and the extras that people install."""
    named = distribution(OURS).metadata.get_all("Provides-Extra") or []
    return ["", *(each for each in named if each not in NOT_INSTALLED)]


def find_packages(extra: str) -> dict[str, Distribution | None]:
    """Return all packages that an install needs here, without ours; None: not installed."""
    found: dict[str, Distribution | None] = {}
    left = [Requirement(f"{OURS}[{extra}]" if extra else OURS)]
    seen = set()
    while left:
        wanted = left.pop()
        name = canonicalize_name(wanted.name)
        if (name, frozenset(wanted.extras)) in seen:
            continue
        seen.add((name, frozenset(wanted.extras)))
        try:
            installed = distribution(wanted.name)
        except PackageNotFoundError:
            found[name] = None
            continue
        if name != OURS:
            found[name] = installed
        left += _needs(installed.requires or (), wanted.extras)
    return found


def licence_of(package: Distribution, rules: Rules) -> str | None:
    """Return the licence as SPDX names; None where a package says nothing that is known."""
    if package.name in rules.unsaid:
        return rules.unsaid[package.name]
    expression = package.metadata.get("License-Expression")
    if expression:
        return re.sub(r"[()]", "", str(expression))
    classifiers = package.metadata.get_all("Classifier") or []
    said = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License :: ")]
    first_line = str(package.metadata.get("License") or "").strip().partition("\n")[0]
    for text in (first_line, " OR ".join(said)):
        named = " OR ".join(rules.spellings.get(each, each) for each in text.split(" OR "))
        if text and (rules.allow(named) or not said):
            return named
    return " OR ".join(rules.spellings.get(each, each) for each in said) or None


def _needs(requirements: Iterable[str], extras: Iterable[str]) -> Iterator[Requirement]:
    for text in requirements:
        need = Requirement(text)
        if need.marker is None or any(
            need.marker.evaluate({"extra": extra}) for extra in ("", *extras)
        ):
            yield need


if __name__ == "__main__":
    raise SystemExit(main())
