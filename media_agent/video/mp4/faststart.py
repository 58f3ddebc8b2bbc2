"""MP4s whose index lies behind the frames: a player waits for all of them before it starts."""

from pathlib import Path

from media_agent.errors import StorageError
from media_agent.video.container import open_new_mp4, open_video
from media_agent.video.mp4.boxes import read_boxes
from media_agent.video.probe import probe

_COPIED = ("video", "audio")


def has_index_in_front(path: Path) -> bool:
    """Whether the index of an MP4 comes before its frames; what is no MP4 has none behind them."""
    with path.open("rb") as file:
        kinds = (box.kind for box in read_boxes(file, 0, path.stat().st_size))
        return next((kind for kind in kinds if kind in (b"moov", b"mdat")), b"moov") == b"moov"


def move_index(source: Path, target: Path) -> bool:
    """Copy an MP4, all its frames and sound as they are, so that its index is in front.

    False, and no file, where something would be lost by it, as a signature over the file.
    """
    try:
        if not _is_signed(source) and _copy(source, target):
            return True
    except (OSError, ValueError, StorageError):
        pass  # it stays as it is
    target.unlink(missing_ok=True)
    return False


def _copy(source: Path, target: Path) -> bool:
    with open_video(source) as video, open_new_mp4(target) as container:
        if any(stream.type not in _COPIED for stream in video.streams):
            return False
        container.metadata.update(video.metadata)
        copies = {each.index: container.add_stream_from_template(each) for each in video.streams}
        for packet in video.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                container.mux(packet)
    return _read_content(source) == _read_content(target)


def _is_signed(path: Path) -> bool:
    """Whether it has a box of somebody's own, such as that of Content Credentials."""
    with path.open("rb") as file:
        return any(box.kind == b"uuid" for box in read_boxes(file, 0, path.stat().st_size))


def _read_content(path: Path) -> tuple[object, ...]:
    """Return what has to be the same after copying."""
    with open_video(path) as video:
        packets = sorted((each.stream_index, each.dts or 0, each.size) for each in video.demux())
    sizes = [(index, size) for index, _, size in packets if size]
    return sizes, probe(path).model_copy(update={"size_bytes": None})
