"""The server's side of a websocket, as far as a simulator needs it: text to the client."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable

from pydantic import JsonValue

from media_agent.testing.simulator.server import Answer, Call

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_SHORT, _LONG = 126, 2**16  # where the length of a message takes more bytes


def accept_socket(call: Call, messages: Callable[[], Iterable[JsonValue]]) -> Answer:
    """Return the answer that makes a connection a websocket, and then sends the messages."""
    key = call.headers.get("sec-websocket-key", "")
    if call.headers.get("upgrade", "").lower() != "websocket" or not key:
        return Answer(400, b"a websocket was due", media_type="text/plain")
    digest = hashlib.sha1((key + _GUID).encode()).digest()

    def converse(write: Callable[[bytes], object]) -> None:
        for message in messages():
            write(_frame(json.dumps(message).encode()))
        write(b"\x88\x00")  # close

    return Answer(
        101,
        headers={
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": base64.b64encode(digest).decode(),
        },
        converse=converse,
    )


def _frame(text: bytes) -> bytes:
    """Return a text message in one frame, unmasked as a server sends it (section 5.2)."""
    size = len(text)
    if size < _SHORT:
        return bytes((0x81, size)) + text
    if size < _LONG:
        return b"\x81\x7e" + size.to_bytes(2) + text
    return b"\x81\x7f" + size.to_bytes(8) + text
