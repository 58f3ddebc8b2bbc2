"""All that a server is sent for one video: the form, and the first frame where it is a file."""

import asyncio
from collections.abc import Mapping

from pydantic import JsonValue

from media_agent_hosted.http.client import FilePart
from media_agent_hosted.http.inputs import read_medium
from media_agent_hosted.providers.openai_compatible.facts import DEFAULT_MODEL
from media_agent_hosted.providers.openai_compatible.form import (
    build_form,
    build_image_url,
    first_frame,
)
from media_agent_hosted.providers.openai_compatible.minimax_h3 import (
    h3_form,
    inline_image,
    is_h3,
)
from media_agent_hosted.providers.openai_compatible.video import Server
from media_agent_schemas.request import VideoRequest

Submission = tuple[dict[str, str], FilePart | None]

_LARGEST_IMAGE = 30 * 2**20  # bytes; what vLLM-Omni takes
_OURS = "deadline_seconds"  # an option that no server gets


async def build_submission(
    request: VideoRequest, options: Mapping[str, JsonValue], *, model: str, server: Server
) -> Submission:
    """Return the form, and the first frame where it goes along as a file.

    Raises:
        RequestError: the server does not take it.
    """
    form = build_form(
        request,
        {name: value for name, value in options.items() if name != _OURS},
        model=None if model == DEFAULT_MODEL else model,
        server=server,
    )
    frame, image = first_frame(request), None
    address = None if frame is None else frame.url
    if frame is not None and address is None:
        content, kind = await asyncio.to_thread(read_medium, frame, largest=_LARGEST_IMAGE)
        if is_h3(model) and server is Server.SGLANG:
            address = inline_image(content, kind)
        else:
            image = f"first_frame.{kind.partition('/')[2]}", content, kind
    if is_h3(model):
        return h3_form(form, request, server, address), image
    return form | ({} if address is None else build_image_url(address, server)), image
