"""What the error replies of servers with OpenAI's video API mean, per kind of request."""

from collections.abc import Collection

from media_agent.errors import (
    BackendResponseError,
    BackendUnavailableError,
    ConfigurationError,
    ContentRejectedError,
    InvalidRequestError,
    MediaAgentError,
)
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.parsing.causes import Cause, cause_of
from media_agent_hosted.parsing.errors import codes_in
from media_agent_hosted.providers.openai_compatible.video import lost

_TROUBLE_ON_THE_WAY = (401, 408, 429)


class NoVideosError(ConfigurationError):
    """There is no endpoint for new videos, or not for this model."""


def explain_refusal(
    error: MediaAgentError, model: str | None, served: Collection[str]
) -> MediaAgentError:
    """Return a refusal in the light of the models that the server serves; none: unknown."""
    is_about_it = model is not None and (isinstance(error, NoVideosError) or model in error.message)
    if not is_about_it or not served or model in served:
        return error
    said = "" if isinstance(error, NoVideosError) else f"; {error.message}"
    return InvalidRequestError(
        f"the server does not serve the model {model!r}{said}",
        hint=f"it serves {', '.join(served)}",
    )


class NoVideoError(BackendResponseError):
    """A video is complete, and its video is not given, or not yet."""


def refusal_of_video(reply: Reply) -> MediaAgentError | None:
    """Say why a new video was refused; what may have been accepted is not said here."""
    if reply.status in (404, 405):
        return NoVideosError(
            f"{reply.host} answered {reply.status} to a new video: it makes none there",
            hint="base_url ends in /v1, and the server has to be started with a video model",
        )
    said = reply.words()
    if not said or reply.status not in (400, 413, 422):
        return None
    message = f"{reply.host} refuses the request: {said}"
    body = reply.object()
    if cause_of((*codes_in(body.get("error")), *codes_in(body)), "") is Cause.CONTENT:
        return ContentRejectedError(message, hint="change the prompt or the image")
    return InvalidRequestError(message, hint="change what the message names")


def error_of_poll(reply: Reply, video_id: str) -> MediaAgentError | None:
    """Tell a video that is lost from a poll that failed."""
    if reply.status != 404:
        return None
    if not reply.object():
        return BackendUnavailableError(
            f"something else answers at {reply.host} (status 404, {reply.media_type or 'no type'})",
            hint="check base_url, and what stands before the server",
        )
    return lost(video_id)


def error_of_video(reply: Reply) -> MediaAgentError | None:
    """Say why a complete video gives no video; each status has its own meaning here."""
    reasons = {
        400: (
            "it keeps videos in a cloud and does not say where this one is",
            "look there, or switch the server's upload off",
        ),
        404: (
            "the file is not there, or not any more",
            "look into the server's output folder; it may remove videos after a time",
        ),
        422: ("it may have failed after all", "the server's log says more"),
    }
    if reply.status >= 500 or reply.status in _TROUBLE_ON_THE_WAY:
        return None
    otherwise = f"it answers with status {reply.status}", "the server's log says more"
    why, hint = reasons.get(reply.status, otherwise)
    said = f"{reply.host} calls the video complete and gives no video: {why}"
    return NoVideoError(said, hint=hint)
