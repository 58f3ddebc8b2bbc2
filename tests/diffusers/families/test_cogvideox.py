"""CogVideoX with tiny weights: text, image and video each become a video, and the contract."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.errors import InvalidRequestError, RequestError, UnsupportedRequestError
from media_agent.negotiation.negotiate import negotiate
from media_agent.testing import events_of
from media_agent.testing.simulator.videos import write_video
from media_agent.video.codec import read_frames
from media_agent.video.probe import probe
from media_agent_diffusers.backend import DiffusersBackend
from media_agent_diffusers.describe import describe
from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_schemas import Plan, Policy, Size, VideoMode, VideoRequest
from media_agent_schemas.events import JobCompleted
from media_agent_schemas.media import InputRole, MediaInput
from tests.diffusers.conformance import DiffusersConformance

FolderOf = Callable[[str], Path]
MODELS = ("cogvideox", "cogvideox-i2v", "cogvideox-1.5")
KEYS = (f"work-{number}" for number in count())


@pytest.fixture(scope="module")
def backend(
    folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DiffusersBackend]:
    models = {name: folder_of(name) for name in MODELS}
    data_dir = tmp_path_factory.mktemp("data")
    backend = DiffusersBackend(BackendSettings(data_dir=data_dir, models=models, threads=1))
    yield backend
    asyncio.run(backend.aclose())


def make_plan(backend: DiffusersBackend, model: str = "cogvideox", **fields: object) -> Plan:
    policy = fields.pop("policy", Policy.STRICT)
    options = {"num_inference_steps": 2, **fields.pop("options", {})}
    request = VideoRequest.model_validate(
        {
            "prompt": "a red cat",
            "model": f"diffusers/{model}",
            "seed": 0,
            "num_frames": 9,
            "options": {"diffusers": options},
            **fields,
        }
    )
    return negotiate(request, backend.capabilities(model), policy, draw_seed=lambda: 3)


async def complete(backend: DiffusersBackend, plan: Plan) -> JobCompleted:
    ref = await backend.submit(plan.request, key=next(KEYS))
    done = (await events_of(backend, ref))[-1]
    assert isinstance(done, JobCompleted), done
    return done


def frames_of(done: JobCompleted) -> np.ndarray:
    return read_frames(Path(done.artifacts[0].path or ""))


def image(color: str = "red") -> MediaInput:
    data = BytesIO()
    Image.new("RGB", (32, 32), color).save(data, "PNG")
    return MediaInput(role="first_frame", data=data.getvalue())


def video(folder: Path, frames: int = 9, shade: int = 200) -> MediaInput:
    path = folder / f"{frames}-{shade}.mp4"
    write_video(path, np.full((frames, 32, 32, 3), shade, np.uint8), fps=8)
    return MediaInput(role="source_video", path=str(path))


RESTYLE = VideoMode.VIDEO_EDIT


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("model", "work", "frames", "fps"),
    [
        ("cogvideox", "text", 9, 8.0),
        ("cogvideox-i2v", "image", 9, 8.0),
        ("cogvideox", "video", 9, 8.0),
        ("cogvideox-1.5", "text", 17, 16.0),
    ],
)
async def test_text_image_and_video_each_become_a_video(
    backend: DiffusersBackend, tmp_path: Path, model: str, work: str, frames: int, fps: float
) -> None:
    fields: dict[str, object] = {
        "text": {},
        "image": {"inputs": (image(),)},
        "video": {"inputs": (video(tmp_path),), "mode": RESTYLE},
    }[work]
    plan = make_plan(backend, model, num_frames=frames, **fields)

    done = await complete(backend, plan)

    facts = probe(Path(done.artifacts[0].path or ""))
    assert (facts.frames, facts.fps, facts.width, facts.height) == (frames, fps, 32, 32)
    assert (facts.codec, facts.container) == ("h264", "mp4")
    assert (done.model, done.warnings) == (model, ())


@pytest.mark.anyio
async def test_the_source_and_the_strength_decide_what_is_restyled(
    backend: DiffusersBackend, tmp_path: Path
) -> None:
    async def restyle(shade: int, strength: float) -> np.ndarray:
        options = {"num_inference_steps": 4, "strength": strength}
        inputs = (video(tmp_path, shade=shade),)
        plan = make_plan(backend, inputs=inputs, mode=RESTYLE, options=options)
        return frames_of(await complete(backend, plan))

    bright = await restyle(200, 0.5)

    assert not np.array_equal(bright, await restyle(20, 0.5))
    assert not np.array_equal(bright, await restyle(200, 1.0))


@pytest.mark.anyio
async def test_a_short_source_is_filled_up_to_what_can_be_made_and_the_record_says_so(
    backend: DiffusersBackend, tmp_path: Path
) -> None:
    plan = make_plan(backend, inputs=(video(tmp_path, frames=6),), mode=RESTYLE, num_frames=17)

    done = await complete(backend, plan)

    assert len(frames_of(done)) == 9
    assert done.warnings == (
        "source_video: its last frame is repeated 3 times",
        "17 frames were requested, 9 were generated",
    )


@pytest.mark.anyio
async def test_a_folder_saved_from_the_video_pipeline_does_both_kinds_of_work(
    backend: DiffusersBackend, folder_of: FolderOf, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder_of("cogvideox"), copy)
    index = copy / "model_index.json"
    index.write_text(index.read_text().replace("XPipeline", "XVideoToVideoPipeline"))
    settings = BackendSettings(tmp_path / "data", models={"cogvideox": copy}, threads=1)
    other = DiffusersBackend(settings)

    made = [frames_of(await complete(each, make_plan(each))) for each in (backend, other)]

    await other.aclose()
    assert other.capabilities().modes == backend.capabilities("cogvideox").modes
    assert np.array_equal(*made)


def test_frames_and_size_go_to_what_the_family_makes(backend: DiffusersBackend) -> None:
    old = make_plan(backend, num_frames=13, size=Size(width=64, height=48), policy=Policy.ADJUST)
    new = make_plan(backend, "cogvideox-1.5", num_frames=24, policy=Policy.ADJUST)

    assert (old.request.num_frames, str(old.request.size)) == (17, "32x32")
    assert new.request.num_frames == 17


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ("cogvideox", {"num_frames": 13}, "8k\\+1 frames"),
        ("cogvideox-1.5", {"num_frames": 25}, "16k\\+1 frames"),
        ("cogvideox", {"size": Size(width=48, height=32)}, "size"),
        ("cogvideox", {"inputs": (image(),)}, "image_to_video"),
        ("cogvideox-1.5", {"mode": RESTYLE}, "video_edit"),
        ("cogvideox", {"options": {"max_sequence_length": 8}}, "max_sequence_length"),
    ],
)
def test_what_a_model_cannot_do_is_refused_before_anything(
    backend: DiffusersBackend, model: str, fields: dict[str, object], said: str
) -> None:
    with pytest.raises(UnsupportedRequestError, match=said):
        make_plan(backend, model, **fields)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("mode", "gives", "options", "said"),
    [
        (RESTYLE, False, {}, "starts from one source_video; given: none"),
        (VideoMode.TEXT_TO_VIDEO, True, {}, "source_video: .* accepts no inputs"),
        (VideoMode.TEXT_TO_VIDEO, False, {"strength": 0.5}, "takes no option strength"),
        (RESTYLE, True, {"strength": 0.4}, "strength 0.4 of 2 steps is less than one step"),
        (RESTYLE, True, {"strength": 0}, "strength 0 leaves the source as it is"),
    ],
)
async def test_what_does_not_go_together_is_refused_before_any_work(
    backend: DiffusersBackend,
    tmp_path: Path,
    mode: VideoMode,
    gives: bool,
    options: dict[str, object],
    said: str,
) -> None:
    inputs = (video(tmp_path),) if gives else ()
    fields = {"mode": mode, "inputs": inputs, "options": options}

    with pytest.raises(RequestError, match=said):
        await backend.submit(make_plan(backend, **fields).request, key="bad")

    assert not (backend.settings.data_dir / "work" / "bad").exists()


@pytest.mark.anyio
async def test_a_source_that_is_no_video_is_refused_before_any_work(
    backend: DiffusersBackend,
) -> None:
    still = image().model_copy(update={"role": InputRole.SOURCE_VIDEO})

    with pytest.raises(InvalidRequestError, match="source_video"):
        await backend.submit(make_plan(backend, inputs=(still,), mode=RESTYLE).request, key="k")


@pytest.mark.gpu
@pytest.mark.anyio
@pytest.mark.parametrize("offload", ["none", "model", "sequential"])
async def test_a_gpu_restyles_a_video_and_then_makes_one_from_text(
    folder_of: FolderOf, tmp_path: Path, offload: str
) -> None:
    options = {"device": "cuda", "offload": offload}
    models = {"cogvideox": folder_of("cogvideox")}
    backend = DiffusersBackend(BackendSettings(tmp_path, options, models=models, threads=1))

    for fields in ({"inputs": (video(tmp_path),), "mode": RESTYLE}, {}):
        assert len(frames_of(await complete(backend, make_plan(backend, **fields)))) == 9
    await backend.aclose()


@pytest.mark.parametrize(
    ("heads", "layers", "licence"),
    [(30, 30, "Apache-2.0"), (48, 42, "cogvideox-license"), (2, 1, None)],
)
def test_the_licence_follows_from_which_of_the_models_it_is(
    folder_of: FolderOf, tmp_path: Path, heads: int, layers: int, licence: str | None
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder_of("cogvideox"), copy)
    config = copy / "transformer" / "config.json"
    sizes = {"num_attention_heads": heads, "num_layers": layers}
    published = {"sample_width": 90, "sample_height": 60, "max_text_seq_length": 226}
    config.write_text(json.dumps(json.loads(config.read_text()) | sizes | published))

    capabilities = describe("model", read_folder(copy))

    assert capabilities.licence == licence
    assert capabilities.sizes == (Size(width=720, height=480),)
    assert (capabilities.default_duration, capabilities.max_frames) == (49 / 8, 49)


class TestCogVideoX(DiffusersConformance):
    model = "cogvideox"
    options: ClassVar = {"num_inference_steps": 2}


class TestCogVideoXOfAVideo(DiffusersConformance):
    model = "cogvideox"
    options: ClassVar = {"num_inference_steps": 2}

    def asked(self, backend: VideoBackend) -> VideoRequest:
        fields = {"inputs": (self.source,), "mode": RESTYLE}
        return super().asked(backend).model_copy(update=fields)

    @pytest.fixture(autouse=True)
    def a_source(self, tmp_path: Path) -> None:
        self.source = video(tmp_path, frames=9)
