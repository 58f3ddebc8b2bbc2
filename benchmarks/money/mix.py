"""The published fault mix: which of the jobs meets which fault, by a seed.

A fault strikes once, on the way of one job; what is asked again afterwards is answered well. Killed
is the process of the program that asks, whenever so many jobs were accepted.
"""

import random
from collections.abc import Mapping

JOBS = 1000
SEED = 20261130
USD_PER_VIDEO = 0.50

SHARES: Mapping[str, int] = {
    "reply lost after accept": 60,  # the connection closes, the work goes on
    "502 after accept": 60,  # a gateway answers, the work goes on
    "503 before accept": 40,
    "closed before accept": 40,
    "three polls fail": 40,  # with 502
    "address expired": 40,  # the video is refused until its job is asked for again
    "download cut": 40,  # half of the video comes
}
"""How many of 1,000 jobs meet each fault; the others meet none."""

KILLED_AT = (90, 250, 430, 610, 780, 940)
"""At so many accepted submissions, of 1,000 jobs, the program is killed and started again."""


def draw_faults(jobs: int = JOBS, seed: int = SEED) -> list[str | None]:
    """Return the fault of each job, None for most."""
    faults: list[str | None] = []
    for name, share in SHARES.items():
        faults += [name] * round(share * jobs / JOBS)
    faults += [None] * (jobs - len(faults))
    random.Random(seed).shuffle(faults)
    return faults


def kills(jobs: int = JOBS) -> list[int]:
    """Return after how many accepted submissions the program is killed; fewer jobs, fewer kills."""
    count = max(1, round(len(KILLED_AT) * jobs / JOBS))
    chosen = KILLED_AT[:: max(1, len(KILLED_AT) // count)][:count] if count > 1 else KILLED_AT[2:3]
    return [round(each * jobs / JOBS) for each in chosen]
