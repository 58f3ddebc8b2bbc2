"""What an image or a video may be that a provider takes, and what is wrong with one; pure."""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict


class Limits(BaseModel):
    """Limits of one input; None: not limited as far as known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    types: tuple[str, ...] = ()  # media types; empty: PNG, JPEG, WebP; MP4, WebM
    most_bytes: int | None = None
    least_side: int | None = None  # pixels of the shorter side
    most_side: int | None = None  # pixels of the longer side
    flattest: float | None = None  # width by height at most
    tallest: float | None = None  # width by height at least
    most_seconds: float | None = None  # of a video
    least_seconds: float | None = None

    def flaws_of_shape(self, width: int, height: int) -> Iterator[str]:
        """Yield what no conversion mends, each with the limit and what would fit."""
        least, shape = self.least_side, width / height
        if least is not None and min(width, height) < least:
            yield f"it is {width}x{height}; the shorter side must have at least {least} pixels"
        if self.flattest is not None and shape > self.flattest:
            yield self._say_shape(width, height, round(height * self.flattest), height)
        if self.tallest is not None and shape < self.tallest:
            yield self._say_shape(width, height, width, round(width / self.tallest))

    def flaws_of_length(self, seconds: float) -> Iterator[str]:
        """Yield what is wrong with the length of a video."""
        if self.most_seconds is not None and seconds > self.most_seconds + 0.05:
            yield f"it lasts {seconds:.4g} s; at most {self.most_seconds:g} s are accepted"
        if self.least_seconds is not None and seconds < self.least_seconds - 0.05:
            yield f"it lasts {seconds:.4g} s; at least {self.least_seconds:g} s are needed"

    def _say_shape(self, width: int, height: int, across: int, down: int) -> str:
        low = "" if self.tallest is None else f"{self.tallest:g} "
        high = "" if self.flattest is None else f"{self.flattest:g}"
        span = f"{low}to {high}" if low and high else high or f"at least {low.strip()}"
        return (
            f"it is {width}x{height}; width by height must be {span}: cut to {across}x{down} it "
            "would fit"
        )
