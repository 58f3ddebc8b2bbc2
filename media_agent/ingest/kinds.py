"""What a file is that is no image or video of the kinds that are read: by its first bytes."""

import codecs

_STARTS = (
    (0, b"#EXTM3U", "a playlist, and what it names is not opened"),
    (0, b"ffconcat", "a playlist, and what it names is not opened"),
    (0, b"%PDF", "a PDF"),
    (0, b"PK\3\4", "a ZIP archive"),
)
OTHER_IMAGES = {  # which FFmpeg's names do not tell from videos
    "apng": "an animated PNG",
    "fits": "a FITS image",
    "gif": "a GIF",
    "ico": "an icon",
    "jpegxl_anim": "an animated JPEG XL",
}
STILL = ("fits", "ico")
_BRANDS = {  # of images in a file like an MP4
    "AVIF": (b"avif", b"avis"),
    "HEIC": (b"heic", b"heim", b"heis", b"heix", b"hevc", b"hevx", b"hevm", b"hevs"),
    "HEIF": (b"mif1", b"mif2", b"msf1"),
}


def describe_kind(head: bytes) -> str | None:
    """Say what a file is that cannot be read, None where its first bytes do not tell."""
    for place, start, what in _STARTS:
        if head[place : place + len(start)] == start:
            return f"it is {what}"
    if is_animated_webp(head):
        return "it is an animated WebP"
    if (image := find_heif_kind(head)) is not None:
        return f"it is {image}"
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return None
    return "it is text" if "".join(text.split()).isprintable() else None


def find_heif_kind(head: bytes) -> str | None:
    """Return the kind of an image that lies in a file like an MP4, by its main brand and others."""
    main, end = head[8:12], min(int.from_bytes(head[:4], "big"), len(head))
    if head[4:8] != b"ftyp" or not any(main in brands for brands in _BRANDS.values()):
        return None
    own = {main, *(head[place : place + 4] for place in range(16, end - 3, 4))}
    return next(name for name, brands in _BRANDS.items() if not own.isdisjoint(brands))


def is_animated_webp(head: bytes) -> bool:
    """Whether it is one, which not every version of FFmpeg reads."""
    is_extended = head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) > 20
    return is_extended and bool(head[20] & 2)
