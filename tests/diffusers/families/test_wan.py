"""Wan with tiny weights: what its files decide, and the contract of a backend."""

import json
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from media_agent.backend.protocol import VideoBackend
from media_agent.errors import StorageError
from media_agent.negotiation.negotiate import negotiate
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


def defaults(path: Path) -> dict[str, object]:
    names = ("num_inference_steps", "guidance_scale", "guidance_scale_2", "flow_shift")
    found = {option.name: option.default for option in read_capabilities(path).options}
    return {name: found[name] for name in names if name in found}


@pytest.mark.parametrize(
    ("family", "steps", "guidance", "shift"),
    [
        ("wan", 50, (5.0,), 5.0),
        ("wan-i2v", 40, (5.0,), 7.0),
        ("wan-flf2v", 50, (5.0,), 16.0),
        ("wan-2.2", 40, (4.0, 3.0), 12.0),
        ("wan-2.2-i2v", 40, (3.5, 3.5), 5.0),
    ],
)
def test_each_model_has_the_defaults_that_its_authors_publish(
    folder_of: Callable[[str], Path],
    family: str,
    steps: int,
    guidance: tuple[float, ...],
    shift: float,
) -> None:
    scales = dict(zip(("guidance_scale", "guidance_scale_2"), guidance, strict=False))

    assert defaults(folder_of(family)) == {
        "num_inference_steps": steps,
        **scales,
        "flow_shift": shift,
    }


def test_the_source_of_the_defaults_is_said(folder_of: Callable[[str], Path]) -> None:
    for family, source in (("wan", "Wan-Video/Wan2.1"), ("wan-2.2", "Wan-Video/Wan2.2")):
        note = read_capabilities(folder_of(family)).verification.note or ""
        assert f"defaults from https://github.com/{source}" in note


def test_the_smallest_wan_2_1_is_told_by_its_heads(wan_copy: Path) -> None:
    edit_json(wan_copy / "transformer" / "config.json", num_attention_heads=12)

    assert (defaults(wan_copy)["guidance_scale"], defaults(wan_copy)["flow_shift"]) == (6.0, 8.0)


@pytest.mark.parametrize("name", ["flow_shift", "shift"])
def test_the_shift_of_an_image_model_is_that_of_its_scheduler(
    folder_of: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    copy = tmp_path / "wan-i2v"
    shutil.copytree(folder_of("wan-i2v"), copy)
    (copy / "scheduler" / "scheduler_config.json").write_text(json.dumps({name: 3.0}))

    assert defaults(copy)["flow_shift"] == 3.0


def test_a_scheduler_without_a_shift_has_no_option_for_it(wan_copy: Path) -> None:
    (wan_copy / "scheduler" / "scheduler_config.json").write_text("{}")

    assert "flow_shift" not in defaults(wan_copy)


def test_a_model_of_two_transformers_needs_both(wan_copy: Path) -> None:
    edit_json(wan_copy / "model_index.json", boundary_ratio=0.875)

    with pytest.raises(StorageError, match="transformer_2 missing"):
        read_folder(wan_copy)


@pytest.mark.parametrize("asked", [1, 2, 3, 5])
def test_between_two_frames_there_are_at_least_five_and_the_plan_says_so(
    folder_of: Callable[[str], Path], asked: int
) -> None:
    roles = ("first_frame", "last_frame")
    inputs = tuple(MediaInput.model_validate({"role": role, "path": "/a"}) for role in roles)
    request = VideoRequest(prompt="x", inputs=inputs, num_frames=asked, seed=0)

    plan = negotiate(request, read_capabilities(folder_of("wan-flf2v")), draw_seed=lambda: 0)

    assert plan.request.num_frames == 5
    told = [change for change in plan.adjustments if change.field == "num_frames"]
    assert bool(told) is (asked != 5)


def test_one_frame_is_enough_from_text(wan_copy: Path) -> None:
    request = VideoRequest(prompt="x", num_frames=1, seed=0)

    plan = negotiate(request, read_capabilities(wan_copy), draw_seed=lambda: 0)

    assert plan.request.num_frames == 1


class TestWan(DiffusersConformance):
    model = "wan"


class TestWanOfTwoTransformers(DiffusersConformance):
    model = "wan-2.2"


class TestWanFromAnImage(DiffusersConformance):
    model = "wan-i2v"

    def asked(self, backend: VideoBackend) -> VideoRequest:
        data = BytesIO()
        Image.new("RGB", (16, 16), "red").save(data, "PNG")
        first = MediaInput(role="first_frame", data=data.getvalue())
        return super().asked(backend).model_copy(update={"inputs": (first,), "mode": None})
