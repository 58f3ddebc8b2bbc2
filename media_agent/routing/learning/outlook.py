"""From what was learned to what is said of a candidate: its outlook."""

import random
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from media_agent.negotiation.sizes import find_short_side
from media_agent.routing.learning.expectation import Expectation, Work
from media_agent.routing.learning.experience import Experience
from media_agent.routing.learning.latency import DAY
from media_agent.routing.learning.offer import REMEMBERED
from media_agent.routing.learning.pool import Pool
from media_agent.routing.learning.quantile import quantile
from media_agent.routing.learning.scores import NONE, Exploration, cost_of, find_worth_trying
from media_agent_schemas.plan import Candidate, Outlook
from media_agent_schemas.request import RoutingPreference, VideoRequest

LEARNED = (RoutingPreference.CHEAPEST, RoutingPreference.FASTEST, RoutingPreference.BALANCED)
"""The preferences that what was learned decides."""
DAYS = 7.0
"""Of which is told."""


@dataclass
class Outlooks:
    """Says what is to be expected of candidates, at one time."""

    experience: Experience
    now: float
    exploration: Exploration = NONE
    apart: Container[str] = ()
    """Models whose times say nothing of others, such as those for tests."""
    _expected: dict[str, Expectation] = field(default_factory=dict)

    def knows(self, name: str) -> bool:
        """Return whether anything was ever heard of a model."""
        return name in self.experience.offers

    def look(self, candidate: Candidate, request: VideoRequest, seconds: float | None) -> Candidate:
        """Return a candidate with its outlook; the request is that of its plan, or what is asked.

        `seconds` is the length of the whole video; None: nobody knows. Of a video in parts each
        part can fail; all of them are waited and paid for.
        """
        parts, estimate = candidate.submissions, candidate.estimate
        work = Work(
            candidate.name,
            self.now,
            video_seconds=None if seconds is None else seconds / parts,
            short_side=find_short_side(request),
            quoted_usd=None if estimate.cost_usd is None else estimate.cost_usd / parts,
            expected_seconds=None if estimate.seconds is None else estimate.seconds / parts,
            priced_on=None if estimate.priced_on is None else str(estimate.priced_on),
        )
        one = self.experience.expect(work, self._pool)
        cost, billed = cost_of(one), parts * (one.usd or 0.0)
        self._expected[candidate.name] = replace(
            one,
            fails=1 - (1 - one.fails) ** parts,
            seconds=None if one.seconds is None else one.seconds * parts,
            usd=None if estimate.cost_usd is None else max(estimate.cost_usd, billed),
            most_usd=estimate.bound_usd,
        )
        told = self._tell(candidate.name)
        outlook = told.model_copy(
            update={
                "fails": round(1 - (1 - one.fails) ** parts, 4),
                "cost_usd": None if cost.usd is None else cost.usd * parts,
                "seconds": None if cost.seconds is None else cost.seconds * parts,
                "as_others": one.is_pooled,
            }
        )
        return candidate.model_copy(update={"outlook": outlook})

    def choose_try(
        self,
        able: Sequence[Candidate],
        prefer: RoutingPreference,
        waiting_usd_per_second: float,
        seed: int,
    ) -> str | None:
        """Return a candidate that is worth a try instead of the best one, if any is to be tried.

        The same outcomes and the same seed give the same answer.
        """
        if prefer not in LEARNED or self.exploration.share <= 0:
            return None
        alike = [each for each in able if each.method == able[0].method]
        expected = {each.name: self._expected[each.name] for each in alike}
        draw = random.Random(f"{self.experience.learned} {seed}")
        return find_worth_trying(expected, self.exploration, prefer, waiting_usd_per_second, draw)

    @cached_property
    def _pool(self) -> Pool | None:
        return self.experience.pool(self.now, self.apart)

    def _tell(self, name: str) -> Outlook:
        offer = self.experience.offers.get(name)
        newest = [] if offer is None else list(offer.newest)
        late = [each for each in newest if each.at > self.now - DAYS * DAY]
        is_all = len(late) < len(newest) or len(newest) < REMEMBERED
        days = DAYS if is_all or not late else (self.now - late[0].at) / DAY
        return Outlook(
            outcomes=len(late),
            done=sum(each.is_done for each in late),
            days=round(max(0.1, days), 1),  # a clock may have been set back
            median_seconds=quantile(0.5, (each.seconds for each in late if each.is_done)),
        )


def in_words(outlook: Outlook | None) -> tuple[str, ...]:
    """Return what happened lately, such as "last 7 days: 96 % of 54 done, median 41 s", if any.

    Of an unknown time also what others take, and of a try that it is one.
    """
    if outlook is None:
        return ()
    said = list[str]()
    if outlook.as_others and outlook.seconds is not None:
        said.append(f"time unknown; {outlook.seconds:.0f} s as others take")
    if outlook.outcomes:
        share = 100 * outlook.done / outlook.outcomes
        lately = f"last {outlook.days:g} days: {share:.0f} % of {outlook.outcomes} done"
        if outlook.median_seconds is not None:
            lately += f", median {outlook.median_seconds:.0f} s"
        said.append(lately)
    if outlook.is_try:
        said.append("a try, as it was not heard of for long")
    return tuple(said)
