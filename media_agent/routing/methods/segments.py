"""The segments of a long video, negotiated one by one; equal segments are negotiated once."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from media_agent.errors import UnsupportedRequestError
from media_agent.negotiation.draft import Shape
from media_agent.negotiation.negotiate import negotiate
from media_agent.negotiation.possible_lengths import choose_fps, choose_segment_frames
from media_agent.routing.methods.choice import ModelChoice
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.media import InputRole
from media_agent_schemas.plan import Plan, Policy, Segment
from media_agent_schemas.request import VideoMode, VideoRequest

ContinuesFrom = Literal["nothing", "last_frame", "video"]
MOST_SEGMENTS = 10_000
_LISTED_ONE_BY_ONE = 16

_FIRST_ONLY = (InputRole.FIRST_FRAME, InputRole.SOURCE_VIDEO)
_INPUTS = {"last_frame": InputRole.FIRST_FRAME, "video": InputRole.SOURCE_VIDEO}
_MODES = {"last_frame": VideoMode.IMAGE_TO_VIDEO, "video": VideoMode.VIDEO_EXTEND}


@dataclass(frozen=True, slots=True)
class PlannedSegment:
    """A segment, and how many frames it adds to the video."""

    plan: Plan
    continues_from: ContinuesFrom
    new_frames: int

    def to_segment(self, count: int = 1) -> Segment:
        """Return the segment for a plan, repeated `count` times."""
        return Segment(
            request=self.plan.request,
            continues_from=self.continues_from,
            estimate=self.plan.estimate,
            count=count,
        )


@dataclass
class SegmentRow:
    """Segments in a row; `first` makes the first, `continuation` continues with the others."""

    request: VideoRequest
    first: ModelChoice
    continuation: ModelChoice
    continues_from: ContinuesFrom
    policy: Policy
    draw_seed: Callable[[], int]
    allow_unknown_words: bool
    shape: Shape | None = None
    made: list[PlannedSegment] = field(default_factory=list)
    _known: dict[tuple[str | None, int, bool], Plan] = field(default_factory=dict)

    @property
    def fps(self) -> float:
        """The frame rate of the video."""
        return choose_fps(self.request.fps, self.first.capabilities)

    @property
    def frames(self) -> int:
        """The length of the video so far."""
        return sum(segment.new_frames for segment in self.made)

    @property
    def cost_usd(self) -> float | None:
        """The total cost of all segments, None if any is unknown."""
        return sum_known(segment.plan.estimate.cost_usd for segment in self.made)

    def cut(self, prompt: str | None, frames: int) -> int:
        """Add segments of similar length until `frames` are reached; return how many were added."""
        made = 0
        while made < frames:
            shared = self._count_shared()
            most = max(1, self.find_longest() - shared)
            count = math.ceil((frames - made) / most)
            if self.made and len(self.made) + count > MOST_SEGMENTS:  # at the least
                raise UnsupportedRequestError(
                    f"{self.first.name} would need more than {MOST_SEGMENTS} segments",
                    hint="ask for less, or choose a backend without a length limit",
                )
            made += self.add(prompt, math.ceil((frames - made) / count) + shared).new_frames
        return made

    def add(self, prompt: str | None, frames: int) -> PlannedSegment:
        """Add one segment of at least `frames` frames, or of the most that the model makes.

        Raises:
            UnsupportedRequestError: the video is longer by now than what the model continues.
        """
        longest = self.find_longest_source()
        if self.made and longest is not None and self.frames / self.fps > longest:
            raise UnsupportedRequestError(
                f"{self.continuation.name} continues videos of up to {longest:g} s, and this has "
                f"{self.frames / self.fps:g} s before its end",
                hint="ask for a shorter video",
            )
        plan = self._plan_segment(prompt, frames, is_first=not self.made)
        made = plan.request.num_frames or frames
        continues_from: ContinuesFrom = self.continues_from if self.made else "nothing"
        segment = PlannedSegment(plan, continues_from, max(1, made - self._count_shared()))
        self.made.append(segment)
        return segment

    def _count_shared(self) -> int:
        """Return how many frames the next segment shares with the one before."""
        return 1 if self.made and self.continues_from == "last_frame" else 0

    def find_longest_source(self) -> float | None:
        """Return how long a video may be that is continued, in seconds; None: no limit is known."""
        if self.continues_from != "video":
            return None
        return self._find_facts(is_first=False).max_source_duration

    def find_longest(self) -> int:
        """Return the maximum number of frames of the next segment."""
        return choose_segment_frames(self._find_facts(is_first=not self.made), self.fps, None)

    def _find_facts(self, *, is_first: bool) -> Capabilities:
        """Return what the model of a segment can do in the mode of that segment."""
        if is_first:
            return self.first.for_mode(self.request.infer_mode())
        return self.continuation.for_mode(_MODES[self.continues_from])

    def _plan_segment(self, prompt: str | None, frames: int, *, is_first: bool) -> Plan:
        choice = self.first if is_first else self.continuation
        facts = self._find_facts(is_first=is_first)
        frames = choose_segment_frames(facts, self.fps, frames)
        key = prompt, frames, is_first
        if key not in self._known:
            self._known[key] = self._negotiate(choice, prompt, frames, is_first=is_first)
        return self._known[key]

    def _negotiate(
        self, choice: ModelChoice, prompt: str | None, frames: int, *, is_first: bool
    ) -> Plan:
        capabilities = self._find_facts(is_first=is_first)
        length: dict[str, object] = {"num_frames": frames, "duration": None}
        for seconds in capabilities.durations:
            if round(seconds * self.fps) == frames:
                length = {"num_frames": None, "duration": seconds}
        changes: dict[str, object] = {
            "prompt": prompt,
            "shots": (),
            "endless": False,
            "fps": self.fps if self.request.fps is not None or not is_first else None,
            "model": choice.name,
            "budget": None,
            "routing": None,
            "join_source": False,
            "deadline": None,  # of the whole video
            "visible_label": None,  # else the next segment would begin with it
            **length,
        }
        if not is_first:
            changes |= self._inherit(capabilities)
        return negotiate(
            self.request.model_copy(update=changes),
            capabilities,
            self.policy,
            draw_seed=self.draw_seed,
            estimate=choice.estimate,
            allow_unknown_words=self.allow_unknown_words,
            rules=choice.rules,
            shape=self.shape if is_first else None,
            follows=() if is_first else (_INPUTS[self.continues_from],),
        )

    def _inherit(self, capabilities: Capabilities) -> dict[str, object]:
        """Return what later segments inherit from the first: its size and seed, not its inputs."""
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


def list_segments(planned: Iterable[PlannedSegment]) -> Iterator[Segment]:
    """Yield the segments of a plan; a long run of equal ones as one with a count."""
    for _, run in groupby(planned, key=lambda each: (id(each.plan), each.continues_from)):
        equal = list(run)
        if len(equal) > _LISTED_ONE_BY_ONE:
            yield equal[0].to_segment(len(equal))
        else:
            yield from (each.to_segment() for each in equal)


def sum_known(values: Iterable[float | None]) -> float | None:
    """Return the sum, None if any is unknown."""
    whole = 0.0
    for value in values:
        if value is None:
            return None
        whole += value
    return whole
