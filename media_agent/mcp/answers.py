"""From what a tool answers to a result: its JSON as text, links to files, perhaps an image."""

import contextlib

from mcp_types import CallToolResult, ContentBlock, ImageContent, TextContent

from media_agent.errors import MediaAgentError
from media_agent.mcp.access import Access, RequestContext
from media_agent.mcp.resources import link_files
from media_agent.tools import ToolBox
from media_agent.tools.elsewhere import Answer


async def build_result(access: Access, context: RequestContext, answer: Answer) -> CallToolResult:
    """Return the result of a call; files are linked to, because base64 fills a context."""

    async def describe(box: ToolBox) -> list[ContentBlock]:
        blocks: list[ContentBlock] = []
        for part in await box.content(answer, "json-schema"):
            kind = ImageContent if part["type"] == "image" else TextContent
            blocks.append(kind.model_validate(part))
        if "video" in answer or "partial_video" in answer:
            with contextlib.suppress(MediaAgentError):  # a key may create jobs and read none
                blocks += link_files(await box.get(str(answer["job_id"])))
        return blocks

    return CallToolResult(content=await access(context, describe), is_error="error" in answer)
