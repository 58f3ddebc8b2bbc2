"""The sound of a source video, kept for a video that has the same timeline. Nothing is encoded."""

from pathlib import Path

from media_agent.ingest.source import Source, open_medium
from media_agent.storage.files import write_aside
from media_agent.video.container import open_new_mp4


def copy_sound(source: Source, target: Path) -> float:
    """Write the sound of a video, from its first image on, to an MP4 of sound alone.

    Returns how many seconds there are of it: 0, and no file, where it has none.

    Raises:
        InvalidRequestError: no MP4 can hold sound of its kind, or the video cannot be read.
    """
    with open_medium(source, "video") as medium:
        sound = medium.container.streams.audio
        if not sound:
            return 0.0
        unit = medium.stream.time_base
        end = 0.0
        start = (medium.stream.start_time or 0) * unit if unit else 0
        try:
            with write_aside(target) as aside, open_new_mp4(aside) as container:
                copies = {each.index: container.add_stream_from_template(each) for each in sound}
                for packet in medium.container.demux(*sound):
                    own = packet.time_base
                    if packet.dts is None or packet.pts is None or not own:
                        continue
                    packet.pts -= round(start / own)
                    packet.dts -= round(start / own)
                    if packet.pts + 2 * (packet.duration or 0) > 0:  # one more, to decode the first
                        packet.stream = copies[packet.stream_index]
                        end = max(end, float((packet.pts + (packet.duration or 0)) * own))
                        container.mux(packet)
        except (OSError, ValueError) as error:
            target.unlink(missing_ok=True)
            reason = getattr(error, "strerror", None) or str(error)
            raise medium.given.unusable_error(f"its sound cannot be copied ({reason})") from error
    return end
