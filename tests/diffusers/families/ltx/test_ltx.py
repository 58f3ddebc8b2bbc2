"""LTX-Video with tiny weights: conditions at any place, continuations, and the contract."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import RequestError, UnsupportedRequestError
from media_agent.negotiation.negotiate import negotiate
from media_agent.testing import events_of
from media_agent.testing.simulator.videos import write_video
from media_agent.video.codec import read_frames
from media_agent.video.probe import probe
from media_agent_diffusers.backend import DiffusersBackend
from media_agent_diffusers.describe import describe
from media_agent_diffusers.families.family import Call, Variant
from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_schemas import Plan, Policy, Size, VideoMode, VideoRequest
from media_agent_schemas.events import JobCompleted
from media_agent_schemas.media import InputRole, MediaInput
from tests.diffusers.conformance import DiffusersConformance

FolderOf = Callable[[str], Path]
KEYS = (f"work-{number}" for number in count())


@pytest.fixture(scope="module")
def backend(
    folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DiffusersBackend]:
    models = {name: folder_of(name) for name in ("ltx", "ltx-condition")}
    data_dir = tmp_path_factory.mktemp("data")
    backend = DiffusersBackend(BackendSettings(data_dir=data_dir, models=models, threads=1))
    yield backend
    asyncio.run(backend.aclose())


def make_plan(backend: DiffusersBackend, model: str = "ltx-condition", **fields: object) -> Plan:
    policy = fields.pop("policy", Policy.STRICT)
    request = VideoRequest.model_validate(
        {
            "prompt": "a red cat",
            "model": f"diffusers/{model}",
            "seed": 0,
            "num_frames": 17,
            "size": Size(width=64, height=32),
            "options": {
                "diffusers": {"num_inference_steps": 1, "max_sequence_length": 16},
            },
            **fields,
        }
    )
    return negotiate(request, backend.capabilities(model), policy, draw_seed=lambda: 3)


async def complete(backend: DiffusersBackend, plan: Plan) -> JobCompleted:
    ref = await backend.submit(plan.request, key=next(KEYS))
    done = (await events_of(backend, ref))[-1]
    assert isinstance(done, JobCompleted), done
    return done


async def frames_of(backend: DiffusersBackend, plan: Plan) -> np.ndarray:
    return read_frames(Path((await complete(backend, plan)).artifacts[0].path or ""))


def image(role: str, color: str = "red", **place: float) -> MediaInput:
    data = BytesIO()
    Image.new("RGB", (64, 32), color).save(data, "PNG")
    return MediaInput.model_validate({"role": role, "data": data.getvalue(), **place})


def source(folder: Path, frames: int = 12, shade: int = 200, fps: float = 25) -> MediaInput:
    path = folder / f"{frames}-{shade}.mp4"
    write_video(path, np.full((frames, 32, 64, 3), shade, np.uint8), fps=fps)
    return MediaInput(role="source_video", path=str(path))


BOTH = (image("first_frame"), image("last_frame", "blue"))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        ("ltx", ()),
        ("ltx", BOTH[:1]),
        ("ltx-condition", ()),
        ("ltx-condition", BOTH[:1]),
        ("ltx-condition", (*BOTH, image("keyframe", at=0.32))),
    ],
    ids=["text", "first", "conditioned-text", "conditioned-first", "three"],
)
async def test_text_and_images_become_a_video(
    backend: DiffusersBackend, model: str, inputs: tuple[MediaInput, ...]
) -> None:
    done = await complete(backend, make_plan(backend, model, inputs=inputs))

    facts = probe(Path(done.artifacts[0].path or ""))
    assert (facts.frames, facts.fps, facts.width, facts.height) == (17, 25.0, 64, 32)
    assert (facts.codec, facts.container, facts.has_audio) == ("h264", "mp4", False)
    assert (done.model, done.warnings) == (model, ())


@pytest.mark.anyio
async def test_a_continuation_has_the_new_frames_alone_and_begins_from_the_end_of_the_source(
    backend: DiffusersBackend, tmp_path: Path
) -> None:
    async def extend(shade: int) -> np.ndarray:
        return await frames_of(backend, make_plan(backend, inputs=(source(tmp_path, shade=shade),)))

    bright, dark = await extend(200), await extend(20)

    assert bright.shape == dark.shape == (17, 32, 64, 3)
    assert not np.array_equal(bright, dark)


def test_each_image_decides_what_the_pipeline_makes(folder_of: FolderOf) -> None:
    """Compare its numbers: through so few weights a colour is less than a step of 8 bits."""
    import torch
    from diffusers import LTXConditionPipeline

    folder = folder_of("ltx-condition")
    arguments = read_folder(folder).variant.tasks[2].arguments
    pipe = LTXConditionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)

    def make(*colors: str) -> object:
        first, middle, last = (Image.new("RGB", (64, 32), color) for color in colors)
        asked = call(num_inference_steps=2)
        inputs = {InputRole.FIRST_FRAME: first, InputRole.LAST_FRAME: last}
        asked = replace(asked, inputs=inputs, keyframes=((8, middle),))
        seeded = torch.Generator().manual_seed(0)
        return pipe(**arguments(asked), generator=seeded, output_type="np").frames[0]

    red = make("red", "red", "red")
    assert np.array_equal(red, make("red", "red", "red"))
    for colors in (("blue", "red", "red"), ("red", "blue", "red"), ("red", "red", "blue")):
        assert not np.array_equal(red, make(*colors)), colors


@pytest.mark.anyio
async def test_a_keyframe_goes_to_the_nearest_frame_that_can_be_set_and_the_record_says_so(
    backend: DiffusersBackend,
) -> None:
    done = await complete(backend, make_plan(backend, inputs=(image("keyframe", at=0.4),)))

    assert done.warnings == (
        "the keyframe at 0.4 s is shown at 0.32 s: the model can set every 8th frame",
    )


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"inputs": (image("keyframe", at=2.0),)}, "at 2 s is after the end .* 0.68 s"),
        ({"inputs": (*BOTH, image("keyframe", at=0.1))}, "two images are for frame 0"),
        ({"inputs": (*BOTH, image("keyframe", at=0.6))}, "two images are for frame 16"),
        ({"inputs": (*BOTH, BOTH[1])}, "2 of role last_frame: .* accepts at most 1"),
        ({"mode": VideoMode.FIRST_LAST_FRAME}, "begins from images; none given"),
        ({"mode": VideoMode.VIDEO_EXTEND}, "starts from one source_video; given: none"),
    ],
)
async def test_images_that_do_not_go_together_are_refused_before_any_work(
    backend: DiffusersBackend, fields: dict[str, object], said: str
) -> None:
    with pytest.raises(RequestError, match=said):
        await backend.submit(make_plan(backend, **fields).request, key="bad")

    assert not (backend.settings.data_dir / "work" / "bad").exists()


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ("ltx", {"num_frames": 16}, "8k\\+1 frames"),
        ("ltx", {"size": Size(width=48, height=32)}, "size"),
        ("ltx", {"fps": 24.0}, "fps"),
        ("ltx", {"inputs": BOTH}, "first_last_frame"),
        ("ltx", {"options": {"diffusers": {"decode_timestep": 0.1}}}, "decode_timestep"),
    ],
)
def test_what_a_model_cannot_do_is_refused(
    backend: DiffusersBackend, model: str, fields: dict[str, object], said: str
) -> None:
    with pytest.raises(UnsupportedRequestError, match=said):
        make_plan(backend, model, **fields)


def test_only_models_with_conditions_continue_videos(backend: DiffusersBackend) -> None:
    assert backend.capabilities("ltx-condition").extends is True
    assert backend.capabilities("ltx").extends is False


def variant_of(folder_of: FolderOf, folder: Path, model: str, layers: int = 28) -> Variant:
    shutil.copytree(folder_of(model), folder)
    edit(folder / "transformer" / "config.json", num_layers=layers)
    return read_folder(folder).variant


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("model", "name", "layers", "steps", "guidance", "rescale", "decode", "licence"),
    [
        ("ltx", "LTX-Video", 28, 50, 3.0, 0.0, None, None),
        ("ltx-condition", "LTX-Video-0.9.5", 28, 40, 3.0, 0.0, 0.05, None),
        ("ltx-condition", "ltxv-2b-0.9.6-distilled", 28, 8, 1.0, 0.0, 0.05, None),
        (
            "ltx-condition",
            "models--Lightricks--LTX-Video-0.9.6-distilled/snapshots/0a1b2c",
            *(28, 8, 1.0, 0.0, 0.05, None),
        ),
        ("ltx-condition", "distilled/LTX-Video-0.9.5", 28, 40, 3.0, 0.0, 0.05, None),
        ("ltx-condition", "LTX-Video-0.9.7-dev", 48, 30, 5.0, 0.7, 0.05, "ltxv-open-weights"),
        ("ltx-condition", "LTX-Video-0.9.8-13B-Distilled", 48, 8, 1.0, 0.7, 0.05, "ltxv-open"),
    ],
)
def test_each_model_has_the_defaults_that_are_published(
    folder_of: FolderOf,
    tmp_path: Path,
    model: str,
    name: str,
    layers: int,
    steps: int,
    guidance: float,
    rescale: float,
    decode: float | None,
    licence: str | None,
) -> None:
    variant = variant_of(folder_of, tmp_path / name, model, layers)

    found = {option.name: option.default for option in variant.options}
    assert (found["num_inference_steps"], found["guidance_scale"]) == (steps, guidance)
    assert (found["guidance_rescale"], found.get("decode_timestep")) == (rescale, decode)
    assert (variant.licence or "").startswith(licence or "")
    assert (variant.licence is None) is (licence is None)
    assert (variant.frame_multiple, variant.size_multiple) == (8, 32)


def test_a_later_model_saved_from_the_first_pipeline_takes_conditions_too(
    folder_of: FolderOf, tmp_path: Path
) -> None:
    shutil.copytree(folder_of("ltx"), tmp_path / "later")
    edit(tmp_path / "later" / "vae" / "config.json", down_block_types=["LTXVideo095DownBlock3D"])

    capabilities = describe("later", read_folder(tmp_path / "later"))

    assert VideoMode.VIDEO_EXTEND in capabilities.modes
    assert capabilities.extends is True


@pytest.mark.parametrize(("steps", "sent"), [(8, "timesteps"), (4, "num_inference_steps")])
def test_a_distilled_model_is_run_with_its_own_timesteps(
    folder_of: FolderOf, tmp_path: Path, steps: int, sent: str
) -> None:
    variant = variant_of(folder_of, tmp_path / "13b-distilled", "ltx-condition", 48)

    for task in variant.tasks:
        arguments = task.arguments(call(num_inference_steps=steps))
        assert {"timesteps", "num_inference_steps"} & arguments.keys() == {sent}
        assert arguments["frame_rate"] == 25.0
        assert len(arguments.get("timesteps", [0] * 8)) == 8  # type: ignore[arg-type]


def call(**options: object) -> Call:
    return Call(
        prompt="a cat",
        negative_prompt=None,
        size=Size(width=64, height=32),
        num_frames=17,
        fps=25.0,
        max_tokens=16,
        options=options,  # type: ignore[arg-type]
        inputs={InputRole.LAST_FRAME: "last", InputRole.SOURCE_VIDEO: ["a", "b"]},
        keyframes=((8, "middle"),),
    )


def test_every_image_and_clip_becomes_a_condition_at_its_frame(
    folder_of: FolderOf,
) -> None:
    task = read_folder(folder_of("ltx-condition")).variant.tasks[-1]

    arguments = task.arguments(call(num_inference_steps=8))

    conditions = arguments["conditions"]
    assert isinstance(conditions, list)
    assert [(each.frame_index, each.image, each.video) for each in conditions] == [
        (0, None, ["a", "b"]),
        (8, "middle", None),
        (16, "last", None),
    ]
    assert not {"image", "last_image", "video"} & arguments.keys()


class TestLtx(DiffusersConformance):
    model = "ltx"
