"""Wan with tiny weights: what its files decide, and the contract of a backend."""

import json
from io import BytesIO
from pathlib import Path

from PIL import Image

from media_agent.backend.protocol import VideoBackend
from media_agent_diffusers.describe import describe
from media_agent_diffusers.folder import read_folder
from media_agent_schemas import Capabilities, MediaInput, Size, VideoRequest
from tests.diffusers.conformance import DiffusersConformance


def read_capabilities(path: Path) -> Capabilities:
    return describe("model", read_folder(path))


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_small_wan_2_2_is_told_from_the_others_by_its_files(wan_copy: Path) -> None:
    edit_json(wan_copy / "model_index.json", expand_timesteps=True)
    edit_json(wan_copy / "vae" / "config.json", scale_factor_spatial=16)

    capabilities = read_capabilities(wan_copy)

    assert capabilities.default_fps == 24.0
    assert capabilities.default_size == Size(width=1280, height=704)
    assert capabilities.size_range is not None
    assert capabilities.size_range.multiple == 32


def test_guidance_of_a_second_model_is_an_option_only_where_there_is_one(wan_copy: Path) -> None:
    import inspect

    import diffusers

    names = [option.name for option in read_capabilities(wan_copy).options]
    assert "guidance_scale_2" not in names

    edit_json(wan_copy / "model_index.json", boundary_ratio=0.875)

    assert "guidance_scale_2" in [option.name for option in read_capabilities(wan_copy).options]
    assert "guidance_scale_2" in inspect.signature(diffusers.WanPipeline.__call__).parameters


class TestWan(DiffusersConformance):
    model = "wan"


class TestWanFromAnImage(DiffusersConformance):
    model = "wan-i2v"

    def asked(self, backend: VideoBackend) -> VideoRequest:
        data = BytesIO()
        Image.new("RGB", (16, 16), "red").save(data, "PNG")
        first = MediaInput(role="first_frame", data=data.getvalue())
        return super().asked(backend).model_copy(update={"inputs": (first,), "mode": None})
