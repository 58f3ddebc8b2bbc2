"""A long video planned as a row of segments, each within what a model makes at once.

The first segment begins from nothing, or from the inputs of the caller; every other one continues
the segment before it: its video, where the model extends videos, else its last frame. A last frame
is in both segments and counts once.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from media_agent.errors import BudgetExceededError, UnsupportedRequestError
from media_agent.negotiation.draft import NegotiationDraft, Shape
from media_agent.negotiation.negotiate import resolve_routing
from media_agent.negotiation.possible_lengths import find_wanted_frames, format_longest_shot
from media_agent.negotiation.storyboard import lay_out
from media_agent.routing.methods.choice import ModelChoice
from media_agent.routing.methods.segments import (
    MOST_SEGMENTS,
    ContinuesFrom,
    SegmentRow,
    list_segments,
    sum_known,
)
from media_agent_schemas.base import format_usd
from media_agent_schemas.estimate import Estimate, MemoryUse
from media_agent_schemas.media import InputRole
from media_agent_schemas.plan import Adjustment, Method, Plan, Policy
from media_agent_schemas.request import Shot, VideoRequest

_NEVER = (InputRole.LAST_FRAME, InputRole.KEYFRAME, InputRole.MASK)
_OF_THE_WHOLE = ("duration", "num_frames", "shots", "mode", "model", "prompt")


def plan_segments(
    request: VideoRequest,
    first: ModelChoice,
    continuation: ModelChoice,
    continues_from: ContinuesFrom,
    policy: Policy,
    *,
    draw_seed: Callable[[], int],
    allow_unknown_words: bool = False,
    shape: Shape | None = None,
) -> Plan:
    """Return a plan in segments; `continuation` makes all but the first.

    Raises:
        InvalidRequestError: shots that do not fit into the whole.
        UnsupportedRequestError: a segment cannot be made, or the request cannot be cut.
        BudgetExceededError: endless, without a budget that says when to stop paying.
    """
    row = SegmentRow(
        request, first, continuation, continues_from, policy, draw_seed, allow_unknown_words, shape
    )
    split = _Split(row)
    return split.plan_endless() if request.endless else split.plan()


@dataclass
class _Split:
    """Splits one request into segments and builds the plan of the whole video."""

    row: SegmentRow

    def __post_init__(self) -> None:
        self.request, self.first = self.row.request, self.row.first
        self.draft = NegotiationDraft(self.request, self.first.capabilities, self.row.policy)
        self.fps = self.row.fps
        self._refuse_what_cannot_be_cut()

    def plan(self) -> Plan:
        """Return the plan of a video of known length."""
        wanted = find_wanted_frames(self.request, self.fps, self.first.capabilities)
        if self.request.shots:
            shots = self._cut_shots(wanted)
        else:
            shots = ()
            self.row.cut(self.request.prompt, wanted)
        made = self.row.frames
        if made != wanted:
            reason = "whole segments of the length that the model makes"
            self.draft.change("duration", wanted / self.fps, made / self.fps, reason)
        return self._finish(shots, made)

    def plan_endless(self) -> Plan:
        """Return the plan of a video that lasts until it is finished or the budget is spent.

        Raises:
            UnsupportedRequestError: it would get longer than what the model continues.
            BudgetExceededError: there is no budget that says when to stop paying.
        """
        longest = self.row.find_longest_source()
        if longest is not None:
            raise UnsupportedRequestError(
                f"{self.row.continuation.name} continues videos of up to {longest:g} s only",
                hint="set a duration",
            )
        for shot in self.request.shots[:-1]:
            self.row.cut(shot.prompt, round((shot.duration or 0) * self.fps))
        prompt = self.request.shots[-1].prompt if self.request.shots else self.request.prompt
        while len(self.row.made) < 2:
            self.row.add(prompt, self.row.find_longest())
        if self.row.made[-1].plan.request.prompt != prompt:
            self.row.add(prompt, self.row.find_longest())
        each = self.row.made[-1].plan.estimate.cost_usd
        if each != 0:
            self._spend(each)
        return self._finish(self.request.shots, None, repeats=each == 0)

    def _cut_shots(self, wanted: int) -> tuple[Shot, ...]:
        """Split every shot of a storyboard into segments, and return the shots as planned."""
        asked = self.request.shots
        lengths = lay_out(asked, total=wanted, fps=self.fps, chunk=None).frames
        resolved = []
        for index, (shot, frames) in enumerate(zip(asked, lengths, strict=True)):
            made = self.row.cut(shot.prompt, frames or 0)
            resolved.append(Shot(prompt=shot.prompt, duration=made / self.fps))
            self._note_length(f"shots[{index}].duration", shot, made)
        return tuple(resolved)

    def _spend(self, each: float | None) -> None:
        """Repeat the last segment as often as the budget allows."""
        name = self.row.continuation.name
        budget = None if self.request.budget is None else self.request.budget.max_cost_usd
        if each is None or budget is None:
            price = "an unknown price" if each is None else f"{format_usd(each)} USD"
            raise BudgetExceededError(
                f"{name} would make an endless video of segments at {price} each",
                hint="set a duration" if each is None else "set a duration or a budget",
            )
        limit = f"the budget of {format_usd(budget)} USD"
        left = budget - (self.row.cost_usd or 0.0)
        paid = math.floor(left / each + 1e-9)
        more = min(MOST_SEGMENTS - len(self.row.made), paid)
        if more < 0:
            raise BudgetExceededError(
                f"{name}: the first segments alone cost more than {limit}",
                hint="raise the budget",
            )
        self.row.made += [self.row.made[-1]] * more
        why = f"{limit} is spent" if more == paid else "this is the limit"
        self.draft.warnings.append(f"the video ends after {len(self.row.made)} segments: {why}")

    def _refuse_what_cannot_be_cut(self) -> None:
        request, draft = self.request, self.draft
        resolve_routing(draft)
        for index, medium in enumerate(request.inputs):
            if medium.role in _NEVER:
                draft.refuse(f"inputs[{index}].role", medium.role, "not possible in segments")
        if request.n > 1:
            draft.refuse("n", request.n, "a video in segments is made one at a time")
        self._raise_mismatches()

    def _note_length(self, name: str, shot: Shot, frames: int) -> None:
        used = frames / self.fps
        if shot.duration is None:
            self.draft.note(name, None, used, "the time the other shots leave")
        elif abs(used - shot.duration) > 1e-9:
            self.draft.change(name, shot.duration, used, "whole segments")

    def _raise_mismatches(self) -> None:
        if self.draft.mismatches:
            raise UnsupportedRequestError(
                f"{self.first.name} cannot serve this request in segments",
                mismatches=self.draft.mismatches,
                hint="change the request, or choose another backend",
            )

    def _finish(
        self, shots: tuple[Shot, ...], frames: int | None, *, repeats: bool = False
    ) -> Plan:
        self._raise_mismatches()
        plans = list({id(each.plan): each.plan for each in self.row.made}.values())
        warnings = [text for plan in plans for text in plan.warnings] + self.draft.warnings
        estimates = [each.plan.estimate for each in self.row.made]
        dates = [each.priced_on for each in estimates if each.priced_on is not None]
        changes: dict[str, object] = {
            "num_frames": frames,
            "endless": frames is None,
            "duration": None,
            "prompt": self.request.prompt,
            "shots": shots,
            "join_source": self.request.join_source,
            "visible_label": self.request.visible_label,
        }
        return plans[0].model_copy(
            update={
                "request": plans[0].request.model_copy(update=changes),
                "adjustments": tuple(self._list_adjustments(plans)),
                "warnings": tuple(dict.fromkeys(warnings)),
                "estimate": Estimate(
                    cost_usd=self.row.cost_usd,
                    most_usd=sum_known(each.bound_usd for each in estimates),
                    seconds=None if repeats else sum_known(each.seconds for each in estimates),
                    memory=_find_largest(estimates),
                    source=estimates[0].source,
                    priced_on=min(dates, default=None),
                ),
                "method": Method.EXTEND if self.row.continues_from == "video" else Method.CHAIN,
                "segments": tuple(list_segments(self.row.made)),
                "windows": 1 + sum(each.plan.windows - 1 for each in self.row.made),
                "repeats": repeats,
            }
        )

    def _list_adjustments(self, plans: list[Plan]) -> Iterator[Adjustment]:
        """Yield what the whole changes, then the first segment, then what later ones add."""
        yield from self.draft.adjustments
        limit = format_longest_shot(self.first.capabilities, self.fps)
        yield Adjustment(
            field="segments",
            asked=None,
            used=len(self.row.made),
            reason=f"{self.first.name} makes {limit} at once",
        )
        said = set()
        for index, plan in enumerate(plans):
            for change in plan.adjustments:
                if change.field in _OF_THE_WHOLE or (index and change.asked is None):
                    continue
                key = change.field, repr(change.used)
                if key not in said:
                    said.add(key)
                    name = f"segments[{index}].{change.field}" if index else change.field
                    yield change.model_copy(update={"field": name})


def _find_largest(estimates: list[Estimate]) -> MemoryUse | None:
    """Return what the segment takes that needs most memory."""
    known = [each.memory for each in estimates if each.memory is not None]
    return max(known, key=lambda use: use.needed_bytes / max(1, use.free_bytes), default=None)
