"""Longer than one shot: a film planned as a row of parts, each within what a model makes at once.

The first part begins from nothing, or from what the caller brought; every other one continues the
part before it: its film, where the model extends films, else its last frame. A last frame is in
both parts and counts once.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from media_agent.draft import Draft
from media_agent.errors import BudgetExceededError, UnsupportedRequestError
from media_agent.lengths import longest_shot, usual_fps
from media_agent.negotiate import negotiate, settle_routing
from media_agent.prompts import AS_WRITTEN, PromptRules
from media_agent.spans import piece_frames, wanted_frames
from media_agent.storyboard import lay_out
from media_agent_schemas.capabilities import (
    Adjustment,
    Capabilities,
    Estimate,
    Method,
    Plan,
    PlanPart,
    Policy,
)
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import Shot, VideoMode, VideoRequest

Takes = Literal["nothing", "last_frame", "film"]
MOST_PARTS = 10_000

_FIRST_ONLY = (InputRole.FIRST_FRAME, InputRole.SOURCE_VIDEO)
_NEVER = (InputRole.LAST_FRAME, InputRole.KEYFRAME, InputRole.MASK)
_MODES = {"last_frame": VideoMode.IMAGE_TO_VIDEO, "film": VideoMode.VIDEO_EXTEND}
_OF_THE_WHOLE = ("duration", "num_frames", "shots", "mode", "model", "prompt", "audio")


@dataclass(frozen=True, slots=True)
class Maker:
    """One model as a planner sees it."""

    capabilities: Capabilities
    estimate: Callable[[VideoRequest], Estimate] = lambda request: Estimate()
    rules: PromptRules = AS_WRITTEN

    @property
    def name(self) -> str:
        """Return "backend/model"."""
        return f"{self.capabilities.backend}/{self.capabilities.model}"


def plan_parts(
    request: VideoRequest,
    first: Maker,
    follower: Maker,
    takes: Takes,
    policy: Policy,
    *,
    draw_seed: Callable[[], int],
    allow_unknown_words: bool = False,
) -> Plan:
    """Return a plan in parts; `follower` makes all but the first, from what `takes` says.

    Raises:
        InvalidRequestError: shots that do not fit into the whole.
        UnsupportedRequestError: a part cannot be made, or the request cannot be cut.
        BudgetExceededError: endless, without a budget that says when to stop paying.
    """
    split = _Split(request, first, follower, takes, policy, draw_seed, allow_unknown_words)
    return split.endless_plan() if request.endless else split.plan()


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part, and how many frames it adds to the film."""

    plan: Plan
    takes: Takes
    new_frames: int

    def part(self) -> PlanPart:
        return PlanPart(request=self.plan.request, takes=self.takes, estimate=self.plan.estimate)


@dataclass
class _Split:
    """Cuts one request into pieces; equal pieces are negotiated once."""

    request: VideoRequest
    first: Maker
    follower: Maker
    takes: Takes
    policy: Policy
    draw_seed: Callable[[], int]
    allow_unknown_words: bool
    known: dict[tuple[str | None, int, bool], Plan] = field(default_factory=dict)
    pieces: list[_Piece] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.draft = Draft(self.request, self.first.capabilities, self.policy)
        self.fps = usual_fps(self.request.fps, self.first.capabilities)
        self._refuse_what_cannot_be_cut()

    def plan(self) -> Plan:
        """Return the plan of a film of known length."""
        wanted = wanted_frames(self.request, self.fps, self.first.capabilities)
        if self.request.shots:
            shots = self._cut_shots(wanted)
        else:
            shots = ()
            self._cut(self.request.prompt, wanted)
        total = sum(piece.new_frames for piece in self.pieces)
        if total != wanted:
            reason = "whole parts, each as long as the model makes it"
            self.draft.change("duration", wanted / self.fps, total / self.fps, reason)
        return self._finished(shots, total)

    def endless_plan(self) -> Plan:
        """Return the plan of a film that goes on until told to finish, or as far as is paid for."""
        for shot in self.request.shots[:-1]:
            self._cut(shot.prompt, round((shot.duration or 0) * self.fps))
        prompt = self.request.shots[-1].prompt if self.request.shots else self.request.prompt
        while len(self.pieces) < 2:
            self._add(prompt, self._longest())
        if self.pieces[-1].plan.request.prompt != prompt:
            self._add(prompt, self._longest())
        each = self.pieces[-1].plan.estimate.cost_usd
        if each != 0:
            self._spend(each)
        return self._finished(self.request.shots, None, repeats=each == 0)

    def _cut_shots(self, wanted: int) -> tuple[Shot, ...]:
        """Cut every shot of a storyboard into pieces, and return how long each became."""
        asked = self.request.shots
        lengths = lay_out(asked, total=wanted, fps=self.fps, chunk=None).frames
        settled = []
        for index, (shot, frames) in enumerate(zip(asked, lengths, strict=True)):
            made = self._cut(shot.prompt, frames or 0)
            settled.append(Shot(prompt=shot.prompt, duration=made / self.fps))
            self._note_length(f"shots[{index}].duration", shot, made)
        return tuple(settled)

    def _spend(self, each: float | None) -> None:
        """Repeat the last piece as often as the budget pays for it."""
        name = self.follower.name
        budget = None if self.request.budget is None else self.request.budget.max_cost_usd
        if each is None or budget is None:
            price = "an unknown price" if each is None else f"{each:g} USD"
            raise BudgetExceededError(
                f"{name} would make an endless film of parts at {price} each",
                hint="say a duration" if each is None else "say a duration, or what may be spent",
            )
        left = budget - (_sum(piece.plan.estimate.cost_usd for piece in self.pieces) or 0.0)
        more = min(MOST_PARTS, math.floor(left / each + 1e-9))
        if more < 0:
            raise BudgetExceededError(
                f"{name}: the first parts alone cost more than the budget of {budget:g} USD",
                hint="raise the budget",
            )
        self.pieces += [self.pieces[-1]] * more
        self.draft.warnings.append(
            f"the film ends after {len(self.pieces)} parts: that is what {budget:g} USD pay for"
        )

    def _cut(self, prompt: str | None, frames: int) -> int:
        """Add pieces of about the same length until there are as many frames, and count them."""
        made = 0
        while made < frames:
            if len(self.pieces) >= MOST_PARTS:
                raise UnsupportedRequestError(
                    f"{self.first.name} would need more than {MOST_PARTS} parts",
                    hint="ask for less, or choose a backend that goes on without limit",
                )
            shared = self._shared()
            most = max(1, self._longest() - shared)
            pieces = math.ceil((frames - made) / most)
            made += self._add(prompt, math.ceil((frames - made) / pieces) + shared).new_frames
        return made

    def _add(self, prompt: str | None, frames: int) -> _Piece:
        plan = self._negotiated(prompt, frames, is_first=not self.pieces)
        made = plan.request.num_frames or frames
        takes: Takes = self.takes if self.pieces else "nothing"
        piece = _Piece(plan, takes, max(1, made - self._shared()))
        self.pieces.append(piece)
        return piece

    def _shared(self) -> int:
        """Return how many frames the next piece repeats of the one before."""
        return 1 if self.pieces and self.takes == "last_frame" else 0

    def _longest(self) -> int:
        maker = self.follower if self.pieces else self.first
        return piece_frames(maker.capabilities, self.fps, None)

    def _negotiated(self, prompt: str | None, frames: int, *, is_first: bool) -> Plan:
        maker = self.first if is_first else self.follower
        frames = piece_frames(maker.capabilities, self.fps, frames)
        key = prompt, frames, is_first
        if key not in self.known:
            self.known[key] = self._negotiate(maker, prompt, frames, is_first=is_first)
        return self.known[key]

    def _negotiate(self, maker: Maker, prompt: str | None, frames: int, *, is_first: bool) -> Plan:
        limits = maker.capabilities
        length: dict[str, object] = {"num_frames": frames, "duration": None}
        for seconds in limits.durations:
            if round(seconds * self.fps) == frames:
                length = {"num_frames": None, "duration": seconds}
        changes: dict[str, object] = {
            "prompt": prompt,
            "shots": (),
            "endless": False,
            "fps": self.fps if self.request.fps is not None or not is_first else None,
            "model": maker.name,
            "budget": None,
            "routing": None,
            **length,
        }
        if limits.audio is True:
            changes["audio"] = False
        if not is_first:
            changes |= self._handed_on(limits)
        return negotiate(
            self.request.model_copy(update=changes),
            limits,
            self.policy,
            draw_seed=self.draw_seed,
            estimate=maker.estimate,
            allow_unknown_words=self.allow_unknown_words,
            rules=maker.rules,
        )

    def _handed_on(self, limits: Capabilities) -> dict[str, object]:
        """Return what a later part has from the first: its size and seed, not its inputs."""
        sent = self.pieces[0].plan.request
        kept = tuple(each for each in self.request.inputs if each.role not in _FIRST_ONLY)
        takes_seed = limits.seed is not False or self.request.seed is not None
        return {
            "mode": _MODES[self.takes],
            "inputs": kept,
            "size": sent.size,
            "resolution": sent.resolution,
            "aspect_ratio": sent.aspect_ratio,
            "seed": sent.seed if takes_seed else None,
        }

    def _refuse_what_cannot_be_cut(self) -> None:
        request, draft = self.request, self.draft
        settle_routing(draft)
        for index, medium in enumerate(request.inputs):
            if medium.role in _NEVER:
                draft.refuse(f"inputs[{index}].role", medium.role, "a film in parts takes none")
        if request.n > 1:
            draft.refuse("n", request.n, "a film in parts is made one at a time")
        if self.first.capabilities.audio is True and request.audio is not False:
            reason = "the sound of parts is not joined"
            (draft.note if request.audio is None else draft.change)(
                "audio", request.audio, False, reason
            )
        self._raise_mismatches()

    def _note_length(self, name: str, shot: Shot, frames: int) -> None:
        used = frames / self.fps
        if shot.duration is None:
            self.draft.note(name, None, used, "what the other shots leave")
        elif abs(used - shot.duration) > 1e-9:
            self.draft.change(name, shot.duration, used, "whole parts")

    def _raise_mismatches(self) -> None:
        if self.draft.mismatches:
            raise UnsupportedRequestError(
                f"{self.first.name} cannot make this in parts",
                mismatches=self.draft.mismatches,
                hint="change the request, or choose another backend",
            )

    def _finished(
        self, shots: tuple[Shot, ...], total: int | None, *, repeats: bool = False
    ) -> Plan:
        self._raise_mismatches()
        plans = list({id(piece.plan): piece.plan for piece in self.pieces}.values())
        warnings = [text for plan in plans for text in plan.warnings] + self.draft.warnings
        estimates = [piece.plan.estimate for piece in self.pieces]
        changes: dict[str, object] = {
            "num_frames": total,
            "endless": total is None,
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
                    cost_usd=_sum(each.cost_usd for each in estimates),
                    seconds=None if repeats else _sum(each.seconds for each in estimates),
                    source=estimates[0].source,
                ),
                "method": Method.EXTEND if self.takes == "film" else Method.CHAIN,
                "parts": tuple(piece.part() for piece in self.pieces),
                "repeats": repeats,
            }
        )

    def _adjustments(self, plans: list[Plan]) -> Iterator[Adjustment]:
        """Yield what the whole changes, then the first part, then what later parts add to that."""
        yield from self.draft.adjustments
        longest = longest_shot(self.first.capabilities)
        limit = "one shot at once" if longest is None else f"at most {longest:g} s at once"
        yield Adjustment(
            field="parts",
            asked=None,
            used=len(self.pieces),
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
                    name = f"parts[{index}].{change.field}" if index else change.field
                    yield change.model_copy(update={"field": name})


def _sum(values: Iterable[float | None]) -> float | None:
    """Return the sum, None if any is unknown."""
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total
