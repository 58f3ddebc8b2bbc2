"""Decoded frames become upright RGB of one size, by FFmpeg's own filters (PyAV, at first use)."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, cast

from media_agent.ingest.orientation import choose_filters
from media_agent_schemas.media import Size

if TYPE_CHECKING:
    from av.filter import Graph
    from av.video.frame import VideoFrame

    from media_agent.video.codec import Frames

Fit = Literal["crop", "pad"]
Tell = Callable[[str], None]

_HDR = {16: "PQ", 18: "HLG"}  # transfer curves
_SCALING = "flags=lanczos+accurate_rnd+full_chroma_int+full_chroma_inp"


class Shaper:
    """Shapes the frames of one image or video; sets its filters up again where these change."""

    def __init__(
        self,
        name: str,
        *,
        size: Size | None,
        fit: Fit,
        aspect: Fraction,
        is_mirrored: bool,
        tell: Tell | None,
    ) -> None:
        self._name, self._size, self._fit, self._aspect = name, size, fit, aspect
        self._is_mirrored, self._tell = is_mirrored, tell
        self._turn: list[str] | None = None
        self._own: tuple[int, int] | None = None
        self._made_for: tuple[object, ...] = ()
        self._graph: Graph | None = None

    def __call__(self, image: "VideoFrame") -> "Frames":
        """Return the frame (uint8, H W 3)."""
        return cast("Frames", self.reshape(image).to_ndarray(format="rgb24"))

    def reshape(self, image: "VideoFrame") -> "VideoFrame":
        """Return the frame in rgb24; unlike its pixels, it needs no numpy."""
        if self._turn is None:
            self._turn = choose_filters(image.rotation, self._is_mirrored)
            self._say(image)
        kind = (image.format.name, image.width, image.height)
        made_for = (*kind, image.colorspace, image.color_range, image.color_trc)
        if self._graph is None or made_for != self._made_for:
            self._graph, self._made_for = _build_graph(image, self._list_filters(image)), made_for
        return _push_through(self._graph, image)

    def _say(self, image: "VideoFrame") -> None:
        if self._tell is None:
            return
        if image.color_trc in _HDR:
            curve = _HDR[image.color_trc]
            self._tell(
                f"{self._name} is HDR ({curve}); its colours are used as they are, and look pale"
            )
        size, (width, height, aspect) = self._size, self._measure_upright(image)
        if size is None or abs(width * aspect * size.height / (height * size.width) - 1) < 0.01:
            return
        done = "cropped" if self._fit == "crop" else "filled up with black"
        self._tell(f"{self._name}: {width}x{height}, {done} to {size}")

    def _measure_upright(self, image: "VideoFrame") -> tuple[int, int, Fraction]:
        """Return width, height and the aspect of a pixel once the frame is upright."""
        if self._turn is not None and "transpose" in self._turn:
            return image.height, image.width, 1 / self._aspect
        return image.width, image.height, self._aspect

    def _list_filters(self, image: "VideoFrame") -> Iterator[tuple[str, str]]:
        """Yield the filters with their arguments."""
        yield from ((name, "dir=0" if name == "transpose" else "") for name in self._turn or ())
        width, height, aspect = self._measure_upright(image)
        if any(part.is_alpha for part in image.format.components) or image.format.has_palette:
            yield "format", "gbrap"
            yield "premultiply", "inplace=1"
        size = self._size
        if size is None:
            if self._own is None:  # later frames of another size become as the first
                self._own = max(1, round(width * aspect)), height
            yield "scale", f"{self._own[0]}:{self._own[1]}:{_SCALING}"
            yield "format", "rgb24"
            return
        wanted = Fraction(size.width, size.height) / aspect  # in pixels of the source
        if self._fit == "crop":  # before scaling: a strip would become huge
            across, down = _fit_within(width, height, wanted)
            yield "crop", f"{across}:{down}:exact=1"
            across, down = size.width, size.height
        else:
            across, down = _fit_within(size.width, size.height, width * aspect / height)
        yield "scale", f"{across}:{down}:{_SCALING}"
        yield "format", "rgb24"
        yield "pad", f"{size.width}:{size.height}:(ow-iw)/2:(oh-ih)/2:black"


def _fit_within(width: int, height: int, shape: Fraction) -> tuple[int, int]:
    """Return the largest sides of that shape, at least one pixel."""
    return max(1, min(width, round(height * shape))), max(1, min(height, round(width / shape)))


def _build_graph(image: "VideoFrame", steps: Iterable[tuple[str, str]]) -> "Graph":
    import av.filter

    graph = av.filter.Graph()
    facts = (
        f"video_size={image.width}x{image.height}:pix_fmt={image.format.name}:time_base=1/1"
        f":colorspace={int(image.colorspace)}:range={int(image.color_range)}"
    )
    nodes = [graph.add("buffer", facts), *(graph.add(name, value) for name, value in steps)]
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    return graph


def _push_through(graph: "Graph", image: "VideoFrame") -> "VideoFrame":
    graph.vpush(image)
    return graph.vpull()
