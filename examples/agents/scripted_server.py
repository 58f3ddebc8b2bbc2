"""A server on this machine that speaks as OpenAI and Anthropic do; a script plays the model.

Replace its URL and key with those of the vendor, and the examples talk to a real model.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from script import decide

Data = dict[str, Any]


@contextmanager
def scripted_server() -> Iterator[str]:
    """Yield the URL of a server that runs meanwhile."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def reply_chat(request: Data) -> Data:
    """Answer POST /v1/chat/completions."""
    told = [each["content"] for each in request["messages"] if each["role"] == "tool"]
    match decide(told[-1] if told else None):
        case str(text):
            message: Data = {"role": "assistant", "content": text}
        case name, arguments:
            function = {"name": name, "arguments": json.dumps(arguments)}
            assert name in [tool["function"]["name"] for tool in request["tools"]]
            call = {"id": f"call_{len(told)}", "type": "function", "function": function}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}


def reply_responses(request: Data) -> Data:
    """Answer POST /v1/responses."""
    given = request["input"] if isinstance(request["input"], list) else []
    told = [each["output"] for each in given if each.get("type") == "function_call_output"]
    match decide(told[-1][0]["text"] if told else None):
        case str(text):
            part = {"type": "output_text", "text": text, "annotations": []}
            item: Data = {"type": "message", "role": "assistant", "content": [part]}
        case name, arguments:
            assert name in [tool["name"] for tool in request["tools"]]
            item = {"type": "function_call", "call_id": f"call_{len(told)}", "name": name}
            item["arguments"] = json.dumps(arguments)
    item |= {"id": f"item_{len(told)}", "status": "completed"}
    fixed = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    named = {"id": "r", "object": "response", "created_at": 0, "model": "m", "output": [item]}
    return named | fixed


def reply_messages(request: Data) -> Data:
    """Answer POST /v1/messages, as Anthropic does."""
    parts = [
        part
        for message in request["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
    ]
    told = [part["content"][0]["text"] for part in parts if part["type"] == "tool_result"]
    match decide(told[-1] if told else None):
        case str(text):
            part = {"type": "text", "text": text}
        case name, arguments:
            assert name in [tool["name"] for tool in request["tools"]]
            part = {"type": "tool_use", "id": f"toolu_{len(told)}", "name": name}
            part["input"] = arguments
    named = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [part]}
    return named | {"usage": {"input_tokens": 0, "output_tokens": 0}}


REPLIES: dict[str, Callable[[Data], Data]] = {
    "/v1/chat/completions": reply_chat,
    "/v1/responses": reply_responses,
    "/v1/messages": reply_messages,
}


class Handler(BaseHTTPRequestHandler):
    """Answers each path with its script."""

    def do_POST(self) -> None:  # its base calls it so
        """Answer a request."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = json.dumps(REPLIES[self.path.partition("?")[0]](request)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as its base names it
        """Write no log."""
