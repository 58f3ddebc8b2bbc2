"""The server of the Model Context Protocol, for whatever carries its messages."""

from collections.abc import Collection
from typing import Any

from mcp.server.lowlevel import Server
from mcp_types import (
    CallToolRequestParams,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Tool,
    ToolAnnotations,
)

from media_agent.distribution import own_version
from media_agent.mcp import calls, resources, tasks
from media_agent.mcp.access import Access, RequestContext
from media_agent.tools import tool_definitions

REPORT_EVERY = 1.0  # seconds
_INSTRUCTIONS = (
    "Videos take minutes. create_video returns a job at once; wait_video waits for it. Whenever a "
    "call times out, ask for the job with get_video, or repeat create_video with the same "
    "arguments: it is the same job and costs nothing more. To stop a job call cancel_video; "
    "cancelling a call only ends the wait."
)
_ONLY_READ = ToolAnnotations(read_only_hint=True)
_ADDS = ToolAnnotations(destructive_hint=False, idempotent_hint=True)
_STOPS = ToolAnnotations(idempotent_hint=True)
_ANNOTATIONS = {
    "plan_video": _ONLY_READ,
    "create_video": _ADDS,
    "get_video": _ONLY_READ,
    "wait_video": _ONLY_READ,
    "steer_video": _ADDS,
    "extend_video": _ADDS,
    "cancel_video": _STOPS,
    "list_videos": _ONLY_READ,
    "list_video_backends": _ONLY_READ,
}


def build_server(
    access: Access, *, routes: Collection[str] = (), report_every: float = REPORT_EVERY
) -> Server[Any]:
    """Return a server whose requests are served with the toolboxes that `access` finds.

    `routes` are the names of those in the settings; while a call waits, progress is reported every
    so many seconds.
    """

    async def list_tools(
        context: RequestContext, params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(tools=build_tools(routes))

    async def call_tool(
        context: RequestContext, params: CallToolRequestParams
    ) -> Any:  # also tasks, which the library has no type for
        return await calls.call_tool(access, context, params, report_every=report_every)

    async def list_resources(
        context: RequestContext, params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        return await resources.list_resources(access, context, params)

    async def list_templates(
        context: RequestContext, params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        return resources.list_templates()

    async def read_resource(
        context: RequestContext, params: ReadResourceRequestParams
    ) -> ReadResourceResult:
        return await resources.read_resource(access, context, params)

    server = Server[Any](
        "media-agent",
        version=own_version() or "0",
        title="media-agent: generate videos",
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
    )
    _add_tasks(server, access)
    return server


def build_tools(routes: Collection[str] = ()) -> list[Tool]:
    """Return the tools as the protocol describes them."""
    return [
        Tool.model_validate(
            {
                "name": each["name"],
                "description": each["description"],
                "inputSchema": each["schema"],
                "annotations": _ANNOTATIONS[str(each["name"])],
            }
        )
        for each in tool_definitions("json-schema", routes=routes)
    ]


def _add_tasks(server: Server[Any], access: Access) -> None:
    async def get(context: RequestContext, params: tasks.TaskParams) -> tasks.Result:
        return await tasks.get_task(access, context, params)

    async def update(context: RequestContext, params: tasks.UpdateParams) -> tasks.Result:
        return await tasks.update_task(access, context, params)

    async def cancel(context: RequestContext, params: tasks.TaskParams) -> tasks.Result:
        return await tasks.cancel_task(access, context, params)

    server.extensions = {tasks.TASKS: {}}
    server.add_request_handler("tasks/get", tasks.TaskParams, get)
    server.add_request_handler("tasks/update", tasks.UpdateParams, update)
    server.add_request_handler("tasks/cancel", tasks.TaskParams, cancel)
