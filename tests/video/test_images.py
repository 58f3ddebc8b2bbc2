import io

import numpy as np
from PIL import Image

from media_agent.video.images import as_png, frame_of, rows_of


def test_pixels_come_back_from_a_frame_and_from_its_png():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)

    frame = frame_of(pixels.tobytes(), 7, 5)

    assert b"".join(rows_of(frame)) == pixels.tobytes()
    image = Image.open(io.BytesIO(as_png(frame)), formats=["PNG"])
    assert np.array_equal(np.asarray(image), pixels)
