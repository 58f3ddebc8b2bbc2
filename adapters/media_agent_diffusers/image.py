"""Pictures that a film begins or ends with: opened with care, and brought to the film's size."""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.errors import InvalidRequestError
from media_agent_schemas.media import MediaInput, Size

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = ("PNG", "JPEG", "WEBP")
_MOST_PIXELS = 64_000_000


def open_image(medium: MediaInput) -> "Image":
    """Return the picture as RGB, upright.

    Raises:
        InvalidRequestError: it cannot be read, is no picture, or is far too large.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    what = f"the {medium.role.value} {medium.path or 'in the request'}"
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(_bytes(medium, what)), formats=_FORMATS)
            if image.width * image.height > _MOST_PIXELS:
                raise _unusable(what, f"it has {image.width}x{image.height} pixels", "shrink it")
            return ImageOps.exif_transpose(image).convert("RGB")
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise _unusable(what, "it has too many pixels", "shrink it") from error
        except UnidentifiedImageError as error:
            raise _unusable(what, f"it is none of {', '.join(_FORMATS)}") from error
        except (OSError, ValueError, SyntaxError) as error:
            raise _unusable(what, f"it is damaged ({error})") from error


def fit_image(image: "Image", size: Size, how: str) -> tuple["Image", str | None]:
    """Return the picture at exactly this size, and what was done to its shape, None for nothing.

    Its proportions are kept: "crop" cuts off what is beyond the film, "pad" adds black.
    """
    from PIL import Image, ImageOps

    target = (size.width, size.height)
    method = Image.Resampling.LANCZOS
    if how == "pad":
        fitted = ImageOps.pad(image, target, method=method, color=(0, 0, 0))
        done = "filled up with black"
    else:
        fitted = ImageOps.fit(image, target, method=method)
        done = "cropped"
    is_same_shape = abs(image.width * size.height / (image.height * size.width) - 1) < 0.01
    return fitted, None if is_same_shape else f"{image.width}x{image.height}, {done} to {size}"


def _bytes(medium: MediaInput, what: str) -> bytes:
    if medium.data is not None:
        return medium.data
    if medium.path is None:
        raise _unusable(what, "it is an address", "download it, and give the file")
    path = Path(medium.path).expanduser()
    try:
        return path.read_bytes()
    except IsADirectoryError as error:
        raise _unusable(what, "it is a folder") from error
    except FileNotFoundError as error:
        raise _unusable(what, "there is no such file") from error
    except OSError as error:
        raise _unusable(what, error.strerror or str(error)) from error


def _unusable(what: str, reason: str, hint: str | None = None) -> InvalidRequestError:
    return InvalidRequestError(
        f"{what} cannot be used: {reason}", hint=hint or "give a PNG, JPEG or WebP file"
    )
