"""The master playlist of HLS: one stream, with what a player has to know before it is fetched."""

import io

_SPARE = 1.1  # of the bit rate, for what wraps the packets


def write_master(header: bytes, segment: bytes, peak: float) -> str:
    """Return the playlist that names the one of the segments.

    Args:
        header: What stands before every segment.
        segment: Any of them.
        peak: The most bits that a second of any segment has.
    """
    import av

    from media_agent.video.mp4.codec_names import name_codec

    with av.open(io.BytesIO(header + segment)) as container:
        video, audio = container.streams.video[0], container.streams.audio[:1]
        names = [
            name_codec(context.codec.canonical_name, context.extradata or b"", context.codec_tag)
            for context in (each.codec_context for each in (video, *audio))
        ]
        said = [f"BANDWIDTH={max(1, round(peak * _SPARE))}"]
        if all(names):  # or none: a list that is not whole is worse
            said.append(f'CODECS="{",".join(map(str, names))}"')
        said.append(f"RESOLUTION={video.width}x{video.height}")
        if video.average_rate:
            said.append(f"FRAME-RATE={float(video.average_rate):.3f}")
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    return "\n".join([*lines, f"#EXT-X-STREAM-INF:{','.join(said)}", "index.m3u8"]) + "\n"
