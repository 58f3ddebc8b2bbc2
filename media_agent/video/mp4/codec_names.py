"""The names of codecs as players know them (RFC 6381), such as avc1.64001f."""


def name_codec(codec: str, config: bytes, tag: str = "") -> str | None:
    """Return the name of what is in an MP4; None: it has none that we can tell.

    Args:
        codec: FFmpeg's word, such as h264.
        config: What the file says to set a decoder up: an avcC, hvcC or av1C box, or the
            AudioSpecificConfig of AAC.
        tag: How the file calls it, such as hev1.
    """
    match codec:
        case "h264" if len(config) >= 4 and config[0] == 1:
            return f"avc1.{config[1:4].hex()}"
        case "hevc" if len(config) >= 13 and config[0] == 1:
            return f"{'hev1' if tag == 'hev1' else 'hvc1'}.{_describe_hevc(config)}"
        case "av1" if len(config) >= 3 and config[0] == 0x81:
            return f"av01.{_describe_av1(config)}"
        case "aac":
            return f"mp4a.40.{config[0] >> 3 if config else 2}"
        case "mp3":
            return "mp4a.40.34"
        case "opus":
            return "Opus"
    return None


def _describe_hevc(config: bytes) -> str:
    """Return profile, compatibility, tier and level, and constraints (ISO 14496-15, annex E)."""
    space, tier, profile = config[1] >> 6, config[1] >> 5 & 1, config[1] & 31
    compatible = int(f"{int.from_bytes(config[2:6], 'big'):032b}"[::-1], 2)
    constraints = config[6:12].rstrip(b"\0")
    parts = [f"{['', 'A', 'B', 'C'][space]}{profile}", f"{compatible:X}"]
    parts += [f"{'H' if tier else 'L'}{config[12]}", *(f"{each:X}" for each in constraints)]
    return ".".join(parts)


def _describe_av1(config: bytes) -> str:
    """Return profile, level and tier, and bits of a sample (AV1 in ISOBMFF, section 5)."""
    profile, level = config[1] >> 5, config[1] & 31
    tier, is_high, is_twelve = config[2] >> 7, config[2] >> 6 & 1, config[2] >> 5 & 1
    bits = (12 if is_twelve else 10) if is_high else 8
    return f"{profile}.{level:02d}{'H' if tier else 'M'}.{bits:02d}"
