"""From the shots of a request to the prompts of chunks. No torch here."""

from collections.abc import Callable

from media_agent_magi.generating.geometry import Geometry
from media_agent_schemas.request import VideoRequest


def prompt_of_chunk(request: VideoRequest, geometry: Geometry) -> Callable[[int], str | None]:
    """Return the prompt of each chunk: that of the shot it starts in."""
    shots = request.storyboard()
    total = request.num_frames

    def prompt(chunk: int) -> str | None:
        frame = geometry.start(chunk)
        if total is not None and frame >= total:
            return None
        end = 0.0
        for shot in shots:
            if shot.duration is None:
                return shot.prompt
            end += shot.duration
            if frame < round(end * geometry.fps):
                return shot.prompt
        return shots[-1].prompt

    return prompt
