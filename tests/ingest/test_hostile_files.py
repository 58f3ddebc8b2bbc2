"""Images made to do harm: they end no process, take no memory, and are no one's hours."""

import io
import os
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageCms

from media_agent.errors import InvalidRequestError
from media_agent.ingest.file_parts import PNG, strip_png
from media_agent.ingest.read import (
    check_image,
    check_video,
    open_ordinary,
    read_all,
    read_end,
    read_image,
)
from media_agent.testing.simulator.videos import write_video

SIZE = (16, 8)
MEMORY = 300 << 20  # bytes that a process may take besides what it has mapped when it starts
READ = """
import gc, resource, sys
import av
from media_agent.errors import InvalidRequestError
from media_agent.ingest.file_parts import PNG, strip_png
from media_agent.ingest.read import read_all, read_image
most = int(sys.argv[1])
if most:
    pages = int(open('/proc/self/statm').read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + most,) * 2)
for name in sys.argv[2:]:
    with open(name, 'rb') as file:
        content = file.read()
    for _ in range(3):
        try:
            if 'video' in name:
                list(read_all(content, limit=9))
            else:
                read_image(content)
        except InvalidRequestError as error:
            print(name.rpartition('/')[2], error.message)
            break
        gc.collect()
# ru_maxrss is at least what the process that started this one had
print('alive', open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])
"""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*beside: bytes, pixels: bytes | None = None, bits: int = 8, colour: int = 2) -> bytes:
    """Return a PNG of `SIZE` with chunks beside its pixels."""
    width, height = SIZE
    row = b"\0" + b"\x80" * (width * {2: 3, 6: 4, 0: 1}[colour] * bits // 8)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    packed = zlib.compress(row * height) if pixels is None else pixels
    parts = (head, *beside, chunk(b"IDAT", packed), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bomb(mebibytes: int = 300) -> bytes:
    packer = zlib.compressobj(9)
    zeros = bytes(1 << 20)
    return b"".join(packer.compress(zeros) for _ in range(mebibytes)) + packer.flush()


def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def saved(mode: str, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, SIZE, 90).save(file, kind, icc_profile=profile(), **options)
    return file.getvalue()


def jpeg(**options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (90, 60, 30)).save(file, "JPEG", **options)
    return file.getvalue()


def run(folder: Path, files: dict[str, bytes], most: int = 0) -> subprocess.CompletedProcess[str]:
    """Read each file four times in a process of its own; a crash is its exit code."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    names = (str(folder / name) for name in files)
    return subprocess.run(
        [sys.executable, "-c", READ, str(most), *names], capture_output=True, text=True, timeout=60
    )


def video_of_images(content: bytes, count: int = 2) -> bytes:
    """Return a MOV whose frames are whole PNGs."""
    file = io.BytesIO()
    with av.open(file, "w", "mov") as container:
        stream: Any = container.add_stream("png", 24)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "rgb24"
        for number in range(count):
            packet: Any = av.Packet(content)
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 24), stream, True
            container.mux(packet)
    return file.getvalue()


# --- what crashed


def test_images_with_a_colour_profile_leave_the_process_alive(tmp_path: Path) -> None:
    named = chunk(b"iCCP", b"a name\0\0" + zlib.compress(profile()))
    frames = [Image.new("RGB", SIZE, colour) for colour in ("red", "blue")]
    apng = io.BytesIO()
    frames[0].save(apng, "PNG", save_all=True, append_images=frames[1:], icc_profile=profile())
    files = {
        "rgb.png": saved("RGB", "PNG"),
        "rgba.png": saved("RGBA", "PNG"),
        "gray.png": saved("L", "PNG"),
        "palette.png": saved("P", "PNG"),
        "16.png": png(named, bits=16),
        "16a.png": png(named, bits=16, colour=6),
        "a.jpg": saved("RGB", "JPEG"),
        "a.webp": saved("RGB", "WEBP"),
        "apng-video": apng.getvalue(),
        "mov-video": video_of_images(saved("RGB", "PNG")),
    }

    done = run(tmp_path, files)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("alive")


def test_a_video_with_side_data_that_pyav_does_not_know_is_read() -> None:
    options = {"x264-params": "frame-packing=3:log-level=none"}  # left and right beside each other
    file = io.BytesIO()
    with av.open(file, "w", "mp4") as container:
        stream: Any = container.add_stream("libx264", 24, options)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(3):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8)))
            )
        container.mux(stream.encode(None))

    assert len(list(read_all(file.getvalue(), limit=9))) == 3


@pytest.mark.parametrize("header", [b"", b"mvhd"])
def test_a_video_that_is_a_mirror_image_is_turned_as_its_container_says(header: bytes) -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:16, :16] = 200
    frames = np.stack([pixels] * 2)
    file = io.BytesIO()
    with av.open(file, "w", "mp4") as container:
        stream: Any = container.add_stream("libx264", 24)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode(None))
    video = bytearray(file.getvalue())
    place = video.index(header or b"tkhd") + 4 + (36 if header else 40)
    video[place : place + 4] = struct.pack(">i", -(1 << 16))  # left is right

    end = read_end(bytes(video), frames=1)

    assert np.abs(end[0].astype(int) - frames[0][:, ::-1]).mean() < 6


# --- what took memory and time


def test_what_unpacks_to_gigabytes_takes_little_memory(tmp_path: Path) -> None:
    packed = bomb(400)
    files = {
        "iccp.png": png(chunk(b"iCCP", b"p\0\0" + packed)),
        "ztxt.png": png(chunk(b"zTXt", b"c\0\0" + packed)),
        "itxt.png": png(chunk(b"iTXt", b"c\0\1\0\0\0" + packed)),
        "unknown.png": png(chunk(b"aBCd", packed)),
        "in-a-video": video_of_images(png(chunk(b"iCCP", b"p\0\0" + packed)), 1),
        "pixels.png": png(pixels=packed),
    }

    for name, content in files.items():
        assert len(content) < 1 << 20, name
    done = run(tmp_path, files, MEMORY)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pixels.png")  # refused, and the others are read
    assert int(done.stdout.split()[-1]) < 300_000  # KiB


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (png(pixels=bomb(8)), "unpacks to far more"),
        (png(*[chunk(b"IDAT", b"")] * 50_001), "more than 50000 parts"),
        (jpeg()[:2] + b"\xff\xfe\0\2" * 50_001 + jpeg()[2:], "more than 50000 parts"),
        (
            jpeg()[:2] + (b"\xff\xe2\xff\xff" + bytes(65533)) * 600 + jpeg()[2:],
            "in addition to its pixels",
        ),
        (jpeg()[:-2] + b"\xff\0" * (1 << 20) + jpeg()[-2:], "larger than its pixels"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "it is text"),
    ],
    ids=["pixels", "empty chunks", "empty comments", "profiles", "endless pixels", "svg"],
)
def test_an_image_that_is_more_than_an_image_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        read_image(content)


def test_a_jpeg_of_a_hundred_and_one_scans_is_refused() -> None:
    content = jpeg(progressive=True)
    last = content.rindex(b"\xff\xda")

    with pytest.raises(InvalidRequestError, match="more than 100 scans"):
        read_image(content[:-2] + content[last:-2] * 100 + content[-2:])


def test_the_pixels_of_a_png_that_has_too_many_are_not_even_unpacked() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            content = super().read(size)
            self.taken += len(content)
            return content

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(4 << 20), level=0))
    content = PNG + head + pixels + chunk(b"IEND", b"")
    file = Counting(content)

    strip_png(file)

    assert file.taken < 2000
    with pytest.raises(InvalidRequestError, match="more than 64 million pixels"):
        read_image(content)


def test_an_image_as_large_as_may_be_with_much_beside_it_is_read() -> None:
    extra = (b"\xff\xe2\xff\xff" + bytes(65533)) * 100
    content = jpeg()[:2] + extra + jpeg()[2:] + bytes(3 << 20)  # a video behind it, as phones do

    assert read_image(content).shape == (48, 64, 3)


def test_a_profile_that_announces_more_than_the_file_holds_is_damage() -> None:
    head = png()[:33]

    with pytest.raises(InvalidRequestError, match="damaged"):
        read_image(head + struct.pack(">I", 2**32 - 1) + b"iCCP" + bytes(100))


# --- what is not a regular file


@pytest.fixture
def places(tmp_path: Path) -> Iterator[dict[str, Path]]:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(tmp_path)  # the name of a socket is short
        listener.bind("socket")
        os.chdir(here)
        yield {name: tmp_path / name for name in ("pipe", "link", "socket")} | {
            "device": Path("/dev/zero")
        }


@pytest.mark.parametrize("name", ["pipe", "link", "socket", "device"])
def test_what_is_no_ordinary_file_is_refused_without_waiting(
    places: dict[str, Path], name: str
) -> None:
    with pytest.raises(InvalidRequestError, match="it is not a regular file"):
        open_ordinary(places[name], "first_frame")
    with pytest.raises(InvalidRequestError, match="it is not a regular file"):
        read_image(places[name])


def test_a_link_to_a_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "link").symlink_to(tmp_path / "a.png")

    with open_ordinary(tmp_path / "link", "first_frame") as file:
        assert file.read() == png()


# --- what is looked at before it is sent


def test_a_video_and_an_image_that_are_whole_pass(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", np.zeros((30, 32, 32, 3), np.uint8), fps=24)

    check_video(tmp_path / "a.mp4")
    check_image(png())


def test_what_is_refused_leaves_no_file_open(places: dict[str, Path]) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(5):
        with pytest.raises(InvalidRequestError):
            open_ordinary(places["pipe"], "first_frame")

    assert len(list(Path("/proc/self/fd").iterdir())) == before
