"""The snippets of the how-to start the server."""

import json
import re
from pathlib import Path
from typing import Any

from media_agent.cli.app import build_app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "use-with-mcp.md"


def read_snippets() -> list[dict[str, Any]]:
    blocks = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [json.loads(block) for block in blocks]


def test_every_snippet_starts_the_server_with_the_sandbox() -> None:
    snippets = read_snippets()

    entries = [next(iter(each.values()))["media-agent"] for each in snippets]
    assert [next(iter(each)) for each in snippets] == [*["mcpServers"] * 3, "servers"]
    for entry in entries:
        command, given, _ = build_app().parse_args(entry["args"], exit_on_error=False)
        assert entry["command"] == "media-agent"
        assert (command.__name__, given.args) == ("mcp", ())
        assert entry["env"] == {"MEDIA_AGENT_DEFAULT_BACKEND": "sandbox"}
