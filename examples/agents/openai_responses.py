"""An agent on OpenAI's Responses makes a video.

pip install openai; python examples/agents/openai_responses.py
"""

import asyncio

from openai import AsyncOpenAI
from scripted_server import scripted_server

from media_agent import VideoClient
from media_agent.tools import ToolBox, run_openai_function_calls


async def main() -> str:
    """Let the model call tools until it has something to say."""
    with scripted_server() as url:
        async with VideoClient() as client, AsyncOpenAI(base_url=f"{url}/v1", api_key="-") as api:
            tools = ToolBox(client)
            items = [{"role": "user", "content": "Make a video of a red circle."}]
            while True:
                response = await api.responses.create(
                    model="a-model", input=items, tools=tools.definitions("openai-responses")
                )
                answers = await run_openai_function_calls(tools, response)
                if not answers:
                    return response.output_text
                items += [*(each.model_dump() for each in response.output), *answers]


if __name__ == "__main__":
    print(asyncio.run(main()))
