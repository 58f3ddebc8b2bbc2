"""What works without any extra: hosted videos, from the plan to the contact sheet."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from media_agent.distribution import install_hint

ROOT = Path(__file__).resolve().parents[2]
FRAME_MAKERS = ("numpy", "PIL", "torch", "safetensors", "diffusers", "transformers")
WITHOUT = f"import sys\nsys.modules.update(dict.fromkeys({FRAME_MAKERS}))\n"

HOSTED = """
import asyncio, json
from pathlib import Path
from media_agent import VideoClient
from media_agent.config.settings import load_settings
from media_agent.tools import ToolBox
from media_agent.video.probe import probe
from media_agent_hosted.providers.fal.simulator import FalSimulator

async def make(url):
    fal = {"base_url": url, "key": "any", "options": {"poll_seconds": 0.01}}
    settings = load_settings(data_dir=Path("data"), backends={"fal": fal})
    arguments = {"prompt": "a fox in snow", "model": "fal/fal-ai/wan/v2.7/image-to-video",
            "first_frame": "fox.png", "duration": 20, "seed": 0}
    async with VideoClient(settings=settings) as client:
        tools = ToolBox(client)
        answer = await tools.call("create_video", arguments)
        while answer.get("finished") is False:
            waiting = {"job_id": answer["job_id"], "seconds": 10}
            answer = await tools.call("wait_video", waiting)
        return answer

from media_agent.video.images import as_png, frame_of
Path("fox.png").write_bytes(as_png(frame_of(bytes(64 * 64 * 3), 64, 64)))
with FalSimulator() as simulator:
    answer = asyncio.run(make(simulator.url))
    answer["images"] = [call.json()["image_url"][:15] for call in simulator.calls("submit")]
    assert answer.get("status") == "completed", answer
    answer["frames"] = probe(Path(answer["video"])).frames
    print(json.dumps(answer))
"""


def run_without(code: str, folder: Path) -> str:
    """Run code where nothing that makes frames can be imported, and return what it printed."""
    (folder / "none.toml").write_text("")
    environment = {"PATH": "", "HOME": str(folder), "MEDIA_AGENT_CONFIG": "none.toml"}
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT + code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_base_install_asks_for_nothing_that_makes_frames() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=\[ ;]", each)[0] for each in project["dependencies"]}

    assert "av" in names
    assert names & {"numpy", "pillow", "torch", "safetensors", "diffusers", "transformers"} == set()
    for extra in ("magi", "diffusers", "testing", "dev"):
        assert "media-agent-video[local]" in project["optional-dependencies"][extra]


def test_a_hosted_video_in_segments_is_made_joined_and_shown_without_extras(tmp_path: Path) -> None:
    answer: dict[str, Any] = json.loads(run_without(HOSTED, tmp_path))

    assert answer["images"] == ["data:image/png;"] * 2
    assert answer["frames"] >= 20 * 24
    assert Path(answer["contact_sheet"]).read_bytes().startswith(b"\x89PNG")


def test_what_makes_frames_says_which_extra_it_needs(tmp_path: Path) -> None:
    code = "from media_agent.cli import main\nmain(['backends', 'sandbox/slate'])\n"
    generate = "main(['generate', 'a fox', '--backend', 'sandbox', '--out', 'fox.mp4'])"

    shown = run_without(code + f"assert {generate} != 0\nmain(['backends', 'magi'])", tmp_path)
    begun = run_without("from media_agent.cli import main\nassert main(['init']) == 0", tmp_path)

    assert (
        f"first: this machine has no model that generates videos; {install_hint('local')}" in begun
    )
    assert f"missing: numpy, PIL: {install_hint('local')}" in shown
    assert f"missing: torch, safetensors, numpy: {install_hint('magi')}" in shown
    assert not (tmp_path / "fox.mp4").exists()
