"""What a submission to Kling says, beyond the fields that models.yaml names; pure."""

from pydantic import JsonValue

from media_agent.errors import InvalidRequestError, UnsupportedRequestError
from media_agent_hosted.base.calls import Submission
from media_agent_hosted.models.fields import Fields
from media_agent_hosted.models.shots import whole_seconds

WITH_SHOTS = ("kling-v3", "kling-v3-omni")
"""The models that take a prompt for each shot."""
MOST_SHOTS = 6
EXTENSION = "video-extend"
"""Our name for the call that continues a video; it has no field for a model."""
_LONGEST_OF_SHOT = 512  # characters
_MOST_BESIDE_VIDEO = 4  # reference images, where a video goes along
_ONLY_PRO_MAKES_AUDIO = ("kling-v2-6", "kling-v3")


def build_body(submission: Submission) -> JsonValue:
    """Return the body of a submission, with our key in it.

    Raises:
        UnsupportedRequestError: it asks for what the model cannot do together.
        InvalidRequestError: something is missing.
    """
    fields = submission.fields()
    path = "" if submission.model is None else submission.model.path
    if path.endswith("/motion-control") and "sound" in fields:
        fields["keep_original_sound"] = "yes" if fields.pop("sound") == "on" else "no"
    _check_together(submission, fields)
    fields |= _shots(submission, fields)
    if fields.get("multi_prompt"):
        del fields["prompt"]  # the prompts of the shots count instead
    named: Fields = {"model_name": submission.model_id}
    if submission.model_id == EXTENSION:
        named = {}
        if not fields.get("video_id"):
            raise InvalidRequestError(
                "kling continues only videos that it made, by their ids there",
                hint="give the option video_id",
            )
    return {**named, **fields, "external_task_id": submission.key}


def _check_together(submission: Submission, fields: Fields) -> None:
    is_loud = fields.get("sound") == "on" and submission.model_id in _ONLY_PRO_MAKES_AUDIO
    if is_loud and fields.get("mode") != "pro":
        raise UnsupportedRequestError(
            f"{submission.model_id} makes audio in 1080p only",
            hint="ask for resolution 1080p, or for no audio",
        )
    images = fields.get("image_list")
    has_many = isinstance(images, list) and len(images) > _MOST_BESIDE_VIDEO
    if has_many and fields.get("video_list"):
        raise UnsupportedRequestError(
            f"{submission.model_id} takes {_MOST_BESIDE_VIDEO} images beside a video",
            hint="leave some images out",
        )


def _shots(submission: Submission, fields: Fields) -> Fields:
    """Return the prompts of several shots, whose whole seconds add up to the length."""
    shots = submission.request.shots
    if len(shots) < 2 or submission.model_id not in WITH_SHOTS:
        return {}
    if "duration" not in fields:
        raise UnsupportedRequestError(
            f"{submission.model_id} takes several shots from text and images only",
            hint="give one prompt, or leave the video out",
        )
    longest = max(len(shot.prompt) for shot in shots)
    if longest > _LONGEST_OF_SHOT:
        raise UnsupportedRequestError(
            f"the prompt of a shot has {longest} characters; kling takes {_LONGEST_OF_SHOT}",
            hint="shorten it",
        )
    lengths = whole_seconds(shots, int(str(fields["duration"])), "kling")
    listed: JsonValue = [
        {"index": number, "prompt": shot.prompt, "duration": str(length)}
        for number, (shot, length) in enumerate(zip(shots, lengths, strict=True), start=1)
    ]
    return {"multi_shot": True, "shot_type": "customize", "multi_prompt": listed}
