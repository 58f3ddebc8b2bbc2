"""Images and videos with changed bytes, through all that reads files of others."""

import contextlib
import io
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from PIL import Image

from media_agent.ingest.completeness import check_whole
from media_agent.ingest.digests import digests_of
from media_agent.ingest.extend import join_source
from media_agent.ingest.fit import fit_image
from media_agent.ingest.inline import read_inline_video
from media_agent.ingest.read import (
    check_image,
    check_video,
    iterate_upright,
    measure_video,
    read_all,
    read_end,
    read_image,
    read_video_seconds,
)
from media_agent.ingest.sound import copy_sound
from media_agent.provenance.c2pa.read import read_provenance
from media_agent.provenance.quality.report import inspect_video
from media_agent.provenance.seams import score_seams
from media_agent.testing.simulator.videos import Video, make_video
from media_agent.video.chunk_file import StoredChunk, read_chunk, read_length
from media_agent.video.codec import encode_chunk
from media_agent.video.concat import join_videos
from media_agent.video.contact_sheet import write_contact_sheet
from media_agent.video.images import shrink_png
from media_agent.video.mp4.faststart import has_index_in_front, move_index
from media_agent.video.mp4.fragments import cut_fragment, find_cuts
from media_agent.video.probe import probe
from media_agent_schemas.media import InputRole, MediaInput, Size
from tests.fuzz.odd import odd_bytes
from tests.fuzz.rules import named, ruled
from tests.provenance.c2pa.signed_videos import sign_as

TURNED = b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"  # by a quarter
FRAMES, SIZE = 12, Size(width=32, height=32)


@lru_cache
def images() -> dict[str, bytes]:
    """Return an image of each kind that is taken, small."""
    pixels = np.random.default_rng(7).integers(0, 255, (12, 16, 4), np.uint8)
    made = {"palette.png": Image.fromarray(pixels[..., :3]).convert("P")}
    kinds = {"a.png": pixels, "a.jpg": pixels[..., :3], "a.webp": pixels[..., :3]}
    made |= {name: Image.fromarray(each) for name, each in kinds.items()}
    found = {}
    for name, image in made.items():
        file = io.BytesIO()
        kind = {"jpg": "JPEG"}.get(name.partition(".")[2], name.partition(".")[2].upper())
        image.save(
            file, kind, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
        )
        found[name] = file.getvalue()
    return found


@lru_cache
def videos() -> dict[str, bytes]:
    """Return a video of each kind that is taken, small."""
    return {
        "plain.mp4": make_video(Video(FRAMES, 8.0, 32, 32, 90)),
        "sound.mp4": _encode("mp4", "libx264", sound=True),
        "fragments.mp4": _encode("mp4", "libx264", movflags="frag_keyframe+empty_moov"),
        "a.webm": _encode("webm", "libvpx-vp9"),
        "a.mov": _encode("mov", "mpeg4"),
        "signed.mp4": _sign(make_video(Video(FRAMES, 8.0, 32, 32, 90))),
    }


def _sign(video: bytes) -> bytes:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "plain.mp4").write_bytes(video)
        return sign_as("signer", folder / "plain.mp4", folder / "signed.mp4", folder).read_bytes()


def _encode(kind: str, codec: str, *, sound: bool = False, **options: str) -> bytes:
    file = io.BytesIO()
    dice = np.random.default_rng(7)
    with av.open(file, "w", kind, options=options) as container:
        stream: Any = container.add_stream(codec, 8)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        audio: Any = container.add_stream("aac", 16000) if sound else None
        for _ in range(FRAMES):
            pixels = dice.integers(0, 255, (32, 32, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode(None))
        for _ in range(24 if sound else 0):
            frame: Any = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate = 16000
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None) if sound else ())
    return file.getvalue()


def _use(iterator: Iterator[object]) -> None:
    for _ in iterator:
        pass


def _image_uses(path: Path) -> dict[str, Callable[[], object]]:
    medium = MediaInput(role=InputRole.FIRST_FRAME, path=str(path))
    content = path.read_bytes()
    return {
        "check_image": lambda: check_image(path),
        "read_image": lambda: read_image(content, size=SIZE, fit="pad"),
        "fit_image": lambda: fit_image(content, "image", types=("image/jpeg",), most_side=8),
        "digests": lambda: digests_of([medium]),
        "shrink_png": lambda: shrink_png(path, 8),
        "provenance": lambda: read_provenance(path),
    }


def _video_uses(path: Path) -> dict[str, Callable[[], object]]:
    content, out = path.read_bytes(), path.with_name("out.mp4")
    sound = path.with_name("plain.mp4")

    def fragments() -> None:
        cuts = find_cuts(path)
        for number in range(min(3, len(cuts.lengths))):
            cut_fragment(path, cuts, number)

    return {
        "check_video": lambda: check_video(path),
        "check_whole": lambda: check_whole(path),
        "read_all": lambda: _use(read_all(content, limit=9, size=SIZE, fps=5)),
        "read_end": lambda: read_end(path, frames=3, fps=12),
        "seconds": lambda: read_video_seconds(path),
        "measure_video": lambda: measure_video(content),
        "upright": lambda: _use(iterate_upright(path, size=SIZE, fps=12, most_pixels=2**22)),
        "copy_sound": lambda: copy_sound(path, out),
        "inspect": lambda: inspect_video(path, boundaries=(3, 7)),
        "contact_sheet": lambda: write_contact_sheet(path, path.with_name("sheet.png")),
        "seams": lambda: score_seams(path, (3, 7)),
        "join": lambda: join_videos([path, sound], out),
        "join_behind": lambda: join_videos([sound, path], out, shared=1),
        "join_source": lambda: join_source(path, sound, out),
        "faststart": lambda: (has_index_in_front(path), move_index(path, out)),
        "fragments": fragments,
        "probe": lambda: probe(path),
        "provenance": lambda: read_provenance(path),
        "sign": lambda: sign_as("fuzz", path, out, path.parent),
        "ingredient": lambda: sign_as("fuzz", sound, out, path.parent, of=path),
    }


def _chunk_uses(path: Path) -> dict[str, Callable[[], object]]:
    return {"read_chunk": lambda: read_chunk(path, 0, 0), "read_length": lambda: read_length(path)}


@lru_cache
def chunks() -> dict[str, bytes]:
    """Return a chunk as it is kept of a video in the making."""
    encoded = encode_chunk(np.zeros((2, 32, 32, 3), np.uint8), fps=8)
    return {"0.chunk": StoredChunk(0, 0, 2, encoded).seal()}


@contextlib.contextmanager
def media(folder: Path) -> Iterator[Callable[[Random], None]]:
    """Yield what tries one file."""
    kinds = [(images(), _image_uses), (videos(), _video_uses), (videos(), _video_uses)]
    kinds.append((chunks(), _chunk_uses))
    (folder / "plain.mp4").write_bytes(videos()["plain.mp4"])

    def example(dice: Random) -> None:
        files, uses_of = kinds[dice.randint(0, len(kinds) - 1)]
        name = dice.choice(sorted(files))
        path = folder / f"odd-{name}"
        path.write_bytes(odd_bytes(dice, files[name]))
        for use, call in uses_of(path).items():
            with named(use), ruled(folder):
                call()
        with named("inline"), ruled(folder):
            read_inline_video(f"data:video/mp4;base64,{name}")

    yield example
