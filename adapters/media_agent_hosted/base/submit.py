"""Sends what may cost money, once, and finds the name of the accepted work in what comes back."""

from collections.abc import Callable

from pydantic import JsonValue

from media_agent.backend.polled import report_refusal
from media_agent.errors import MediaAgentError, SubmitUncertainError
from media_agent_hosted.base.acceptance import (
    answer_to_submission,
    check_accepted,
    is_accepted_as,
    may_be_at_work,
)
from media_agent_hosted.base.calls import Call
from media_agent_hosted.http.client import HttpApi
from media_agent_hosted.http.replies import Translate
from media_agent_hosted.parsing.lenient import text, unwrap, value_at
from media_agent_hosted.parsing.refusals import provider_code_in

Found = Callable[[JsonValue], JsonValue]
"""Returns what stands where a name, or an error, is due; None: nothing."""


async def submit(
    api: HttpApi,
    call: Call,
    *,
    place: str,
    missing: str,
    found: Found | None = None,
    error: Found = lambda body: None,
    translate: Translate | None = None,
) -> tuple[str, JsonValue]:
    """Send a submission; return the name of the work, due at `place`, and the whole answer.

    Raises:
        SubmitUncertainError: it may have been accepted; `missing` says what the answer lacks.
        MediaAgentError: it was not accepted.
    """

    def name_in(body: JsonValue) -> str | None:
        return text(value_at(unwrap(body), place) if found is None else found(body))

    reply = await api.send(
        call.method,
        call.path,
        json=call.json,
        files=call.files,
        content=call.content,
        params=call.params,
        headers=call.headers,
        accepts=call.accepts,
        timeout_seconds=call.timeout_seconds,
        paid=True,
        is_known_again=call.is_known_again,
        is_accepted=lambda reply: is_accepted_as(reply, name_in, place),
        translate=translate,
    )
    body = answer_to_submission(reply, place)
    try:
        return check_accepted(reply, body, name_in(body), missing, named=error(body)), body
    except MediaAgentError as general:
        may_work = may_be_at_work(unwrap(body))
        known = None if translate is None or may_work else translate(reply)  # a no with HTTP 200
        if known is None:
            raise
        if not isinstance(known, SubmitUncertainError):
            report_refusal()
        raise known.with_provider_code(provider_code_in(body)) from general
