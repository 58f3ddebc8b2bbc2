"""What the outcomes of the ledger teach, learned once: each process continues where one ended."""

import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Callable

from media_agent.errors import MediaAgentError
from media_agent.ledger.outcomes import Outcomes
from media_agent.routing.learning.experience import VERSION, Experience

_MOST = 20_000  # outcomes from which is learned where nothing was kept: the newest
_KEPT_EVERY = 200  # outcomes, as many as are learned in a few milliseconds
_LOGGER = logging.getLogger(__name__)


class Recall:
    """Learns from a ledger; what was learned is kept there for the next process."""

    def __init__(
        self,
        outcomes: Outcomes,
        half_life_days: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._outcomes = outcomes
        self._half_life_days = half_life_days
        self._now = now
        self._name = f"version {VERSION}, half-life {half_life_days:g} days"
        self._last = 0
        self._kept = 0
        self._experience: Experience | None = None

    def __call__(self) -> Experience | None:
        """Return what the outcomes up to now teach; None: there are none, or nobody can read them.

        A ledger that cannot be read keeps nobody from planning.
        """
        try:
            return self._learn()
        except MediaAgentError as error:
            _LOGGER.debug("no outcomes: %s", error)
            return None

    def _learn(self) -> Experience | None:
        if not self._outcomes.exist():
            return None
        experience = self._begin() if self._experience is None else self._experience
        now = self._now()
        is_complete = True
        for number, outcome in self._outcomes.read(self._last, newest=_MOST):
            is_complete = is_complete and self._outcomes.is_complete_up_to(outcome, now)
            if not is_complete:
                self._keep(experience)
            experience.learn(outcome)
            self._last = number
        if is_complete:
            self._keep(experience)
        self._experience = experience
        return experience if experience.learned else None

    def _begin(self) -> Experience:
        found = self._outcomes.read_lesson(self._name)
        if found is None:
            return Experience(self._half_life_days)
        try:
            experience = Experience.load(json.loads(_unsealed(found[1])))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            _LOGGER.debug("what was learned cannot be read, and is learned again: %r", error)
            return Experience(self._half_life_days)
        self._last = self._kept = found[0]
        return experience

    def _keep(self, experience: Experience) -> None:
        """Keep what is learned by now, unless that is quickly learned again."""
        if self._last - self._kept < _KEPT_EVERY:
            return
        self._kept = self._last
        with contextlib.suppress(MediaAgentError):  # it is only learned again
            lesson = _sealed(json.dumps(experience.dump()))
            self._outcomes.keep_lesson(self._name, self._last, lesson)


def _sealed(lesson: str) -> str:
    """Return a text with its digest: one wrong number in it would break all that is planned."""
    return f"{hashlib.sha256(lesson.encode()).hexdigest()} {lesson}"


def _unsealed(text: str) -> str:
    """Return the text that was sealed.

    Raises:
        ValueError: it is another one.
    """
    lesson = text.partition(" ")[2]
    if _sealed(lesson) != text:
        raise ValueError("it was changed")
    return lesson
