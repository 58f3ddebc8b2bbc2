"""Takes an input in the form that its provider wants: its address, its bytes, or an upload."""

import asyncio
from collections.abc import Awaitable, Callable

from media_agent.errors import BackendResponseError, BackendUnavailableError
from media_agent_hosted.base.calls import Call, Uploaded
from media_agent_hosted.base.hooks import Hooks
from media_agent_hosted.base.outcomes import read_status
from media_agent_hosted.base.poller import Poller
from media_agent_hosted.http.inputs import (
    InputFile,
    InputForm,
    InputPart,
    check_address,
    own_id_of,
    read_file,
    refuse_files,
    refuse_video,
)
from media_agent_hosted.http.limits import Limits
from media_agent_hosted.models.facts import Input
from media_agent_hosted.parsing.refusals import refusal_in
from media_agent_hosted.parsing.states import State, may_be_done
from media_agent_schemas.media import MediaInput

_MOST_CHECKS = 60


async def take_input(
    hooks: Hooks,
    poller: Poller,
    medium: MediaInput,
    place: Input | None,
    *,
    is_here: bool,
    pause: Callable[[], Awaitable[None]] | None,
) -> tuple[InputPart, str | None]:
    """Return an input for its place in a request, and what was done to it so that it fits there.

    Addresses without https are for a provider that `is_here`, on this machine. `pause` is made
    between two looks at an upload; None: nothing is sent.

    Raises:
        RequestError: it cannot be read, is too large, or is not what the provider takes.
        BackendError: it could not be uploaded.
    """
    if place is not None and place.own:
        return InputPart(medium.role, own_id_of(medium, poller.who), is_own_id=True), None
    url = check_address(medium, allow_plain_http=is_here)
    if url is not None:
        return InputPart(medium.role, url), None
    if hooks.largest_upload is None:
        refuse_files(medium, hooks.input_form)
    limits = Limits() if place is None else place.limits
    largest = hooks.largest_upload or hooks.largest_input
    file = await asyncio.to_thread(read_file, medium, limits, largest=largest)
    if not hooks.reads_video_files:
        refuse_video(file)
    if hooks.input_form is not InputForm.HTTPS and len(file.content) <= hooks.largest_input:
        value = file.encode(hooks.input_form)
        return InputPart(file.role, value, file.mime_type), file.done
    address = "uploaded before" if pause is None else await _upload(hooks, poller, file, pause)
    return InputPart(file.role, address), file.done


async def _upload(
    hooks: Hooks, poller: Poller, file: InputFile, pause: Callable[[], Awaitable[None]]
) -> str:
    """Upload an input, and return what names it there.

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
