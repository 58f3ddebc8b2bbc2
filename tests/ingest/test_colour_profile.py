"""Images that say of which colour space they are (ICC) become sRGB, or it is told."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from media_agent.ingest import colour_profile
from media_agent.ingest.read import read_all, read_image
from media_agent_schemas.media import Size
from tests.ingest.test_read import blocks, distance, encoded_image

D50 = (0.9642, 1.0, 0.8249)
P3 = {
    b"rXYZ": (0.51512, 0.24120, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.15710, 0.06657, 0.78407),
}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PHONE, SEEN = (200, 60, 60), (217, 42, 51)  # a colour of a phone's image, and what it is in sRGB


def with_primaries(primaries: dict[bytes, tuple[float, ...]], padding: int = 0) -> bytes:
    profile = bytearray(SRGB)
    for number in range(struct.unpack(">I", profile[128:132])[0]):
        name, at, _ = struct.unpack(">4sII", profile[132 + 12 * number : 144 + 12 * number])
        if name in primaries:
            values = (struct.pack(">i", round(each * 65536)) for each in primaries[name])
            profile[at + 8 : at + 20] = b"".join(values)
    profile += bytes(padding)
    profile[:4] = struct.pack(">I", len(profile))
    return bytes(profile)


def gray(gamma: float) -> bytes:
    """Return the profile of gray images of this gamma."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(x * 65536)) for x in D50)
    name = b"desc" + bytes(4) + struct.pack(">I", 2) + b"g\0" + bytes(78 + 12)
    tags, table, place = [(b"kTRC", curve), (b"wtpt", white), (b"desc", name)], b"", 168
    for kind, content in tags:
        table += struct.pack(">4sII", kind, place, len(content))
        place += len(content)
    head = bytearray(128)
    head[0:4] = struct.pack(">I", place)
    head[8:12] = b"\x02\x40\0\0"
    head[12:24] = b"mntrGRAYXYZ "
    head[36:40] = b"acsp"
    head[68:80] = b"".join(struct.pack(">i", round(x * 65536)) for x in D50)
    return bytes(head) + struct.pack(">I", len(tags)) + table + b"".join(each for _, each in tags)


def photo(kind: str, profile: bytes, mode: str = "RGB", **options: Any) -> bytes:
    image = Image.new("RGB", (64, 64), PHONE)
    image = image.quantize(2) if mode == "P" else image.convert(mode)
    return encoded_image(image, kind, icc_profile=profile, **options)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 100, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 100}),
    ],
)
@pytest.mark.parametrize("padding", [0, 150_000])
def test_an_image_of_another_colour_space_becomes_srgb(
    kind: str, options: dict[str, Any], padding: int
) -> None:
    told: list[str] = []
    content = photo(kind, with_primaries(P3, padding), **options)

    seen = read_image(content, size=Size(width=32, height=32), tell=told.append)

    assert np.abs(seen.astype(int) - SEEN).max() <= 4
    assert told == []


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_transparency_and_a_palette_do_not_hide_the_colour_space(mode: str) -> None:
    seen = read_image(photo("PNG", with_primaries(P3), mode))

    assert np.abs(seen.astype(int) - SEEN).max() <= 4


def test_an_animated_png_becomes_srgb() -> None:
    frames = [Image.new("RGB", (64, 64), PHONE), Image.new("RGB", (64, 64), (9, 9, 9))]
    file = io.BytesIO()
    frames[0].save(
        file, "PNG", save_all=True, append_images=frames[1:], icc_profile=with_primaries(P3)
    )

    first = next(read_all(file.getvalue(), limit=1))

    assert np.abs(first.astype(int) - SEEN).max() <= 4


def test_gray_images_keep_their_own_brightness() -> None:
    ramp = Image.linear_gradient("L")

    seen = read_image(encoded_image(ramp, "PNG", icc_profile=gray(1.0)))

    assert seen[128, 0, 0] == pytest.approx(188, abs=3)  # half the light
    assert np.array_equal(seen[..., 0], seen[..., 2])


def test_an_image_in_srgb_is_left_as_it_is() -> None:
    told: list[str] = []

    seen = read_image(encoded_image(blocks(), icc_profile=SRGB), tell=told.append)

    assert distance(seen, blocks()) == 0
    assert told == []


@pytest.mark.parametrize("profile", [b"no profile", with_primaries(P3)[:200]])
def test_a_profile_that_cannot_be_used_is_told_and_the_image_used(profile: bytes) -> None:
    told: list[str] = []

    seen = read_image(photo("PNG", profile), tell=told.append)

    assert tuple(seen[0, 0]) == PHONE
    assert ["colour profile that is not applied" in said for said in told] == [True]


def test_a_profile_whose_colours_have_no_name_in_ascii_is_told_as_damaged() -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[19] = 0xFF

    with pytest.raises(colour_profile.ProfileError, match="damaged"):
        colour_profile.build_srgb_conversion(bytes(profile))


def test_a_profile_of_printing_inks_is_told() -> None:
    told: list[str] = []
    profile = bytearray(SRGB)
    profile[16:20] = b"CMYK"

    read_image(photo("JPEG", bytes(profile), "CMYK"), tell=told.append)

    assert ["colour profile that is not applied" in said for said in told] == [True]


def test_a_profile_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    content = photo("PNG", bytes(300 << 20))

    read_image(content)

    assert len(colour_profile.read_profile(io.BytesIO(content)) or b"") <= 8 << 20


@pytest.mark.parametrize(("profile", "count"), [(SRGB, 0), (with_primaries(P3), 1)])
def test_without_pillow_another_colour_space_is_told(
    profile: bytes, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(colour_profile, "find_spec", lambda name: None)

    seen = read_image(photo("PNG", profile), tell=told.append)

    assert tuple(seen[0, 0]) == PHONE
    assert ["needs Pillow" in said for said in told] == [True] * count
