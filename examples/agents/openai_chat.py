"""An agent on OpenAI's Chat Completions makes a video.

pip install openai; python examples/agents/openai_chat.py
"""

import asyncio

from openai import AsyncOpenAI
from scripted_server import scripted_server

from media_agent import VideoClient
from media_agent.tools import ToolBox, run_openai_tool_calls


async def main() -> str:
    """Let the model call tools until it has something to say."""
    with scripted_server() as url:
        async with VideoClient() as client, AsyncOpenAI(base_url=f"{url}/v1", api_key="-") as api:
            tools = ToolBox(client)
            messages = [{"role": "user", "content": "Make a video of a red circle."}]
            while True:
                reply = await api.chat.completions.create(
                    model="a-model", messages=messages, tools=tools.definitions("openai")
                )
                message = reply.choices[0].message
                answers = await run_openai_tool_calls(tools, message)
                if not answers:
                    return message.content
                messages += [message.model_dump(exclude_none=True), *answers]


if __name__ == "__main__":
    print(asyncio.run(main()))
