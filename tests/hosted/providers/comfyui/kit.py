"""What the tests of the ComfyUI backend share: its examples, and a backend that does not wait."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings
from media_agent.negotiation.negotiate import negotiate
from media_agent_hosted.providers.comfyui.backend import ComfyBackend
from media_agent_schemas.request import VideoRequest
from tests.hosted.provider_kit import no_sleep

EXAMPLES = Path(__file__).resolve().parents[4] / "examples" / "comfyui"
SECTIONS = tomllib.loads((EXAMPLES / "media-agent.toml").read_text("utf-8"))["backends"]


def make(
    folder: Path,
    url: str | None = None,
    *,
    name: str = "wan",
    key: str | None = None,
    workflows: Path = EXAMPLES,
    **options: Any,
) -> ComfyBackend:
    """Return the backend of a section of the examples, with some options changed."""
    return ComfyBackend(
        BackendSettings(
            folder,
            name=name,
            base_url=url,
            key=None if key is None else SecretStr(key),
            folder=workflows,
            options={**SECTIONS[name]["options"], **options},
        ),
        sleep=no_sleep,
    )


def plan(backend: ComfyBackend, **fields: Any) -> VideoRequest:
    """Return a request as the backend gets it."""
    request = VideoRequest.model_validate({"prompt": "a fox runs", **fields})
    return negotiate(request, backend.capabilities(), draw_seed=lambda: 7).request
