"""What the inputs of a request say of its video: how long it is, and of which shape."""

import asyncio
import contextlib

from media_agent.errors import InvalidRequestError
from media_agent.negotiation.draft import Shape
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode, VideoRequest

_SHAPING = (InputRole.FIRST_FRAME, InputRole.LAST_FRAME, InputRole.SOURCE_VIDEO)


async def read_inputs(request: VideoRequest) -> tuple[VideoRequest, Shape | None]:
    """Return the request and the shape of its video, as far as its inputs say more of them."""
    if not request.inputs:
        return request, None
    request = await asyncio.to_thread(take_source_length, request)
    return request, await asyncio.to_thread(measure_shape_of_inputs, request)


def take_source_length(request: VideoRequest) -> VideoRequest:
    """Give a restyled video the length of its source, unless the request has another.

    A source with a URL is not read.

    Raises:
        InvalidRequestError: it cannot be read.
    """
    is_open = request.seconds() is None and request.num_frames is None and not request.endless
    if request.infer_mode() is not VideoMode.VIDEO_EDIT or not is_open:
        return request
    from media_agent.ingest.read import read_video_seconds

    videos = [video for video in request.inputs if video.role is InputRole.SOURCE_VIDEO]
    if not videos or videos[0].url is not None:
        return request
    return request.model_copy(update={"duration": read_video_seconds(videos[0])})


def measure_shape_of_inputs(request: VideoRequest) -> Shape | None:
    """Return the shape that a video of these inputs has by itself.

    None where the request says another, there is no such input, or it cannot be seen from here: it
    lies elsewhere, or cannot be read, as whoever uses it says.
    """
    if any(said is not None for said in (request.size, request.resolution, request.aspect_ratio)):
        return None
    from media_agent.ingest.read import measure_shape, measure_video

    for role in _SHAPING:
        for medium in request.inputs:
            if medium.role is role and medium.url is None:
                with contextlib.suppress(InvalidRequestError):
                    if role is not InputRole.SOURCE_VIDEO:
                        return Shape(measure_shape(medium, "image"))
                    continued = request.infer_mode() is VideoMode.VIDEO_EXTEND
                    size = measure_video(medium)[0] if continued else None
                    return Shape(measure_shape(medium, "video"), size)
    return None
