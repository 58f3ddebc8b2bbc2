"""Real pipelines with tiny weights, from a folder on disk to a video that is probed."""

import asyncio
import json
import re
import socket
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import aclosing
from io import BytesIO
from itertools import count, groupby
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from media_agent.backend.local import describe_missing
from media_agent.backend.protocol import BackendSettings
from media_agent.distribution import install_hint
from media_agent.errors import (
    BackendUnavailableError,
    ConfigurationError,
    GenerationFailedError,
    InvalidRequestError,
    StorageError,
    UnsupportedRequestError,
)
from media_agent.negotiation.negotiate import negotiate
from media_agent.testing import events_of
from media_agent.video.codec import read_frames
from media_agent.video.probe import probe
from media_agent_diffusers.backend import DiffusersBackend
from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_diffusers.settings import DiffusersOptions
from media_agent_schemas import Plan, Policy, Size, VideoRequest
from media_agent_schemas.events import (
    BackendEvent,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobProgressed,
)
from media_agent_schemas.media import MediaInput

FolderOf = Callable[[str], Path]
FAST = {"num_inference_steps": 2, "max_sequence_length": 16}


KEYS = (f"work-{number}" for number in count())


@pytest.fixture(scope="module")
def backend(
    folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DiffusersBackend]:
    families = ("wan", "wan-i2v", "wan-flf2v", "wan-2.2", "wan-2.2-i2v", "mochi")
    models = {family: folder_of(family) for family in families}
    data_dir = tmp_path_factory.mktemp("data")
    backend = DiffusersBackend(BackendSettings(data_dir=data_dir, models=models, threads=1))
    yield backend
    asyncio.run(backend.aclose())


def make_plan(
    backend: DiffusersBackend,
    model: str = "wan",
    policy: Policy = Policy.ADJUST,
    options: dict[str, object] | None = None,
    **fields: object,
) -> Plan:
    request = VideoRequest.model_validate(
        {
            "prompt": "a red cat",
            "model": f"diffusers/{model}",
            "size": Size(width=32, height=16),
            "seed": 0,
            "options": {"diffusers": {**FAST, **(options or {})}},
            **({} if "duration" in fields else {"num_frames": 7 if model == "mochi" else 5}),
            **fields,
        }
    )
    return negotiate(request, backend.capabilities(model), policy, draw_seed=lambda: 3)


async def submit_and_observe(backend: DiffusersBackend, plan: Plan) -> list[BackendEvent]:
    ref = await backend.submit(plan.request, key=next(KEYS))
    return await events_of(backend, ref)


async def video(backend: DiffusersBackend, plan: Plan) -> np.ndarray:
    done = (await submit_and_observe(backend, plan))[-1]
    assert isinstance(done, JobCompleted), done
    return read_frames(Path(done.artifacts[0].path or ""))


def image(width: int = 32, height: int = 16, color: str = "red") -> bytes:
    data = BytesIO()
    Image.new("RGB", (width, height), color).save(data, "PNG")
    return data.getvalue()


def first(data: bytes | None = None) -> MediaInput:
    return MediaInput(role="first_frame", data=image() if data is None else data)


def last() -> MediaInput:
    return MediaInput(role="last_frame", data=image(color="blue"))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("model", "inputs", "frames", "fps"),
    [
        ("wan", (), 9, 16.0),
        ("wan-i2v", (first(),), 9, 16.0),
        ("wan-flf2v", (first(), last()), 5, 16.0),
        ("wan-2.2", (), 9, 16.0),
        ("wan-2.2-i2v", (first(),), 9, 16.0),
        ("mochi", (), 13, 30.0),
    ],
)
async def test_a_folder_of_weights_makes_a_video(
    backend: DiffusersBackend, model: str, inputs: tuple[MediaInput, ...], frames: int, fps: float
) -> None:
    plan = make_plan(backend, model, inputs=inputs, num_frames=frames, policy=Policy.STRICT)

    done = (await submit_and_observe(backend, plan))[-1]

    assert isinstance(done, JobCompleted), done
    facts = probe(Path(done.artifacts[0].path or ""))
    assert (facts.frames, facts.fps, facts.width, facts.height) == (frames, fps, 32, 16)
    assert (facts.codec, facts.container) == ("h264", "mp4")
    assert done.warnings == ()
    assert done.model == model
    assert done.weights_sha256 is not None
    assert done.weights_sha256 == backend.capabilities(model).weights_sha256


@pytest.mark.anyio
async def test_the_seed_decides_and_zero_is_a_seed(backend: DiffusersBackend) -> None:
    zero = await video(backend, make_plan(backend, seed=0))
    again = await video(backend, make_plan(backend, seed=0))
    one = await video(backend, make_plan(backend, seed=1))

    assert np.array_equal(zero, again)
    assert not np.array_equal(zero, one)


@pytest.mark.anyio
async def test_another_process_makes_the_same_frames(
    backend: DiffusersBackend, folder_of: FolderOf, tmp_path: Path
) -> None:
    models = {"wan": folder_of("wan")}
    other = DiffusersBackend(BackendSettings(data_dir=tmp_path / "other", models=models, threads=1))

    here, there = await video(backend, make_plan(backend)), await video(other, make_plan(other))

    await other.aclose()
    assert np.array_equal(here, there)


@pytest.mark.anyio
async def test_the_prompt_and_the_negative_prompt_reach_the_model(
    backend: DiffusersBackend,
) -> None:
    videos = [
        await video(backend, make_plan(backend, **words))
        for words in ({}, {"prompt": "a blue dog"}, {"negative_prompt": "a blue dog"})
    ]

    assert not np.array_equal(videos[0], videos[1])
    assert not np.array_equal(videos[0], videos[2])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("model", "option", "value"),
    [("wan", "flow_shift", 1.5), ("wan-2.2", "guidance_scale_2", 9.0)],
)
async def test_an_option_changes_the_video_and_the_next_one_is_as_before(
    backend: DiffusersBackend, model: str, option: str, value: float
) -> None:
    before = await video(backend, make_plan(backend, model))
    changed = await video(backend, make_plan(backend, model, options={option: value}))

    assert not np.array_equal(before, changed)
    assert np.array_equal(before, await video(backend, make_plan(backend, model)))


@pytest.mark.parametrize(
    "scheduler", ["FlowMatchEulerDiscreteScheduler", "UniPCMultistepScheduler"]
)
def test_the_shift_reaches_the_scheduler_under_the_name_that_it_has(
    wan_copy: Path, scheduler: str
) -> None:
    import diffusers

    from media_agent_diffusers.pipelines.pipeline import LoadedPipeline

    settings = {"shift": 3.0}
    if scheduler == "UniPCMultistepScheduler":
        settings = {
            "flow_shift": 3.0,
            "use_flow_sigmas": True,
            "prediction_type": "flow_prediction",
        }
        index = wan_copy / "model_index.json"
        index.write_text(index.read_text().replace("FlowMatchEulerDiscreteScheduler", scheduler))
    getattr(diffusers, scheduler)(**settings).save_pretrained(wan_copy / "scheduler")
    pipeline = LoadedPipeline(read_folder(wan_copy), DiffusersOptions(), threads=1)
    arguments = {"prompt": "a cat", "width": 16, "height": 16, "num_frames": 5}

    def frames(shift: float | None) -> np.ndarray:
        return pipeline.run(
            {**arguments, "num_inference_steps": 3},
            seed=0,
            on_step=lambda done, total: None,
            flow_shift=shift,
        ).frames

    assert np.array_equal(frames(None), frames(3.0))
    assert not np.array_equal(frames(3.0), frames(12.0))
    pipeline.release()


@pytest.mark.anyio
async def test_fewer_frames_than_a_pipeline_can_make_are_refused_before_any_work(
    backend: DiffusersBackend,
) -> None:
    plan = make_plan(backend, "wan-flf2v", inputs=(first(), last()))

    with pytest.raises(InvalidRequestError, match="at least 5 frames"):
        await backend.submit(plan.request.model_copy(update={"num_frames": 1}), key="few")


@pytest.mark.anyio
async def test_the_first_image_decides_what_an_image_model_makes(
    backend: DiffusersBackend,
) -> None:
    red = await video(backend, make_plan(backend, "wan-i2v", inputs=(first(),)))
    blue = first(image(color="blue"))

    assert not np.array_equal(
        red, await video(backend, make_plan(backend, "wan-i2v", inputs=(blue,)))
    )


@pytest.mark.anyio
async def test_progress_goes_through_loading_denoising_and_decoding(
    backend: DiffusersBackend,
) -> None:
    events = await submit_and_observe(
        backend, make_plan(backend, options={"num_inference_steps": 5})
    )

    told = [event for event in events if isinstance(event, JobProgressed)]
    phases = [phase for phase, _ in groupby(event.phase for event in told)]
    assert phases[-3:] == ["encoding the prompt", "denoising", "decoding"]  # newer ones replace old
    steps = [event.message for event in told if event.phase == "denoising"]
    assert set(steps) <= {f"step {done} of 5" for done in range(6)}
    fractions = [event.fraction or 0.0 for event in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(0.9)


@pytest.mark.anyio
async def test_cancelled_work_ends_and_the_model_stays_usable(backend: DiffusersBackend) -> None:
    steps = 900
    ref = await backend.submit(
        make_plan(backend, options={"num_inference_steps": steps}).request, key="long"
    )
    told = 0

    async with aclosing(backend.observe(ref)) as events:
        async for event in events:
            if isinstance(event, JobProgressed) and event.phase == "denoising":
                told += 1
                await backend.cancel(ref)

    assert isinstance(event, JobCancelled)
    assert event.artifacts == ()
    assert told < steps
    assert (await video(backend, make_plan(backend))).shape == (5, 16, 32, 3)


@pytest.mark.anyio
async def test_what_was_finished_is_kept_when_it_is_stopped_while_decoding(
    backend: DiffusersBackend,
) -> None:
    size = Size(width=160, height=96)  # large enough that decoding it takes a while
    ref = await backend.submit(make_plan(backend, num_frames=17, size=size).request, key="decoding")

    async with aclosing(backend.observe(ref)) as events:
        async for event in events:
            if isinstance(event, JobProgressed) and event.phase == "decoding":
                await backend.cancel(ref)

    assert isinstance(event, JobCompleted | JobCancelled)
    assert len(read_frames(Path(event.artifacts[0].path or ""))) == 17


def test_a_pipeline_that_is_stopped_takes_not_one_step_more(folder_of: FolderOf) -> None:
    from media_agent_diffusers.pipelines.pipeline import LoadedPipeline

    class StoppedError(Exception):
        pass

    pipeline = LoadedPipeline(read_folder(folder_of("wan")), DiffusersOptions(), threads=1)
    arguments = {"prompt": "a cat", "width": 16, "height": 16, "num_frames": 5}
    steps: list[tuple[int, int]] = []

    def stop_at_the_third(done: int, total: int) -> None:
        steps.append((done, total))
        if done == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        pipeline.run({**arguments, "num_inference_steps": 9}, seed=0, on_step=stop_at_the_third)

    assert steps == [(0, 9), (1, 9), (2, 9), (3, 9)]
    made = pipeline.run(
        {**arguments, "num_inference_steps": 2}, seed=0, on_step=lambda done, total: None
    )
    assert made.frames.shape == (5, 16, 16, 3)
    pipeline.release()


def test_the_memory_of_a_released_model_is_free_at_once(folder_of: FolderOf) -> None:
    from media_agent_diffusers.pipelines.pipeline import LoadedPipeline

    pipeline = LoadedPipeline(read_folder(folder_of("wan")), DiffusersOptions(), threads=1)
    arguments = {"prompt": "a cat", "width": 16, "height": 16, "num_frames": 5}
    pipeline.run({**arguments, "num_inference_steps": 2}, seed=0, on_step=lambda done, total: None)
    parts = pipeline._pipe.components.values()
    kept = [weakref.ref(part) for part in parts if hasattr(part, "parameters")]
    del parts

    pipeline.release()

    assert len(kept) == 3
    assert [part for part in kept if part() is not None] == []


def test_values_that_are_no_numbers_are_an_error_and_no_video(folder_of: FolderOf) -> None:
    from media_agent_diffusers.pipelines.pipeline import LoadedPipeline

    pipeline = LoadedPipeline(read_folder(folder_of("wan")), DiffusersOptions(), threads=1)
    arguments = {"prompt": "a cat", "width": 16, "height": 16, "num_frames": 5}

    with pytest.raises(GenerationFailedError, match="no numbers"):
        pipeline.run(
            {**arguments, "num_inference_steps": 2, "guidance_scale": 1e38},
            seed=0,
            on_step=lambda done, total: None,
        )


@pytest.mark.anyio
async def test_models_take_turns_in_memory(backend: DiffusersBackend) -> None:
    before = await video(backend, make_plan(backend))
    await video(backend, make_plan(backend, "mochi"))

    assert np.array_equal(before, await video(backend, make_plan(backend)))


@pytest.mark.anyio
async def test_nothing_is_asked_of_the_network(
    folder_of: FolderOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("somebody wanted to connect")

    models = {"mochi": folder_of("mochi")}
    fresh = DiffusersBackend(BackendSettings(data_dir=tmp_path, models=models, threads=1))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    frames = await video(fresh, make_plan(fresh, "mochi"))

    await fresh.aclose()
    assert len(frames) == 7


@pytest.mark.anyio
async def test_fewer_bits_work_too(folder_of: FolderOf, tmp_path: Path) -> None:
    models = {name: str(folder_of(name)) for name in ("wan", "mochi")}
    options = {"models": models, "dtype": "bfloat16", "device": "cpu", "vae_tiling": True}
    backend = DiffusersBackend(BackendSettings(data_dir=tmp_path, options=options, threads=1))

    for model, frames in (("wan", 5), ("mochi", 7)):
        assert len(await video(backend, make_plan(backend, model))) == frames
    await backend.aclose()


@pytest.mark.anyio
async def test_a_prompt_that_is_too_long_is_cut_and_the_record_says_so(
    backend: DiffusersBackend,
) -> None:
    plan = make_plan(
        backend, prompt="a red cat on a green hill", options={"max_sequence_length": 8}
    )

    done = (await submit_and_observe(backend, plan))[-1]

    assert isinstance(done, JobCompleted)
    assert done.prompts_sent is not None
    assert len(done.prompts_sent[0]) < len("a red cat on a green hill")
    assert ["the prompt is longer than 8 tokens" in said for said in done.warnings] == [True]


@pytest.mark.anyio
async def test_a_negative_prompt_without_effect_is_said(backend: DiffusersBackend) -> None:
    plan = make_plan(backend, negative_prompt="a dog", options={"guidance_scale": 1})

    done = (await submit_and_observe(backend, plan))[-1]

    assert isinstance(done, JobCompleted)
    assert ["has no effect" in said for said in done.warnings] == [True]


def test_frames_and_size_go_to_what_the_family_makes(backend: DiffusersBackend) -> None:
    wan = make_plan(backend, duration=5, size=Size(width=100, height=50)).request
    mochi = make_plan(backend, "mochi", duration=1, size=Size(width=100, height=50)).request

    assert (wan.num_frames, str(wan.size), wan.fps) == (81, "96x48", 16.0)
    assert (mochi.num_frames, str(mochi.size), mochi.fps) == (31, "96x48", 30.0)


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ("wan", {"options": {"steps": 3}}, "option steps"),
        ("wan", {"options": {"num_inference_steps": 0}}, "below 1"),
        ("mochi", {"options": {"num_inference_steps": 1}}, "below 2"),
        ("wan", {"options": {"guidance_scale_2": 3.0}}, "option guidance_scale_2"),
        ("mochi", {"options": {"image_fit": "pad"}}, "option image_fit"),
        ("wan-i2v", {"inputs": (first(),), "options": {"image_fit": "stretch"}}, "image_fit"),
        ("wan", {"inputs": (first(),)}, "image_to_video"),
        ("wan-i2v", {}, "text_to_video"),
        ("wan", {"endless": True, "num_frames": None}, "endless"),
        ("wan", {"policy": Policy.STRICT, "num_frames": 6}, "4k\\+1 frames"),
        ("wan", {"policy": Policy.STRICT, "fps": 24}, "16 frames per second"),
    ],
)
def test_what_a_model_cannot_do_is_refused_before_anything(
    backend: DiffusersBackend, model: str, fields: dict[str, object], said: str
) -> None:
    with pytest.raises(UnsupportedRequestError, match=said):
        make_plan(backend, model, **fields)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ("wan", {"size": Size(width=40, height=16)}, "multiples of 16"),
        ("wan", {"num_frames": 6}, r"4k\+1 frames, not 6"),
        ("mochi", {"num_frames": 5}, r"6k\+1 frames, not 5"),
        ("wan", {"options": {"diffusers": {"num_inference_step": 2}}}, "num_inference_step"),
        (
            "wan",
            {"options": {"diffusers": {"num_inference_steps": 0}}},
            "^option num_inference_steps=0: ",
        ),
    ],
)
async def test_what_pipelines_round_without_a_word_is_refused_before_any_work(
    backend: DiffusersBackend, model: str, fields: dict[str, object], said: str
) -> None:
    request = make_plan(backend, model).request.model_copy(update=fields)

    with pytest.raises(InvalidRequestError, match=said) as caught:
        await backend.submit(request, key="never")

    if "takes no" in caught.value.message:
        assert "did you mean num_inference_steps" in (caught.value.hint or "")


@pytest.mark.parametrize("frames", [0, -5])
def test_no_frames_and_fewer_are_no_request(backend: DiffusersBackend, frames: int) -> None:
    with pytest.raises(ValueError, match="less than one frame"):
        make_plan(backend, num_frames=frames)


def test_an_argument_that_a_pipeline_does_not_take_is_named_with_the_nearest_one(
    folder_of: FolderOf,
) -> None:
    from media_agent_diffusers.pipelines.pipeline import LoadedPipeline

    pipeline = LoadedPipeline(read_folder(folder_of("wan")), DiffusersOptions(), threads=1)

    with pytest.raises(InvalidRequestError, match="no argument frames") as caught:
        pipeline.run({"prompt": "a cat", "frames": 5}, seed=0, on_step=lambda done, total: None)

    assert caught.value.hint == "did you mean num_frames?"


def test_no_second_copy_of_a_video_is_made_of_its_numbers() -> None:
    import tracemalloc

    pytest.importorskip("diffusers")
    from media_agent_diffusers.pipelines.pipeline import _to_pixels

    video = np.linspace(0, 1, 50 * 64 * 64 * 3, dtype=np.float32).reshape(50, 64, 64, 3)
    tracemalloc.start()
    try:
        pixels = _to_pixels(video)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert np.array_equal(pixels, (video * 255).round().astype(np.uint8))
    assert most < video.nbytes / 4 + 4 * video[0].nbytes


def huge(path: Path) -> None:
    Image.new("1", (9000, 9000)).save(path)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "put", "said"),
    [
        ("text.png", lambda path: path.write_text("not an image"), "it is text"),
        ("cut.png", lambda path: path.write_bytes(image(300, 300)[:-40]), "it is damaged"),
        ("nowhere.png", lambda path: None, "no such file"),
        ("folder.png", Path.mkdir, "it is a folder"),
        ("huge.png", huge, "more than 64 million pixels"),
        ("moving.gif", Image.new("L", (16, 16)).save, "it is a GIF"),
    ],
)
async def test_a_bad_image_is_refused_before_any_work(
    backend: DiffusersBackend, tmp_path: Path, name: str, put: Callable[[Path], object], said: str
) -> None:
    put(tmp_path / name)
    medium = MediaInput(role="first_frame", path=str(tmp_path / name))

    with pytest.raises(InvalidRequestError, match=said) as caught:
        await backend.submit(make_plan(backend, "wan-i2v", inputs=(medium,)).request, key="bad")

    assert name in caught.value.message
    assert not (backend.settings.data_dir / "work" / "bad").exists()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("model", "inputs", "said"),
    [
        ("wan-i2v", (), "one first_frame; none given"),
        ("wan-i2v", (first(), first()), "one first_frame; 2 given"),
        ("wan-flf2v", (last(),), "one first_frame; none given"),
    ],
)
async def test_each_image_that_a_model_needs_is_there_once(
    backend: DiffusersBackend, model: str, inputs: tuple[MediaInput, ...], said: str
) -> None:
    mode, whole = backend.capabilities(model).modes[0], (first(), last())
    whole = whole if model == "wan-flf2v" else whole[:1]
    planned = make_plan(backend, model, inputs=whole, mode=mode).request

    with pytest.raises(UnsupportedRequestError, match="first_frame"):
        make_plan(backend, model, inputs=inputs, mode=mode)
    with pytest.raises(InvalidRequestError, match=said):
        await backend.submit(planned.model_copy(update={"inputs": inputs}), key="k")


def test_an_image_at_an_address_is_refused_while_planning(backend: DiffusersBackend) -> None:
    there = MediaInput(role="first_frame", url="http://x/a.png")

    with pytest.raises(UnsupportedRequestError, match="reads files, not addresses"):
        make_plan(backend, "wan-i2v", inputs=(there,))


@pytest.mark.anyio
@pytest.mark.parametrize("fit", ["crop", "pad"])
async def test_an_image_of_another_shape_is_fitted_and_the_record_says_so(
    backend: DiffusersBackend, fit: str
) -> None:
    square = first(image(64, 64))

    done = (
        await submit_and_observe(
            backend, make_plan(backend, "wan-i2v", inputs=(square,), options={"image_fit": fit})
        )
    )[-1]

    assert isinstance(done, JobCompleted)
    how = {"crop": "cropped", "pad": "filled up with black"}[fit]
    assert done.warnings == (f"first_frame: 64x64, {how} to 32x16",)


@pytest.mark.anyio
@pytest.mark.parametrize("library", ["diffusers", "torch", "ftfy"])
async def test_a_missing_library_is_named_with_the_way_to_install_it(
    folder_of: FolderOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    models = {"wan": folder_of("wan")}
    monkeypatch.setitem(sys.modules, library, None)
    describe_missing.cache_clear()
    backend = DiffusersBackend(BackendSettings(data_dir=tmp_path, models=models, threads=1))
    describe_missing.cache_clear()
    said = f"diffusers needs {library}: {install_hint('diffusers')}"

    with pytest.raises(BackendUnavailableError, match=re.escape(said)):
        await backend.submit(make_plan(backend).request, key="k")

    assert (backend.capabilities().missing or "").startswith(library)
    await backend.aclose()


@pytest.mark.anyio
async def test_weights_that_lack_a_part_fail_the_job_instead_of_making_noise(
    wan_copy: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    file = wan_copy / "transformer" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["blocks.1.attn1.to_q.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    backend = DiffusersBackend(
        BackendSettings(data_dir=tmp_path, models={"wan": wan_copy}, threads=1)
    )

    done = (await submit_and_observe(backend, make_plan(backend)))[-1]

    await backend.aclose()
    assert isinstance(done, JobFailed)
    assert done.error.code == "storage"
    assert "transformer has no weights for blocks.1.attn1.to_q.weight" in done.error.message


@pytest.mark.anyio
async def test_a_config_that_does_not_fit_the_weights_fails_the_job(
    wan_copy: Path, tmp_path: Path
) -> None:
    config = wan_copy / "transformer" / "config.json"
    config.write_text(config.read_text().replace('"ffn_dim": 32', '"ffn_dim": 48'))
    backend = DiffusersBackend(
        BackendSettings(data_dir=tmp_path, models={"wan": wan_copy}, threads=1)
    )

    done = (await submit_and_observe(backend, make_plan(backend)))[-1]

    await backend.aclose()
    assert isinstance(done, JobFailed)
    assert done.error.code == "storage"
    assert str(wan_copy) in done.error.message


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("model_index.json", {"scheduler": ["diffusers", "DDIMScheduler"]}),
        ("vae/config.json", {"latents_mean": [0.0]}),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 0}),
    ],
)
async def test_components_that_do_not_fit_together_fail_the_job_and_are_named(
    wan_copy: Path, tmp_path: Path, file: str, changes: dict[str, object]
) -> None:
    said = {**json.loads((wan_copy / file).read_text()), **changes}
    (wan_copy / file).write_text(json.dumps(said))
    backend = DiffusersBackend(
        BackendSettings(data_dir=tmp_path, models={"wan": wan_copy}, threads=1)
    )

    done = (await submit_and_observe(backend, make_plan(backend)))[-1]

    await backend.aclose()
    assert isinstance(done, JobFailed)
    named = ("WanPipeline stopped at ", f"the model folder {wan_copy} cannot be used: ")
    assert done.error.message.startswith(named), done.error.message
    assert done.error.hint is not None


def test_a_damaged_model_is_named_and_leaves_the_others_alone(
    folder_of: FolderOf, tmp_path: Path
) -> None:
    models = {"gone": tmp_path / "gone", "wan": folder_of("wan")}
    backend = DiffusersBackend(BackendSettings(data_dir=tmp_path, models=models, threads=1))

    assert backend.capabilities().model == "wan"
    assert backend.capabilities().models == ("wan",)
    with pytest.raises(StorageError, match="there is no such folder"):
        backend.capabilities("gone")


@pytest.mark.parametrize("patch", [1000, 10**9])
def test_a_model_with_an_impossible_value_leaves_the_others_alone(
    folder_of: FolderOf, wan_copy: Path, tmp_path: Path, patch: int
) -> None:
    config = wan_copy / "transformer" / "config.json"
    said = {**json.loads(config.read_text()), "patch_size": [1, patch, patch]}
    config.write_text(json.dumps(said))
    models = {"odd": wan_copy, "wan": folder_of("wan")}

    backend = DiffusersBackend(BackendSettings(data_dir=tmp_path, models=models, threads=1))

    assert backend.capabilities().models == ("wan",)
    with pytest.raises(StorageError, match="cannot be used") as caught:
        backend.capabilities("odd")
    assert str(wan_copy) in caught.value.message


def test_without_a_model_or_with_a_wrong_name_the_way_out_is_said(
    folder_of: FolderOf, tmp_path: Path
) -> None:
    with pytest.raises(BackendUnavailableError, match="no model yet") as none:
        DiffusersBackend(BackendSettings(data_dir=tmp_path, threads=1)).capabilities()
    models = {"wan": folder_of("wan")}
    backend = DiffusersBackend(BackendSettings(data_dir=tmp_path, models=models, threads=1))
    with pytest.raises(InvalidRequestError, match="no model 'wam'") as wrong:
        backend.capabilities("wam")

    assert "media-agent models add" in (none.value.hint or "")
    assert "did you mean wan?" in (wrong.value.hint or "")


def test_folders_of_the_settings_file_count_from_where_it_lies(
    folder_of: FolderOf, tmp_path: Path
) -> None:
    (tmp_path / "weights").symlink_to(folder_of("wan"))
    settings = BackendSettings(
        data_dir=tmp_path, options={"models": {"mine": "weights"}}, folder=tmp_path
    )

    assert DiffusersBackend(settings).capabilities().model == "mine"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dtpye": "float32"}, "dtpye"),
        ({"dtype": "int4"}, "dtype"),
        ({"device": "tpu"}, "device"),
        ({"models": {"Not A Name": "x"}}, "models"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        DiffusersBackend(BackendSettings(tmp_path, options=options, threads=1))  # type: ignore[arg-type]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({"device": "cuda"}, "backend_unavailable", "torch finds no GPU"),
        ({"device": "cpu", "offload": "model"}, "configuration", "needs a GPU"),
        ({"device": "cpu", "dtype": "float16"}, "configuration", "does not work on a CPU"),
    ],
)
async def test_settings_that_this_machine_cannot_do_fail_with_the_way_out(
    folder_of: FolderOf, tmp_path: Path, options: dict[str, object], code: str, said: str
) -> None:
    import torch

    if options["device"] == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    settings = BackendSettings(tmp_path, options, models={"wan": folder_of("wan")}, threads=1)  # type: ignore[arg-type]
    backend = DiffusersBackend(settings)

    done = (await submit_and_observe(backend, make_plan(backend)))[-1]

    await backend.aclose()
    assert isinstance(done, JobFailed)
    assert (done.error.code, said in done.error.message) == (code, True)
    assert done.error.hint is not None


@pytest.mark.gpu
@pytest.mark.anyio
@pytest.mark.parametrize("offload", ["auto", "none", "model", "group", "sequential"])
async def test_a_gpu_makes_videos_too(folder_of: FolderOf, tmp_path: Path, offload: str) -> None:
    options = {"device": "cuda", "offload": offload}
    settings = BackendSettings(tmp_path, options, models={"wan": folder_of("wan")}, threads=1)
    backend = DiffusersBackend(settings)

    assert len(await video(backend, make_plan(backend))) == 5
    await backend.aclose()


def test_the_record_says_on_what_it_was_computed(folder_of: FolderOf) -> None:
    from media_agent.backend.cores import usable_cores
    from media_agent_diffusers.pipelines.pipeline import LoadedPipeline

    folder = read_folder(folder_of("wan"))

    chosen = LoadedPipeline(folder, DiffusersOptions(), threads=1).computation
    own = LoadedPipeline(folder, DiffusersOptions()).computation

    assert (chosen.device, chosen.dtype, chosen.threads) == ("cpu", "float32", 1)
    assert own.threads == usable_cores()
    assert chosen.library.startswith("torch ")
