"""Decoded frames become upright RGB of one size, by FFmpeg's own filters (PyAV, at first use)."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, cast

from media_agent.ingest.colour_profile import Conversion, ProfileError, build_srgb_conversion
from media_agent.ingest.orientation import choose_filters
from media_agent.ingest.source import Medium
from media_agent.video.images import SCALING, build_graph, matrix_of, push_through
from media_agent_schemas.media import Size

if TYPE_CHECKING:
    from av.filter import Graph
    from av.video.frame import VideoFrame

    from media_agent.video.codec import Frames

Fit = Literal["crop", "pad"]
Tell = Callable[[str], None]

_HDR = {16: "PQ", 18: "HLG"}  # transfer curves
_WIDE = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}  # primaries
_OPAQUE = 255


class Shaper:
    """Shapes the frames of one image or video; sets its filters up again where these change."""

    def __init__(self, medium: Medium, *, size: Size | None, fit: Fit, tell: Tell | None) -> None:
        self._medium = medium
        self._size, self._fit, self._tell = size, fit, tell
        self._turn: list[str] | None = None
        self._own: tuple[int, int] | None = None
        self._made_for: tuple[object, ...] = ()
        self._graph: Graph | None = None
        self._looks_for_holes = tell is not None
        self._convert: Conversion | None = None

    def __call__(self, image: "VideoFrame") -> "Frames":
        """Return the frame (uint8, H W 3), in sRGB where it says of which colour space it is."""
        pixels = cast("Frames", self.reshape(image).to_ndarray(format="rgb24"))
        return pixels if self._convert is None else self._convert(pixels)

    def reshape(self, image: "VideoFrame") -> "VideoFrame":
        """Return the frame in rgb24, its colours as they are; this needs no numpy."""
        if self._turn is None:
            self._turn = choose_filters(image.rotation, self._medium.is_mirrored)
            self._convert = self._choose_conversion()
            self._say_shape(image)
            self._say_colours(image)
        if self._looks_for_holes and _has_alpha(image):
            self._say_holes(image)
        if self._medium.given.kind == "video":
            image.colorspace = matrix_of(image)
        kind = (image.format.name, image.width, image.height)
        made_for = (*kind, image.colorspace, image.color_range, image.color_trc)
        if self._graph is None or made_for != self._made_for:
            self._graph, self._made_for = build_graph(image, self._list_filters(image)), made_for
        return push_through(self._graph, image)

    def _choose_conversion(self) -> Conversion | None:
        """Return what makes its colours sRGB, None where nothing does; tell where it should."""
        profile = self._medium.profile
        if profile is None:
            return None
        try:
            return build_srgb_conversion(profile)
        except ProfileError as error:
            self._say(f"has a colour profile that is not applied: {error}; its colours may be off")
            return None

    def _say_colours(self, image: "VideoFrame") -> None:
        curve, gamut = _HDR.get(image.color_trc), _WIDE.get(image.color_primaries)
        if curve is not None:
            self._say(f"is HDR ({curve}); its colours are used as they are, and look pale")
        elif gamut is not None and self._medium.profile is None:
            self._say(f"has the colours of {gamut}, which are used as they are, and look pale")
        if self._medium.hides_alpha:
            self._say("is transparent in places; they are shown as if they were not")

    def _say_holes(self, image: "VideoFrame") -> None:
        if image.to_ndarray(format="rgba")[..., 3].min() < _OPAQUE:
            self._say("is transparent in places; they become black")
            self._looks_for_holes = False

    def _say_shape(self, image: "VideoFrame") -> None:
        size, (width, height, aspect) = self._size, measure_upright(self._medium, image)
        if size is None or abs(width * aspect * size.height / (height * size.width) - 1) < 0.01:
            return
        done = "cropped" if self._fit == "crop" else "filled up with black"
        if self._tell is not None:
            self._tell(f"{self._medium.given.name}: {width}x{height}, {done} to {size}")

    def _say(self, what: str) -> None:
        if self._tell is not None:
            self._tell(f"{self._medium.given.name} {what}")

    def _list_filters(self, image: "VideoFrame") -> Iterator[tuple[str, str]]:
        """Yield the filters with their arguments."""
        yield from ((name, "dir=0" if name == "transpose" else "") for name in self._turn or ())
        width, height, aspect = measure_upright(self._medium, image)
        if _has_alpha(image):
            yield "scale", SCALING
            yield "format", "rgba"
            yield "format", "gbrap16le"  # in 8 bits what is opaque would lose a level
            yield "premultiply", "inplace=1"
        size = self._size
        if size is None:
            if self._own is None:  # later frames of another size become as the first
                self._own = max(1, round(width * aspect)), height
            yield "scale", f"{self._own[0]}:{self._own[1]}:{SCALING}"
            yield "format", "rgb24"
            return
        wanted = Fraction(size.width, size.height) / aspect  # in pixels of the source
        if self._fit == "crop":  # before scaling: a strip would become huge
            across, down = _fit_within(width, height, wanted)
            yield "crop", f"{across}:{down}:exact=1"
            across, down = size.width, size.height
        else:
            across, down = _fit_within(size.width, size.height, width * aspect / height)
        yield "scale", f"{across}:{down}:{SCALING}"
        yield "format", "rgb24"
        yield "pad", f"{size.width}:{size.height}:(ow-iw)/2:(oh-ih)/2:black"


def measure_upright(medium: Medium, image: "VideoFrame") -> tuple[int, int, Fraction]:
    """Return width, height and the aspect of a pixel once the frame is upright."""
    if "transpose" in choose_filters(image.rotation, medium.is_mirrored):
        return image.height, image.width, 1 / medium.aspect
    return image.width, image.height, medium.aspect


def _has_alpha(image: "VideoFrame") -> bool:
    return image.format.has_palette or any(part.is_alpha for part in image.format.components)


def _fit_within(width: int, height: int, shape: Fraction) -> tuple[int, int]:
    """Return the largest sides of that shape, at least one pixel."""
    return max(1, min(width, round(height * shape))), max(1, min(height, round(width / shape)))
