"""Small images for tests of inputs."""

import io


def make_png(width: int, height: int, kind: str = "PNG") -> bytes:
    """Return an image of one colour."""
    from PIL import Image

    content = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(content, kind)
    return content.getvalue()
