"""What Open-Sora 2.0 makes: a row for each way to run it that has limits of its own.

Sizes are those that come out for a resolution and a ratio. Memory and time are what its authors
measured with 50 steps on H100 GPUs; what they did not measure is unknown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from media_agent_schemas.media import InputRole, Size
from media_agent_schemas.request import VideoMode

FPS = 24.0
LONGEST = 129  # frames of one run
STEPS = 50
MEASURED = f"its authors' figure: H100, {STEPS} steps"
FRAMES_TAKEN = 33
FRAMES_TAKEN_EASY = 65
APACHE = "Apache-2.0"
FLUX = "FLUX.1-dev non-commercial"


@dataclass(frozen=True, slots=True)
class Resolution:
    """A nominal resolution, with the sizes by the ratio that asks for them."""

    name: str
    sizes: Mapping[str, Size]
    memory_gb: float  # on one GPU
    seconds: Mapping[int, float]  # of the longest run, by number of GPUs


@dataclass(frozen=True, slots=True)
class Model:
    """One way to run Open-Sora."""

    resolution: Resolution
    modes: tuple[VideoMode, ...]
    roles: tuple[InputRole, ...] = ()
    overlap: int = 0
    """Frames of its source that a run makes again."""
    place: Literal["head", "tail"] = "head"
    """Where in the run these frames are."""
    makes_image: bool = False
    """Whether FLUX.1-dev makes the first frame."""

    @property
    def longest(self) -> int:
        """Return the maximum number of new frames."""
        return LONGEST - self.overlap

    @property
    def fewest(self) -> int:
        """Return the minimum number of new frames; a single one would be an image."""
        return 4 if self.overlap else 5

    @property
    def licence(self) -> str:
        """Return the strictest licence of the weights that it needs."""
        return FLUX if self.makes_image else APACHE

    @property
    def condition(self) -> str:
        """Return what Open-Sora calls the way in which this model takes its source."""
        easy = "_easy" if self.overlap == FRAMES_TAKEN_EASY else ""
        return f"v2v_{self.place}{easy}"

    def count_gpus(self, given: int) -> int:
        """Return how many of the given GPUs it uses; none given is one."""
        is_for_one = self.makes_image and self.resolution is SMALL
        return 1 if is_for_one else max(1, given)

    def name_config(self, gpus: int) -> str:
        """Return the name of the configuration file for so many GPUs."""
        if self.makes_image:
            return f"t2i2v_{self.resolution.name}.py"
        parallel = "_tp" if self.resolution is SMALL and gpus > 1 else ""
        return f"{self.resolution.name}{parallel}.py"

    def name_ratio(self, size: Size) -> str:
        """Return the ratio that gives this size."""
        return next(ratio for ratio, known in self.resolution.sizes.items() if known == size)


SMALL = Resolution(
    name="256px",
    sizes={
        "16:9": Size(width=336, height=192),
        "9:16": Size(width=192, height=336),
        "1:1": Size(width=256, height=256),
        "2.39:1": Size(width=384, height=160),
        "4:3": Size(width=288, height=224),
    },
    memory_gb=52.5,
    seconds={1: 60.0},
)
LARGE = Resolution(
    name="768px",
    sizes={
        "16:9": Size(width=1024, height=576),
        "9:16": Size(width=576, height=1024),
        "1:1": Size(width=768, height=768),
        "2.39:1": Size(width=1184, height=496),
        "4:3": Size(width=880, height=656),
    },
    memory_gb=60.3,
    seconds={1: 1656.0, 8: 276.0},
)


def _list_models(resolution: Resolution) -> Iterator[tuple[str, Model]]:
    name = resolution.name
    modes = (VideoMode.TEXT_TO_VIDEO, VideoMode.IMAGE_TO_VIDEO, VideoMode.FIRST_LAST_FRAME)
    yield name, Model(resolution, modes, (InputRole.FIRST_FRAME, InputRole.LAST_FRAME))
    yield f"t2i2v-{name}", Model(resolution, (VideoMode.TEXT_TO_VIDEO,), makes_image=True)
    extend = Model(resolution, (VideoMode.VIDEO_EXTEND,), (InputRole.SOURCE_VIDEO,), FRAMES_TAKEN)
    prepend = replace(extend, place="tail")
    for way, model in (("extend", extend), ("prepend", prepend)):
        yield f"{name}-{way}", model
        yield f"{name}-{way}-easy", replace(model, overlap=FRAMES_TAKEN_EASY)


MODELS = {name: model for each in (SMALL, LARGE) for name, model in _list_models(each)}
"""Every model by its name, the default first."""
