"""The server is as /openapi.json describes it; `make fuzz` tries it for minutes."""

from media_agent.server.app import build_app
from tests.server.fuzzed import fuzz, quick_settings, serving

SLOW = ("DELETE /v1/session", "POST /v1/webhooks/{backend}")  # to draw calls that they forbid


def test_every_reply_is_as_described() -> None:
    with serving(build_app(quick_settings())) as base:
        assert fuzz(base, examples=1, is_wanted=lambda label: label not in SLOW) > 60
