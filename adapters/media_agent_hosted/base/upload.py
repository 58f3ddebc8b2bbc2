"""Puts an input where its provider keeps files, in as many steps as that has."""

from collections.abc import Awaitable, Callable

from media_agent.errors import BackendResponseError, BackendUnavailableError
from media_agent_hosted.base.calls import Call, Uploaded
from media_agent_hosted.base.hooks import Hooks
from media_agent_hosted.base.outcomes import read_status
from media_agent_hosted.base.poller import Poller
from media_agent_hosted.http.inputs import InputFile
from media_agent_hosted.parsing.refusals import refusal_in
from media_agent_hosted.parsing.states import State, may_be_done

_MOST_CHECKS = 60


async def upload(
    hooks: Hooks, poller: Poller, file: InputFile, *, pause: Callable[[], Awaitable[None]]
) -> str:
    """Upload an input, and return what names it there; `pause` is made between checks.

    Raises:
        BackendResponseError: the answer names no place for it.
        RequestError: it is refused.
        BackendUnavailableError: it is looked at there for too long.
    """
    found = await _ask_for_place(hooks, poller, file)
    for further in filter(None, (found.then, found.last)):
        await poller.send(further)
    if found.check is None or await _is_ready(poller, found.check, pause):
        return found.address
    raise BackendUnavailableError(
        f"the provider still looks at {file.role} that was uploaded; nothing was submitted",
        hint="try again later",
    )


async def _ask_for_place(hooks: Hooks, poller: Poller, file: InputFile) -> Uploaded:
    call = hooks.upload(file)
    reply = None if call is None else await poller.send(call)
    found = None if reply is None else hooks.uploaded(reply.json(), file)
    if found is None:
        raise BackendResponseError(
            f"the provider takes no upload of {file.role}, or names no place for it",
            hint="give it as an https address",
        )
    return found


async def _is_ready(poller: Poller, check: Call, pause: Callable[[], Awaitable[None]]) -> bool:
    for number in range(_MOST_CHECKS):
        if number > 0:
            await pause()
        reply = await poller.send(check)
        status = read_status(reply.json())
        if status.state is State.DONE or may_be_done(status.word):
            return True
        refusal = refusal_in(reply.json())
        if status.state is State.FAILED and refusal is not None:
            raise refusal.before_acceptance(reply.host)
    return False
