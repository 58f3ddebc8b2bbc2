"""How loud the sound of a video is: EBU R 128, as FFmpeg's filter `ebur128` measures it."""

import math
from typing import TYPE_CHECKING

from media_agent_schemas.quality import Loudness

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.filter import Graph

_SILENCE = -70.0  # LUFS: what the filter says of silence, and of less than 0.4 seconds
_LEAST, _MOST = 1e-6, 1e6  # of full scale: -120 and 120 dB


class LoudnessMeter:
    """Takes the frames of a sound in their order."""

    def __init__(self) -> None:
        """Begin; what the sound is like, its first frame says."""
        self._graph: Graph | None = None
        self._like: tuple[int, str, str] | None = None
        self._said: dict[str, str] = {}
        self._peak = 0.0

    def add(self, frame: "AudioFrame") -> None:
        """Listen to the next frame; one that is of another kind than the first is left out."""
        like = frame.sample_rate, frame.layout.name, frame.format.name
        if self._graph is None:
            self._graph, self._like = _build_graph(*like), like
        if like != self._like:
            return
        frame.pts = None  # times of a damaged file would stop the filter
        self._graph.push(frame)
        self._pull()

    def finish(self) -> Loudness:
        """Return what was heard."""
        if self._graph is not None:
            self._graph.push(None)
            self._pull()
        whole = float(self._said.get("lavfi.r128.I", "nan"))
        return Loudness(
            integrated_lufs=round(whole, 1) if _SILENCE < whole < math.inf else None,
            peak_dbfs=round(20 * math.log10(min(max(self._peak, _LEAST), _MOST)), 1),
        )

    def _pull(self) -> None:
        import av

        if self._graph is None:
            return
        while True:
            try:
                heard = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            self._said = dict(heard.metadata) or self._said
            self._peak = max(self._peak, float(self._said.get("lavfi.r128.sample_peak", 0)))


def _build_graph(rate: int, layout: str, sample_format: str) -> "Graph":
    import av.filter

    graph = av.filter.Graph()
    facts = f"sample_rate={rate}:sample_fmt={sample_format}:channel_layout={layout}"
    source = graph.add("abuffer", f"{facts}:time_base=1/{rate}")
    meter = graph.add("ebur128", "metadata=1:framelog=quiet:peak=sample")
    graph.link_nodes(source, meter, graph.add("abuffersink")).configure()
    return graph
