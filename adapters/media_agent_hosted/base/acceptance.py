"""Whether a service accepted a submission, by the answer to it; pure, nothing is sent."""

import json
import re
from collections.abc import Callable
from urllib.parse import urljoin

from pydantic import JsonValue

from media_agent.backend.polled import report_refusal
from media_agent_hosted.base.identity import fits_a_path
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.parsing.causes import Cause, cause_of
from media_agent_hosted.parsing.errors import codes_in, words_in
from media_agent_hosted.parsing.lenient import space_words, trim, unwrap
from media_agent_hosted.parsing.names import is_for_a_name, work_named_in
from media_agent_hosted.parsing.refusals import Refusal, is_error, means_yes, refusal_in
from media_agent_hosted.parsing.states import State, state_of, state_said

_RESULTS = ("data", "result", "results", "output", "response", "video", "task", "job", "urls")


def check_accepted(
    reply: Reply, body: JsonValue, found: str | None, missing: str, named: JsonValue = None
) -> str:
    """Return the name of accepted work, if the answer to its submission has one.

    A name counts more than a no: a poll costs nothing, and tells. Only where the answer says itself
    that the work failed, and why, is it refused with a name. What stands at the place that is
    `named` for errors says no where nothing looks accepted.

    Raises:
        SubmitUncertainError: the answer says neither a name nor a no.
        MediaAgentError: it says no; nothing was accepted.
    """
    refusal = refusal_in(body, named)
    state = state_of(state_said(unwrap(body)))
    if found and not fits_a_path(found):
        raise reply.senseless(f"{missing}: {found[:100]!r} is no name")
    is_over = state is State.FAILED
    if found and not (is_over and refusal is not None and refusal.is_told):
        return found
    words = words_in(named) or words_in(body) or words_in(unwrap(body))
    if refusal is None and not means_yes(words) and (is_error(named) or _names_none(body, words)):
        refusal = Refusal(words or "an error", codes_in(named), is_plain=False)
    if refusal is not None and (is_over or not _looks_accepted(reply, refusal)):
        report_refusal()
        raise refusal.before_acceptance(reply.host)
    shown = words or (trim(json.dumps(body, ensure_ascii=False)) if body else "")
    raise reply.senseless(missing + (f"; it says: {shown}" if shown else ""))


def is_accepted_as(reply: Reply, found: Callable[[JsonValue], str | None], place: str) -> bool:
    """Whether an error of HTTP names accepted work, where its name is due at `place`.

    A complaint about the request names it only where the work is said to continue; and what names
    the request alone, as errors do, is no name of work.
    """
    if reply.status not in (400, 409, 422) and reply.status < 500:
        return False
    body = reply.object()
    name, state = found(body), state_of(state_said(unwrap(body)))
    if not name or not fits_a_path(name) or state in (State.FAILED, State.CANCELLED):
        return False
    is_of_work = is_for_a_name(place.rpartition(".")[2])
    why = cause_of(codes_in(body), words_in(body))
    is_no = why in (Cause.CONTENT, Cause.ACCOUNT, Cause.REQUEST) or refusal_in(body) is not None
    may_be = reply.status not in (400, 422) and is_of_work and not is_no
    return state is not None or may_be


def may_be_at_work(said: dict[str, JsonValue]) -> bool:
    """Whether an answer names work somewhere, or says that it waits or runs: no error undoes it."""
    is_underway = state_of(state_said(said)) in (State.QUEUED, State.RUNNING)
    return is_underway or work_named_in(said) != ""


def answer_to_submission(reply: Reply, place: str) -> JsonValue:
    """Return the JSON of an answer; where it has no body, the name in its `Location`, at `place`.

    That is the last part of an address right below the one that was asked.
    """
    if reply.status not in (201, 202) or reply.content.strip():
        return reply.json()
    there = urljoin(reply.url, reply.headers.get("location", ""))
    above, _, name = there.rpartition("/")
    is_below = above == reply.url.partition("?")[0].rstrip("/")
    if not is_below or re.fullmatch(r"[\w-]+", name) is None:
        return reply.json()
    body: JsonValue = name
    for part in reversed(place.split(".")):
        body = {part: body}
    return body


def _names_none(body: JsonValue, words: str) -> bool:
    """Whether a name of work is null or empty, and the words beside it say why."""
    places = (body, body.get("data")) if isinstance(body, dict) else ()
    fields = [field for each in places if isinstance(each, dict) for field in each.items()]
    is_none = any(not value and is_for_a_name(name) for name, value in fields)
    return is_none and cause_of((), words) not in (Cause.OTHER, Cause.UNKNOWN_WORK)


def _looks_accepted(reply: Reply, refusal: Refusal) -> bool:
    """Whether an answer that says no may be about work that was accepted all the same."""
    said = unwrap(reply.json())
    if may_be_at_work(said):
        return True
    has_results = any(_holds_more(said.get(name)) for name in _RESULTS)
    return not refusal.is_plain and (has_results or reply.status in (201, 202))


def _holds_more(value: JsonValue) -> bool:
    """Whether there is more in a place for results than an error and its words."""
    if isinstance(value, dict):
        return any(_holds_more(each) for name, each in value.items() if not _is_about_error(name))
    if isinstance(value, list):
        return any(map(_holds_more, value))
    return value not in (None, "", False, 0)


def _is_about_error(name: str) -> bool:
    return space_words(name) in (
        "error",
        "errors",
        "code",
        "message",
        "msg",
        "detail",
        "request id",
    )
