"""A new prompt for a running video, as the policies let it pass."""

from media_agent.errors import PolicyFailedError
from media_agent.policy.asking import Policies
from media_agent.policy.decisions import PolicyCall
from media_agent_schemas.jobs import ChangePrompt, VideoJob
from media_agent_schemas.request import VideoRequest


async def screen_prompt(policies: Policies, job: VideoJob, command: ChangePrompt) -> ChangePrompt:
    """Return a command for a job, with the prompt as the policies amend it.

    Raises:
        PolicyRefusedError: one refuses the prompt.
        PolicyFailedError: one could not be asked, or left no prompt.
    """
    request = VideoRequest(prompt=command.prompt, consent=job.request.consent)
    allowed = await policies.before_plan(request, PolicyCall(job.caller, job.id))
    if allowed.request.prompt is None:
        by = allowed.changes[-1].reason
        raise PolicyFailedError(f"{by}: it left no prompt to steer with", notes=allowed.notes)
    if allowed.request.prompt == command.prompt:
        return command
    why = "; ".join(change.reason for change in allowed.changes)
    return command.model_copy(update={"prompt": allowed.request.prompt, "amended": why})
