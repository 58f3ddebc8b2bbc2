"""The pieces of a film in parts, negotiated one by one; equal pieces are negotiated once."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from media_agent.errors import UnsupportedRequestError
from media_agent.negotiation.durations import piece_frames, usual_fps
from media_agent.negotiation.negotiate import negotiate
from media_agent.negotiation.prompts import AS_WRITTEN, PromptRules
from media_agent_schemas.capabilities import Capabilities, Estimate, Plan, PlanPart, Policy
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode, VideoRequest

Takes = Literal["nothing", "last_frame", "film"]
MOST_PARTS = 10_000
_LISTED_ONE_BY_ONE = 16

_FIRST_ONLY = (InputRole.FIRST_FRAME, InputRole.SOURCE_VIDEO)
_MODES = {"last_frame": VideoMode.IMAGE_TO_VIDEO, "film": VideoMode.VIDEO_EXTEND}


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


@dataclass(frozen=True, slots=True)
class Piece:
    """A part, and how many frames it adds to the film."""

    plan: Plan
    takes: Takes
    new_frames: int

    def part(self, count: int = 1) -> PlanPart:
        """Return the piece as a plan has it, made so often in a row."""
        return PlanPart(
            request=self.plan.request,
            takes=self.takes,
            estimate=self.plan.estimate,
            count=count,
        )


@dataclass
class Pieces:
    """A row of pieces; `first` makes the first, `follower` all others from what `takes` says."""

    request: VideoRequest
    first: Maker
    follower: Maker
    takes: Takes
    policy: Policy
    draw_seed: Callable[[], int]
    allow_unknown_words: bool
    made: list[Piece] = field(default_factory=list)
    _known: dict[tuple[str | None, int, bool], Plan] = field(default_factory=dict)

    @property
    def fps(self) -> float:
        """The frame rate of the film."""
        return usual_fps(self.request.fps, self.first.capabilities)

    @property
    def frames(self) -> int:
        """The length of the film so far."""
        return sum(piece.new_frames for piece in self.made)

    @property
    def cost_usd(self) -> float | None:
        """What all pieces cost together, None if that of any is unknown."""
        return total(piece.plan.estimate.cost_usd for piece in self.made)

    def cut(self, prompt: str | None, frames: int) -> int:
        """Add pieces of about the same length until there are as many frames, and count them."""
        made = 0
        while made < frames:
            if len(self.made) >= MOST_PARTS:
                raise UnsupportedRequestError(
                    f"{self.first.name} would need more than {MOST_PARTS} parts",
                    hint="ask for less, or choose a backend that goes on without limit",
                )
            shared = self._shared()
            most = max(1, self.longest() - shared)
            pieces = math.ceil((frames - made) / most)
            made += self.add(prompt, math.ceil((frames - made) / pieces) + shared).new_frames
        return made

    def add(self, prompt: str | None, frames: int) -> Piece:
        """Add one piece of at least so many frames, or of as many as it can have."""
        plan = self._negotiated(prompt, frames, is_first=not self.made)
        made = plan.request.num_frames or frames
        takes: Takes = self.takes if self.made else "nothing"
        piece = Piece(plan, takes, max(1, made - self._shared()))
        self.made.append(piece)
        return piece

    def _shared(self) -> int:
        """Return how many frames the next piece repeats of the one before."""
        return 1 if self.made and self.takes == "last_frame" else 0

    def longest(self) -> int:
        """Return the most frames that the next piece can have."""
        maker = self.follower if self.made else self.first
        return piece_frames(maker.capabilities, self.fps, None)

    def _negotiated(self, prompt: str | None, frames: int, *, is_first: bool) -> Plan:
        maker = self.first if is_first else self.follower
        frames = piece_frames(maker.capabilities, self.fps, frames)
        key = prompt, frames, is_first
        if key not in self._known:
            self._known[key] = self._negotiate(maker, prompt, frames, is_first=is_first)
        return self._known[key]

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
        sent = self.made[0].plan.request
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


def listed(pieces: Iterable[Piece]) -> Iterator[PlanPart]:
    """Yield the parts of a plan; of a long row of equal pieces one, with their number."""
    for _, run in groupby(pieces, key=lambda piece: (id(piece.plan), piece.takes)):
        equal = list(run)
        if len(equal) > _LISTED_ONE_BY_ONE:
            yield equal[0].part(len(equal))
        else:
            yield from (piece.part() for piece in equal)


def total(values: Iterable[float | None]) -> float | None:
    """Return the sum, None if any is unknown."""
    whole = 0.0
    for value in values:
        if value is None:
            return None
        whole += value
    return whole
