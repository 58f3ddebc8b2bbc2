"""A long video planned as a row of segments, each within what a model makes at once.

The first segment begins from nothing, or from what the caller brought; every other one continues
the segment before it: its video, where the model extends videos, else its last frame. A last frame
is in both segments and counts once.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from media_agent.errors import BudgetExceededError, UnsupportedRequestError
from media_agent.negotiation.draft import NegotiationDraft
from media_agent.negotiation.durations import longest_shot, wanted_frames
from media_agent.negotiation.negotiate import resolve_routing
from media_agent.negotiation.storyboard import lay_out
from media_agent.routing.segments import (
    MOST_PARTS,
    ContinuesFrom,
    ModelChoice,
    Pieces,
    listed,
    total,
)
from media_agent_schemas.capabilities import Adjustment, Estimate, Method, Plan, Policy
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import Shot, VideoRequest

_NEVER = (InputRole.LAST_FRAME, InputRole.KEYFRAME, InputRole.MASK)
_OF_THE_WHOLE = ("duration", "num_frames", "shots", "mode", "model", "prompt", "audio")


def plan_segments(
    request: VideoRequest,
    first: ModelChoice,
    follower: ModelChoice,
    continues_from: ContinuesFrom,
    policy: Policy,
    *,
    draw_seed: Callable[[], int],
    allow_unknown_words: bool = False,
    shape: Fraction | None = None,
) -> Plan:
    """Return a plan in segments; `follower` makes all but the first, from what `takes` says.

    Raises:
        InvalidRequestError: shots that do not fit into the whole.
        UnsupportedRequestError: a segment cannot be made, or the request cannot be cut.
        BudgetExceededError: endless, without a budget that says when to stop paying.
    """
    row = Pieces(
        request, first, follower, continues_from, policy, draw_seed, allow_unknown_words, shape
    )
    split = _Split(row)
    return split.endless_plan() if request.endless else split.plan()


@dataclass
class _Split:
    """Cuts one request into pieces and puts the plan of the whole together."""

    pieces: Pieces

    def __post_init__(self) -> None:
        self.request, self.first = self.pieces.request, self.pieces.first
        self.draft = NegotiationDraft(self.request, self.first.capabilities, self.pieces.policy)
        self.fps = self.pieces.fps
        self._refuse_what_cannot_be_cut()

    def plan(self) -> Plan:
        """Return the plan of a video of known length."""
        wanted = wanted_frames(self.request, self.fps, self.first.capabilities)
        if self.request.shots:
            shots = self._cut_shots(wanted)
        else:
            shots = ()
            self.pieces.cut(self.request.prompt, wanted)
        made = self.pieces.frames
        if made != wanted:
            reason = "whole segments of the length that the model makes"
            self.draft.change("duration", wanted / self.fps, made / self.fps, reason)
        return self._finished(shots, made)

    def endless_plan(self) -> Plan:
        """Return the plan of a video that lasts until told to finish, or as far as is paid for."""
        for shot in self.request.shots[:-1]:
            self.pieces.cut(shot.prompt, round((shot.duration or 0) * self.fps))
        prompt = self.request.shots[-1].prompt if self.request.shots else self.request.prompt
        while len(self.pieces.made) < 2:
            self.pieces.add(prompt, self.pieces.longest())
        if self.pieces.made[-1].plan.request.prompt != prompt:
            self.pieces.add(prompt, self.pieces.longest())
        each = self.pieces.made[-1].plan.estimate.cost_usd
        if each != 0:
            self._spend(each)
        return self._finished(self.request.shots, None, repeats=each == 0)

    def _cut_shots(self, wanted: int) -> tuple[Shot, ...]:
        """Cut every shot of a storyboard into pieces, and return how long each became."""
        asked = self.request.shots
        lengths = lay_out(asked, total=wanted, fps=self.fps, chunk=None).frames
        settled = []
        for index, (shot, frames) in enumerate(zip(asked, lengths, strict=True)):
            made = self.pieces.cut(shot.prompt, frames or 0)
            settled.append(Shot(prompt=shot.prompt, duration=made / self.fps))
            self._note_length(f"shots[{index}].duration", shot, made)
        return tuple(settled)

    def _spend(self, each: float | None) -> None:
        """Repeat the last piece as often as the budget pays for it."""
        name = self.pieces.follower.name
        budget = None if self.request.budget is None else self.request.budget.max_cost_usd
        if each is None or budget is None:
            price = "an unknown price" if each is None else f"{each:g} USD"
            raise BudgetExceededError(
                f"{name} would make an endless video of segments at {price} each",
                hint="set a duration" if each is None else "set a duration or a budget",
            )
        left = budget - (self.pieces.cost_usd or 0.0)
        paid = math.floor(left / each + 1e-9)
        more = min(MOST_PARTS - len(self.pieces.made), paid)
        if more < 0:
            raise BudgetExceededError(
                f"{name}: the first segments alone cost more than the budget of {budget:g} USD",
                hint="raise the budget",
            )
        self.pieces.made += [self.pieces.made[-1]] * more
        why = f"{budget:g} USD cover no more" if more == paid else "this is the limit"
        self.draft.warnings.append(f"the video ends after {len(self.pieces.made)} segments: {why}")

    def _refuse_what_cannot_be_cut(self) -> None:
        request, draft = self.request, self.draft
        resolve_routing(draft)
        for index, medium in enumerate(request.inputs):
            if medium.role in _NEVER:
                draft.refuse(f"inputs[{index}].role", medium.role, "not possible in segments")
        if request.n > 1:
            draft.refuse("n", request.n, "a video in segments is made one at a time")
        if self.first.capabilities.audio is True and request.audio is not False:
            reason = "the audio of segments cannot be joined"
            (draft.note if request.audio is None else draft.change)(
                "audio", request.audio, False, reason
            )
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

    def _finished(
        self, shots: tuple[Shot, ...], frames: int | None, *, repeats: bool = False
    ) -> Plan:
        self._raise_mismatches()
        plans = list({id(piece.plan): piece.plan for piece in self.pieces.made}.values())
        warnings = [text for plan in plans for text in plan.warnings] + self.draft.warnings
        estimates = [piece.plan.estimate for piece in self.pieces.made]
        changes: dict[str, object] = {
            "num_frames": frames,
            "endless": frames is None,
            "duration": None,
            "prompt": self.request.prompt,
            "shots": shots,
        }
        return plans[0].model_copy(
            update={
                "request": plans[0].request.model_copy(update=changes),
                "adjustments": tuple(self._adjustments(plans)),
                "warnings": tuple(dict.fromkeys(warnings)),
                "estimate": Estimate(
                    cost_usd=self.pieces.cost_usd,
                    seconds=None if repeats else total(each.seconds for each in estimates),
                    source=estimates[0].source,
                ),
                "method": Method.EXTEND if self.pieces.continues_from == "video" else Method.CHAIN,
                "segments": tuple(listed(self.pieces.made)),
                "repeats": repeats,
            }
        )

    def _adjustments(self, plans: list[Plan]) -> Iterator[Adjustment]:
        """Yield what the whole changes, then the first segment, then what later ones add."""
        yield from self.draft.adjustments
        longest = longest_shot(self.first.capabilities)
        limit = "one shot at once" if longest is None else f"at most {longest:g} s at once"
        yield Adjustment(
            field="segments",
            asked=None,
            used=len(self.pieces.made),
            reason=f"{self.first.name} makes {limit}",
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
