"""The pieces of a video in segments, negotiated one by one; equal pieces are negotiated once."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby
from typing import Literal

from media_agent.errors import UnsupportedRequestError
from media_agent.negotiation.durations import piece_frames, usual_fps
from media_agent.negotiation.negotiate import negotiate
from media_agent.negotiation.prompts import AS_WRITTEN, PromptRules
from media_agent_schemas.capabilities import Capabilities, Estimate, Plan, Policy, Segment
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode, VideoRequest

ContinuesFrom = Literal["nothing", "last_frame", "video"]
MOST_PARTS = 10_000
_LISTED_ONE_BY_ONE = 16

_FIRST_ONLY = (InputRole.FIRST_FRAME, InputRole.SOURCE_VIDEO)
_MODES = {"last_frame": VideoMode.IMAGE_TO_VIDEO, "video": VideoMode.VIDEO_EXTEND}


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """One model as a planner sees it."""

    capabilities: Capabilities
    estimate: Callable[[VideoRequest], Estimate] = lambda request: Estimate()
    rules: PromptRules = AS_WRITTEN

    @property
    def name(self) -> str:
        """Return "backend/model"."""
        return f"{self.capabilities.backend}/{self.capabilities.model}"


@dataclass(frozen=True, slots=True)
class PlannedSegment:
    """A segment, and how many frames it adds to the video."""

    plan: Plan
    continues_from: ContinuesFrom
    new_frames: int

    def segment(self, count: int = 1) -> Segment:
        """Return the piece as a plan has it, made so often in a row."""
        return Segment(
            request=self.plan.request,
            continues_from=self.continues_from,
            estimate=self.plan.estimate,
            count=count,
        )


@dataclass
class Pieces:
    """A row of pieces; `first` makes the first, `follower` all others from what `takes` says."""

    request: VideoRequest
    first: ModelChoice
    follower: ModelChoice
    continues_from: ContinuesFrom
    policy: Policy
    draw_seed: Callable[[], int]
    allow_unknown_words: bool
    shape: Fraction | None = None
    made: list[PlannedSegment] = field(default_factory=list)
    _known: dict[tuple[str | None, int, bool], Plan] = field(default_factory=dict)

    @property
    def fps(self) -> float:
        """The frame rate of the video."""
        return usual_fps(self.request.fps, self.first.capabilities)

    @property
    def frames(self) -> int:
        """The length of the video so far."""
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
                    f"{self.first.name} would need more than {MOST_PARTS} segments",
                    hint="ask for less, or choose a backend without a length limit",
                )
            shared = self._shared()
            most = max(1, self.longest() - shared)
            pieces = math.ceil((frames - made) / most)
            made += self.add(prompt, math.ceil((frames - made) / pieces) + shared).new_frames
        return made

    def add(self, prompt: str | None, frames: int) -> PlannedSegment:
        """Add one piece of at least so many frames, or of as many as it can have."""
        plan = self._negotiated(prompt, frames, is_first=not self.made)
        made = plan.request.num_frames or frames
        continues_from: ContinuesFrom = self.continues_from if self.made else "nothing"
        piece = PlannedSegment(plan, continues_from, max(1, made - self._shared()))
        self.made.append(piece)
        return piece

    def _shared(self) -> int:
        """Return how many frames the next piece repeats of the one before."""
        return 1 if self.made and self.continues_from == "last_frame" else 0

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

    def _negotiate(
        self, maker: ModelChoice, prompt: str | None, frames: int, *, is_first: bool
    ) -> Plan:
        capabilities = maker.capabilities
        length: dict[str, object] = {"num_frames": frames, "duration": None}
        for seconds in capabilities.durations:
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
        if capabilities.audio is True:
            changes["audio"] = False
        if not is_first:
            changes |= self._handed_on(capabilities)
        return negotiate(
            self.request.model_copy(update=changes),
            capabilities,
            self.policy,
            draw_seed=self.draw_seed,
            estimate=maker.estimate,
            allow_unknown_words=self.allow_unknown_words,
            rules=maker.rules,
            shape=self.shape if is_first else None,
        )

    def _handed_on(self, capabilities: Capabilities) -> dict[str, object]:
        """Return what a later segment has from the first: its size and seed, not its inputs."""
        sent = self.made[0].plan.request
        kept = tuple(each for each in self.request.inputs if each.role not in _FIRST_ONLY)
        takes_seed = capabilities.seed is not False or self.request.seed is not None
        return {
            "mode": _MODES[self.continues_from],
            "inputs": kept,
            "size": sent.size,
            "resolution": sent.resolution,
            "aspect_ratio": sent.aspect_ratio,
            "seed": sent.seed if takes_seed else None,
        }


def listed(pieces: Iterable[PlannedSegment]) -> Iterator[Segment]:
    """Yield the segments of a plan; of a long row of equal pieces one, with their number."""
    for _, run in groupby(pieces, key=lambda piece: (id(piece.plan), piece.continues_from)):
        equal = list(run)
        if len(equal) > _LISTED_ONE_BY_ONE:
            yield equal[0].segment(len(equal))
        else:
            yield from (piece.segment() for piece in equal)


def total(values: Iterable[float | None]) -> float | None:
    """Return the sum, None if any is unknown."""
    whole = 0.0
    for value in values:
        if value is None:
            return None
        whole += value
    return whole
