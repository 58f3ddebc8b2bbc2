"""LTX-2 with tiny weights: each video has its audio, as long as its frames."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import StorageError
from media_agent.negotiation.negotiate import negotiate
from media_agent.testing import events_of
from media_agent.video.codec import read_frames
from media_agent.video.container import open_video
from media_agent.video.probe import probe
from media_agent_diffusers.backend import DiffusersBackend
from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_schemas import Plan, Policy, Size, VideoRequest
from media_agent_schemas.events import ChunkReady, JobCompleted
from media_agent_schemas.media import InputRole, MediaInput
from tests.diffusers.families.ltx.test_ltx import call, edit, image, source

FolderOf = Callable[[str], Path]
KEYS = (f"work-{number}" for number in count())


@pytest.fixture(scope="module")
def backend(
    folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DiffusersBackend]:
    models = {"ltx2": folder_of("ltx2")}
    data_dir = tmp_path_factory.mktemp("data")
    backend = DiffusersBackend(BackendSettings(data_dir=data_dir, models=models, threads=1))
    yield backend
    asyncio.run(backend.aclose())


def make_plan(backend: DiffusersBackend, **fields: object) -> Plan:
    request = VideoRequest.model_validate(
        {
            "prompt": "a red cat",
            "model": "diffusers/ltx2",
            "seed": 0,
            "num_frames": 17,
            "size": Size(width=64, height=32),
            "options": {
                "diffusers": {"num_inference_steps": 1, "max_sequence_length": 16},
            },
            **fields,
        }
    )
    return negotiate(request, backend.capabilities(), Policy.STRICT, draw_seed=lambda: 3)


async def complete(backend: DiffusersBackend, plan: Plan) -> Path:
    ref = await backend.submit(plan.request, key=next(KEYS))
    done = (await events_of(backend, ref))[-1]
    assert isinstance(done, JobCompleted), done
    assert done.warnings == ()
    return Path(done.artifacts[0].path or "")


def read_samples(path: Path) -> np.ndarray:
    with open_video(path) as media:
        return np.concatenate([each.to_ndarray() for each in media.decode(audio=0)], axis=1)


BOTH = (image("first_frame"), image("last_frame", "blue"))


@pytest.mark.anyio
@pytest.mark.parametrize(
    "inputs",
    [(), BOTH[:1], BOTH, "source"],
    ids=["text", "first", "both", "source"],
)
async def test_each_kind_of_work_gives_a_video_that_is_heard_as_long_as_it_is_seen(
    backend: DiffusersBackend, tmp_path: Path, inputs: tuple[MediaInput, ...] | str
) -> None:
    given = (source(tmp_path, fps=24),) if isinstance(inputs, str) else inputs

    path = await complete(backend, make_plan(backend, inputs=given))

    facts = probe(path)
    assert (facts.frames, facts.fps, facts.width, facts.height) == (17, 24.0, 64, 32)
    assert (facts.codec, facts.container, facts.has_audio) == ("h264", "mp4", True)
    with open_video(path) as media:
        audio = media.streams.audio[0]
        assert (audio.codec_context.name, audio.rate, audio.channels) == ("aac", 48_000, 2)
        seconds = float((audio.duration or 0) * (audio.time_base or 0))
    assert seconds == pytest.approx(17 / 24, abs=0.001)
    assert np.abs(read_samples(path)).max() > 0.01


@pytest.mark.anyio
async def test_each_window_of_a_long_continuation_brings_its_own_audio(
    backend: DiffusersBackend, tmp_path: Path
) -> None:
    plan = make_plan(backend, num_frames=137, inputs=(source(tmp_path, fps=24),))
    ref = await backend.submit(plan.request, key=next(KEYS))

    events = await events_of(backend, ref)

    ready = [event for event in events if isinstance(event, ChunkReady)]
    assert [(each.index, each.frames) for each in ready] == [(0, 112), (1, 25)]
    assert [each.resume is not None and each.resume.next_chunk for each in ready] == [1, 2]
    done = events[-1]
    assert isinstance(done, JobCompleted), done
    samples = read_samples(Path(done.artifacts[0].path or ""))
    assert samples.shape[1] == pytest.approx(137 / 24 * 48_000, abs=1200)
    cut = round(112 / 24 * 48_000)
    assert min(np.abs(samples[:, :cut]).max(), np.abs(samples[:, cut:]).max()) > 0.01


@pytest.mark.anyio
async def test_a_request_for_no_audio_gets_none(backend: DiffusersBackend) -> None:
    assert backend.capabilities().audio is True

    path = await complete(backend, make_plan(backend, audio=False))

    assert not probe(path).has_audio


@pytest.mark.anyio
async def test_the_seed_decides_what_is_heard(backend: DiffusersBackend) -> None:
    first, again, other = [
        read_samples(await complete(backend, make_plan(backend, seed=seed))) for seed in (0, 0, 1)
    ]

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.anyio
async def test_each_image_decides_what_is_seen(backend: DiffusersBackend) -> None:
    async def make(color: str, other: str) -> np.ndarray:
        inputs = (image("last_frame", color), image("keyframe", other, at=1 / 3))
        return read_frames(await complete(backend, make_plan(backend, inputs=inputs)))

    red = await make("red", "red")

    assert not np.array_equal(red, await make("blue", "red"))
    assert not np.array_equal(red, await make("red", "blue"))


def test_conditions_are_placed_by_latents(folder_of: FolderOf) -> None:
    task = read_folder(folder_of("ltx2")).variant.tasks[-1]

    arguments = task.arguments(call(num_inference_steps=8))

    conditions = arguments["conditions"]
    assert isinstance(conditions, list)
    assert [(each.index, each.frames) for each in conditions] == [
        (0, ["a", "b"]),
        (1, "middle"),
        (2, "last"),
    ]


@pytest.mark.parametrize(
    ("name", "changes", "title", "steps", "guidance", "audio", "stg", "block", "licence"),
    [
        ("a", {}, "LTX-2", 40, 4.0, 4.0, 0.0, 29, "ltx-2-community-license-agreement"),
        (
            "b",
            {"cross_attn_mod": True},
            "LTX-2.3",
            30,
            3.0,
            7.0,
            1.0,
            28,
            "ltx-2-community-license-agreement",
        ),
        (
            "LTX-2.3-Distilled",
            {"cross_attn_mod": True},
            "LTX-2.3 distilled",
            8,
            1.0,
            1.0,
            0.0,
            28,
            "ltx-2-community-license-agreement",
        ),
        (
            "d",
            {"use_keyframes_abs_pos_embedding": True},
            "LTX-2.5",
            30,
            3.0,
            7.0,
            1.0,
            28,
            "ltx-2.x-community-license",
        ),
    ],
)
def test_each_model_has_the_defaults_that_are_published(
    folder_of: FolderOf,
    tmp_path: Path,
    name: str,
    changes: dict[str, object],
    title: str,
    steps: int,
    guidance: float,
    audio: float,
    stg: float,
    block: int,
    licence: str,
) -> None:
    shutil.copytree(folder_of("ltx2"), tmp_path / name)
    edit(tmp_path / name / "transformer" / "config.json", num_layers=48, **changes)

    variant = read_folder(tmp_path / name).variant

    found = {option.name: option.default for option in variant.options}
    assert variant.title.startswith(f"{title},")
    assert (found["num_inference_steps"], found["guidance_scale"]) == (steps, guidance)
    assert (found["audio_guidance_scale"], found["stg_scale"]) == (audio, stg)
    assert variant.licence == licence
    assert (variant.frame_multiple, variant.size_multiple) == (8, 32)
    arguments = variant.tasks[0].arguments(
        replace(call(num_inference_steps=steps), inputs={}, keyframes=())
    )
    assert arguments["spatio_temporal_guidance_blocks"] == [block]
    assert arguments["use_cross_timestep"] is (title != "LTX-2")
    assert ("sigmas" in arguments) is ("distilled" in title)
    assert arguments["frame_rate"] == 25.0


def test_a_model_of_another_shape_has_no_known_licence(folder_of: FolderOf) -> None:
    assert read_folder(folder_of("ltx2")).variant.licence is None


@pytest.mark.parametrize("component", ["vocoder", "connectors", "audio_vae"])
def test_a_folder_without_a_component_for_audio_is_refused(
    folder_of: FolderOf, tmp_path: Path, component: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder_of("ltx2"), copy)
    (copy / component / "diffusion_pytorch_model.safetensors").unlink()

    with pytest.raises(StorageError, match=f"{component} has no weights"):
        read_folder(copy)


def test_code_that_comes_with_weights_is_not_run(folder_of: FolderOf, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder_of("ltx2"), copy)
    index = copy / "model_index.json"
    found = json.loads(index.read_text())
    index.write_text(json.dumps({**found, "vocoder": ["my_vocoder", "LTX2Vocoder"]}))

    with pytest.raises(StorageError, match="my_vocoder"):
        read_folder(copy)


def test_roles_are_those_of_conditions(backend: DiffusersBackend) -> None:
    roles = backend.capabilities().input_roles

    assert {InputRole.FIRST_FRAME, InputRole.KEYFRAME, InputRole.SOURCE_VIDEO} <= set(roles)


@pytest.mark.parametrize("rate", [0, -5, 10**12, 48000.5, "x", None, [24000]])
def test_a_rate_that_no_audio_has_is_refused(
    folder_of: FolderOf, tmp_path: Path, rate: object
) -> None:
    copy = shutil.copytree(folder_of("ltx2"), tmp_path / "copy")
    edit(copy / "vocoder" / "config.json", output_sampling_rate=rate)

    with pytest.raises(StorageError, match=r"vocoder/config.json says output_sampling_rate"):
        read_folder(copy)
