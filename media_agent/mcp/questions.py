"""Asks a person whether a video may cost what it costs, where the client can show a question."""

from typing import Literal

from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from media_agent.mcp.access import RequestContext
from media_agent.tools.consent import Quote

_FIELD = "generate_it"

Reply = Literal["yes", "no", "nobody to ask"]


async def ask(
    context: RequestContext, params: CallToolRequestParams, quote: Quote
) -> Reply | InputRequiredResult:
    """Return the answer of a person; or the question, which the client answers by calling again.

    The name of the question stands for the video, its model and its price, so an answer is good for
    no other, also from another process.
    """
    if not _can_ask(context):
        return "nobody to ask"
    form = _build_form(quote)
    if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        reply = (params.input_responses or {}).get(quote.token)
        if reply is None:
            question = ElicitRequest(params=form)
            return InputRequiredResult(input_requests={quote.token: question})
    elif not context.session.can_send_request:
        return "nobody to ask"
    else:
        try:
            reply = await context.session.elicit_form(
                form.message, form.requested_schema, related_request_id=context.request_id
            )
        except MCPError:  # the client cannot after all, or gave up
            return "nobody to ask"
    return "yes" if _is_yes(reply) else "no"


def _can_ask(context: RequestContext) -> bool:
    capabilities = context.session.client_capabilities
    asked = None if capabilities is None else capabilities.elicitation
    return asked is not None and (asked.form is not None or asked.url is None)


def _build_form(quote: Quote) -> ElicitRequestFormParams:
    return ElicitRequestFormParams(
        message=f"{quote.model} would generate this video for {quote.price}. Generate it?",
        requested_schema={
            "type": "object",
            "properties": {_FIELD: {"type": "boolean", "title": f"Generate it for {quote.price}"}},
            "required": [_FIELD],
        },
    )


def _is_yes(reply: object) -> bool:
    return (
        isinstance(reply, ElicitResult)
        and reply.action == "accept"
        and (reply.content or {}).get(_FIELD) is True
    )
