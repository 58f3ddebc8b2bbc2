"""All oddities, and seeded cases made of them, each with the end that the protocol promises."""

import random
from collections.abc import Iterator

from exchange import Case
from odd_courses import COURSES
from odd_fields import FIELDS
from odd_submissions import SUBMISSIONS
from odd_videos import VIDEOS
from oddity import SLOTS, Oddity, Verdict

ODDITIES = {each.name: each for each in (*SUBMISSIONS, *COURSES, *VIDEOS, *FIELDS)}
KINDS = (("fal", ""), ("openai", "sglang"), ("openai", "vllm"), ("http", ""))
_MILD = ("fields", "bytes", "headers", "address")  # what a killed job meets besides
_MOOT_WHEN_FAILED = ("video", "address", "fields")


def odd_cases(seed: int, count: int) -> Iterator[Case]:
    """Draw cases; every oddity comes first once, then the draw is free."""
    dice = random.Random(seed)
    first = list(ODDITIES.values())
    dice.shuffle(first)
    for number in range(count):
        kind, flavour = dice.choice(KINDS)
        begin = first[number % len(first)]
        while not _fits(begin, kind, flavour):
            kind, flavour = dice.choice(KINDS)
        chosen = [begin]
        if begin.slot == "list":  # nobody looks into the list unless a reply was lost
            chosen.append(ODDITIES["accepted, then broken"])
        wanted = max(len(chosen), dice.choice((1, 2, 2, 3)))
        others = [
            each
            for each in ODDITIES.values()
            if each.verdict is Verdict.DELIVERED and _fits(each, kind, flavour)
        ]
        while len(chosen) < wanted:
            other = dice.choice(others)
            if _go_together([*chosen, other]):
                chosen.append(other)
        yield _case(dice, f"odd/{number}", kind, flavour, chosen)


def kill_cases(seed: int, count: int) -> Iterator[Case]:
    """Draw cases for kills: a sane or mildly odd upstream, and a video that takes its time."""
    dice = random.Random(seed + 1)
    for number in range(count):
        kind, flavour = dice.choice(KINDS)
        mild = [
            each
            for each in ODDITIES.values()
            if each.slot in _MILD
            and each.verdict is Verdict.DELIVERED
            and _fits(each, kind, flavour)
        ]
        chosen = [dice.choice(mild)] if dice.random() < 0.5 else []
        yield _case(dice, f"kill/{number}", kind, flavour, chosen, slow=dice.choice((0.3, 1.0)))


def verdict_of(case: Case) -> Verdict:
    """Return what must be true at the end."""
    oddities = [ODDITIES[name] for name, _ in case.oddities]
    worst = max((each.verdict for each in oddities), default=Verdict.DELIVERED)
    if worst is not Verdict.LOST:
        return worst
    later = max((e.verdict for e in oddities if e.slot != "submit"), default=Verdict.DELIVERED)
    is_shown = case.flavour == "vllm" and not hides_time(case)
    return later if is_shown else max(later, Verdict.PAID)


def hides_time(case: Case) -> bool:
    """Whether it cannot be read when the work in the list was made."""
    return any(name == "times odd" and value[0] == "created_at" for name, value in case.oddities)


def _fits(oddity: Oddity, kind: str, flavour: str) -> bool:
    return kind in oddity.kinds and oddity.flavour in (None, flavour)


def _go_together(chosen: list[Oddity]) -> bool:
    """One of each slot; and nothing that hides what another promises."""
    slots = [each.slot for each in chosen]
    if len(set(slots)) < len(slots):
        return False
    verdicts = {each.verdict for each in chosen}
    refused = verdicts & {Verdict.REFUSED, Verdict.REFUSED_BARE, Verdict.FAILED, Verdict.ENDS}
    if refused and set(slots) & set(_MOOT_WHEN_FAILED):
        return False
    if refused and verdicts & {Verdict.PAID, Verdict.NEVER, Verdict.LOST}:
        return False
    if "list" in slots and Verdict.LOST not in verdicts:
        return False
    names = {each.name for each in chosen}
    if "wrapped" in names and set(slots) & {"list", "course", "address", "submit"}:
        return False
    # A place of a fixed work id, or an error of its own, does not survive the other.
    return not ("id" in names and set(slots) & {"address", "video", "course"})


def _case(
    dice: random.Random, index: str, kind: str, flavour: str, chosen: list[Oddity], slow: float = 0
) -> Case:
    chosen = sorted(chosen, key=lambda each: SLOTS.index(each.slot))
    return Case(
        index=index,
        kind=kind,  # type: ignore[arg-type]
        flavour=flavour,
        nonce=f"{dice.getrandbits(40):010x}",
        oddities=tuple((each.name, dice.choice(each.variants)) for each in chosen),
        slow=slow,
    )
