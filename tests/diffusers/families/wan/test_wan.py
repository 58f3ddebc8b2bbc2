"""Wan with tiny weights: what its files decide, and the contract of a backend."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.protocol import VideoBackend
from media_agent.errors import InvalidRequestError, StorageError, UnsupportedRequestError
from media_agent.negotiation.negotiate import negotiate
from media_agent_diffusers.describe import describe
from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_schemas import Capabilities, MediaInput, Size, VideoMode, VideoRequest
from tests.diffusers.conformance import DiffusersConformance
from tests.diffusers.families.folders import edit_json, publish
from tests.diffusers.families.making import (
    FolderOf,
    Maker,
    frames_of,
    image,
    make_maker,
    open_maker,
    probe_made,
    video,
)

OF_THE_TEXT_PIPELINE = ("transformer_2", "boundary_ratio", "expand_timesteps")
RESTYLE = VideoMode.VIDEO_EDIT


@pytest.fixture(scope="module")
def maker(folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    models = ("wan", "wan-2.2", "wan-2.2-ti2v")
    with open_maker(folder_of, tmp_path_factory.mktemp("data"), *models) as maker:
        yield maker


def read_capabilities(path: Path) -> Capabilities:
    return describe("model", read_folder(path))


@pytest.mark.anyio
async def test_a_video_is_restyled_by_the_weights_that_make_videos_from_text(
    maker: Maker, tmp_path: Path
) -> None:
    async def restyle(shade: int, strength: float) -> np.ndarray:
        source, options = video(tmp_path, shade=shade), {"strength": strength}
        done = await maker.make("wan", inputs=(source,), mode=RESTYLE, options=options)
        facts = probe_made(done)
        assert (facts.frames, facts.fps, facts.width, facts.height) == (9, 16.0, 32, 32)
        assert done.warnings == ()
        return frames_of(done)

    bright = await restyle(220, 0.5)

    assert not np.array_equal(bright, await restyle(20, 0.5))
    assert not np.array_equal(bright, await restyle(220, 1.0))


@pytest.mark.anyio
async def test_a_folder_saved_from_the_video_pipeline_makes_videos_from_text_too(
    folder_of: FolderOf, tmp_path: Path, maker: Maker
) -> None:
    copy = publish(folder_of("wan"), tmp_path / "copy")
    index = json.loads((copy / "model_index.json").read_text())
    kept = {key: value for key, value in index.items() if key not in OF_THE_TEXT_PIPELINE}
    changed = {**kept, "_class_name": "WanVideoToVideoPipeline"}
    (copy / "model_index.json").write_text(json.dumps(changed))

    other = make_maker(tmp_path / "data", {"wan": copy})

    made = [await each.make_frames("wan") for each in (maker, other)]

    await other.backend.aclose()
    assert np.array_equal(*made)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strength": 0.4}, "strength 0.4 of 2 steps is less than one step"),
        ({"strength": 0}, "strength 0 leaves the source as it is"),
    ],
)
async def test_a_strength_that_changes_nothing_is_refused(
    maker: Maker, tmp_path: Path, options: dict[str, object], said: str
) -> None:
    plan = maker.plan("wan", inputs=(video(tmp_path),), mode=RESTYLE, options=options)

    with pytest.raises(InvalidRequestError, match=said):
        await maker.backend.submit(plan.request, key="bad")


def test_two_transformers_restyle_nothing(maker: Maker, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedRequestError, match="video_edit"):
        maker.plan("wan-2.2", inputs=(video(tmp_path),), mode=RESTYLE)


@pytest.mark.anyio
async def test_the_small_wan_2_2_begins_from_text_and_from_an_image(maker: Maker) -> None:
    work = [{}, {"inputs": (image(size=(64, 32)),)}, {"inputs": (image(color="blue"),)}]

    made = [await maker.make("wan-2.2-ti2v", size="64x32", **fields) for fields in work]

    for done in made:
        facts = probe_made(done)
        assert (facts.frames, facts.fps, facts.width, facts.height) == (9, 24.0, 64, 32)
    assert made[1].warnings == ()
    assert made[2].warnings == ("first_frame: 32x32, cropped to 64x32",)
    text, red, blue = map(frames_of, made)
    assert not np.array_equal(text, red)
    assert not np.array_equal(red, blue)


def test_a_size_that_diffusers_would_round_is_refused(maker: Maker) -> None:
    with pytest.raises(UnsupportedRequestError, match="in steps of 32"):
        maker.plan("wan-2.2-ti2v", size="48x32")


@pytest.mark.anyio
async def test_a_video_of_its_first_frame_alone_is_refused(maker: Maker) -> None:
    planned = maker.plan("wan-2.2-ti2v", inputs=(image(),), num_frames=5).request
    request = planned.model_copy(update={"num_frames": 1})  # as no plan would have it

    with pytest.raises(UnsupportedRequestError, match="makes 5 to 121 frames"):
        maker.plan("wan-2.2-ti2v", inputs=(image(),), num_frames=1)
    with pytest.raises(InvalidRequestError, match="at least 5 frames"):
        await maker.backend.submit(request, key="bad")


def test_the_small_wan_2_2_is_told_from_the_others_by_its_files(
    folder_of: Callable[[str], Path],
) -> None:
    capabilities = read_capabilities(folder_of("wan-2.2-ti2v"))

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
        ("wan-2.2-ti2v", 50, (5.0,), 5.0),
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


@pytest.mark.parametrize(
    ("heads", "layers", "licence"),
    [
        (12, 30, "Apache-2.0"),
        (40, 40, "Apache-2.0"),
        (24, 30, "Apache-2.0"),
        (2, 2, None),
    ],
)
def test_the_licence_is_that_of_the_published_models(
    wan_copy: Path, heads: int, layers: int, licence: str | None
) -> None:
    shape = {"num_attention_heads": heads, "num_layers": layers}
    edit_json(wan_copy / "transformer" / "config.json", **shape)

    assert read_capabilities(wan_copy).licence == licence


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
        first = image(size=(16, 16))
        return super().asked(backend).model_copy(update={"inputs": (first,), "mode": None})
