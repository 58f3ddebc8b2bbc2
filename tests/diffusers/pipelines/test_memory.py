"""Models are held as the free memory allows; when it runs out all the same, once more."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.negotiation.negotiate import negotiate
from media_agent.testing import events_of
from media_agent.video.codec import read_frames
from media_agent_diffusers.backend import DiffusersBackend
from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_diffusers.placement.plan import CPU_STEPS, STEPS, Activations, MemoryPlan, Step
from media_agent_diffusers.settings import DiffusersOptions
from media_agent_schemas import Policy, Size, VideoRequest
from media_agent_schemas.events import BackendEvent, JobCompleted, JobFailed, JobProgressed

FolderOf = Callable[[str], Path]
MB = 10**6
NOTHING = Activations(0, 0)


def make_backend(
    folder_of: FolderOf, data_dir: Path, *, free: int = 10**12, **options: Any
) -> DiffusersBackend:
    settings = BackendSettings(data_dir, options, models={"wan": folder_of("wan")}, threads=1)
    return DiffusersBackend(settings, free_memory=lambda device: free)


async def observe(
    backend: DiffusersBackend, key: str = "work", policy: Policy = Policy.ADJUST
) -> list[BackendEvent]:
    request = VideoRequest.model_validate(
        {
            "prompt": "a red cat",
            "size": Size(width=32, height=16),
            "seed": 0,
            "num_frames": 5,
            "options": {"diffusers": {"num_inference_steps": 2, "max_sequence_length": 16}},
        }
    )
    plan = negotiate(request, backend.capabilities(), policy, draw_seed=lambda: 0)
    return await events_of(backend, await backend.submit(plan.request, key=key))


@pytest.fixture
def decoder_needs_tiles(folder_of: FolderOf, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Let the decoder run out of memory unless it decodes in tiles; return what it was asked."""
    import torch
    from diffusers import AutoencoderKLWan

    asked: list[bool] = []
    decode = AutoencoderKLWan.decode

    def decode_or_fail(self: Any, *arguments: Any, **named: Any) -> Any:
        asked.append(self.use_tiling)
        if not self.use_tiling:
            raise torch.OutOfMemoryError("tried to allocate 20 GiB")
        return decode(self, *arguments, **named)

    monkeypatch.setattr(AutoencoderKLWan, "decode", decode_or_fail)
    return asked


@pytest.mark.anyio
async def test_memory_that_runs_out_leads_to_the_next_way_once_and_the_record_says_so(
    folder_of: FolderOf, tmp_path: Path, decoder_needs_tiles: list[bool]
) -> None:
    backend = make_backend(folder_of, tmp_path)

    done = (await observe(backend))[-1]

    await backend.aclose()
    assert isinstance(done, JobCompleted), done
    assert decoder_needs_tiles == [False, True]
    assert len(read_frames(Path(done.artifacts[0].path or ""))) == 5
    (said,) = done.warnings
    assert said.startswith("out of memory with all weights in the memory where it computes; ")
    assert said.endswith("decoding in tiles")
    assert done.computation is not None
    assert (done.computation.offload, done.computation.vae_tiling) == ("none", True)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "tries", "hint"),
    [
        ({"on_out_of_memory": "strict"}, 1, "on_out_of_memory = 'adjust'"),
        ({"vae_tiling": False}, 1, "smaller size"),
    ],
)
async def test_memory_that_runs_out_fails_where_nothing_else_is_allowed(
    folder_of: FolderOf,
    tmp_path: Path,
    decoder_needs_tiles: list[bool],
    options: dict[str, object],
    tries: int,
    hint: str,
) -> None:
    backend = make_backend(folder_of, tmp_path, **options)

    done = (await observe(backend))[-1]

    await backend.aclose()
    assert isinstance(done, JobFailed)
    assert done.error.code == "generation_failed"
    assert "out of memory" in done.error.message
    assert hint in (done.error.hint or "")
    assert len(decoder_needs_tiles) == tries


@pytest.mark.anyio
async def test_under_policy_strict_nothing_is_tried_again(
    folder_of: FolderOf, tmp_path: Path, decoder_needs_tiles: list[bool]
) -> None:
    backend = make_backend(folder_of, tmp_path)

    done = (await observe(backend, policy=Policy.STRICT))[-1]

    await backend.aclose()
    assert isinstance(done, JobFailed)
    assert "on_out_of_memory = 'adjust'" in (done.error.hint or "")
    assert len(decoder_needs_tiles) == 1


@pytest.mark.anyio
async def test_it_is_tried_twice_and_not_more_often(
    folder_of: FolderOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers import AutoencoderKLWan

    tries = []

    def fail(self: Any, *arguments: Any, **named: Any) -> Any:
        tries.append(1)
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 20 bytes")

    folder_of("wan")
    monkeypatch.setattr(AutoencoderKLWan, "decode", fail)
    backend = make_backend(folder_of, tmp_path)

    done = (await observe(backend))[-1]

    await backend.aclose()
    assert isinstance(done, JobFailed)
    assert "and again with" in done.error.message
    assert len(tries) == 2


@pytest.mark.anyio
async def test_a_model_that_cannot_fit_is_refused_before_it_is_loaded(
    folder_of: FolderOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers import WanPipeline

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was loaded")

    folder_of("wan")
    monkeypatch.setattr(WanPipeline, "from_pretrained", refuse)
    backend = make_backend(folder_of, tmp_path, free=100_000)

    done = (await observe(backend))[-1]

    await backend.aclose()
    assert isinstance(done, JobFailed)
    assert done.error.code == "backend_unavailable"
    assert "this machine, without a GPU, has 0 MiB free" in done.error.message
    assert "set offload = 'none' to try it" in (done.error.hint or "")


@pytest.mark.anyio
async def test_what_is_set_is_tried_also_where_it_should_not_fit(
    folder_of: FolderOf, tmp_path: Path
) -> None:
    backend = make_backend(folder_of, tmp_path, free=100_000, offload="none", vae_tiling=False)

    done = (await observe(backend))[-1]

    await backend.aclose()
    assert isinstance(done, JobCompleted)


@pytest.mark.anyio
async def test_how_it_is_held_is_said_before_it_is_loaded(
    folder_of: FolderOf, tmp_path: Path
) -> None:
    backend = make_backend(folder_of, tmp_path, free=2 * 10**9)

    events = await observe(backend)

    await backend.aclose()
    said = [event.message for event in events if isinstance(event, JobProgressed)]
    assert any("of 1.9 GiB free" in (message or "") for message in said)


@pytest.mark.anyio
async def test_8_bits_make_nearly_the_same_video_and_the_record_says_so(
    folder_of: FolderOf, tmp_path: Path
) -> None:
    videos = []
    for fp8 in (False, True):
        backend = make_backend(folder_of, tmp_path / str(fp8), fp8=fp8)
        done = (await observe(backend))[-1]
        await backend.aclose()
        assert isinstance(done, JobCompleted), done
        assert done.computation is not None
        assert ("float8" in done.computation.dtype) is fp8
        videos.append(read_frames(Path(done.artifacts[0].path or "")).astype(int))

    assert not np.array_equal(*videos)
    assert np.abs(videos[0] - videos[1]).mean() < 16


@pytest.mark.parametrize(
    ("family", "held"), [("wan", "transformer"), ("svd", "unet"), ("animatediff", "unet")]
)
def test_what_removes_the_noise_is_held_in_8_bits(
    folder_of: FolderOf, family: str, held: str
) -> None:
    import torch

    from media_agent_diffusers.pipelines.pipeline import LoadedPipeline

    folder = read_folder(folder_of(family))
    pipeline = LoadedPipeline(folder, DiffusersOptions(fp8=True), threads=1)

    assert pipeline.computation.dtype == f"float32, {held} in float8"
    weights = getattr(pipeline._pipe, held).parameters()
    assert torch.float8_e4m3fn in {each.dtype for each in weights}


@pytest.mark.anyio
async def test_a_model_with_nothing_to_hold_in_8_bits_says_so(
    folder_of: FolderOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_agent_diffusers.pipelines.load.DENOISERS", ())
    backend = make_backend(folder_of, tmp_path, fp8=True)

    done = (await observe(backend))[-1]

    await backend.aclose()
    assert isinstance(done, JobCompleted), done
    assert done.computation is not None
    assert done.computation.dtype == "float32"
    assert done.warnings == ("fp8 has no effect: nothing of this model can be held in 8 bits",)


def test_models_stay_in_memory_together_as_long_as_both_fit(folder_of: FolderOf) -> None:
    from media_agent_diffusers.pipelines.loaded import LoadedModels

    free = {"cpu": 10**9}
    models = LoadedModels(DiffusersOptions(), threads=1, measure=lambda device: free[device])
    folders = {name: read_folder(folder_of(name)) for name in ("wan", "mochi", "cogvideox")}

    def open_model(name: str) -> Any:
        return models.open(name, folders[name], models.plan(name, folders[name], NOTHING))

    wan, mochi = open_model("wan"), open_model("mochi")
    assert open_model("wan") is wan
    free["cpu"] = 1000  # a third one needs more: mochi was not used for longest
    free_after = iter([1000, 10**9])
    models._measure = lambda device: next(free_after)
    open_model("cogvideox")

    models._measure = lambda device: 10**9
    assert open_model("wan") is wan
    assert open_model("mochi") is not mochi
    models.release_all()


def test_a_model_that_is_held_counts_for_itself(folder_of: FolderOf) -> None:
    from media_agent_diffusers.pipelines.loaded import LoadedModels

    folder = read_folder(folder_of("wan"))
    free = 10**9
    models = LoadedModels(DiffusersOptions(), threads=1, measure=lambda device: free)
    held = models.open("wan", folder, models.plan("wan", folder, NOTHING))
    free = 0  # it took all there was

    again = models.plan("wan", folder, NOTHING)

    assert again.fits
    assert models.open("wan", folder, again) is held
    models.release_all()


def test_a_model_is_loaded_again_where_the_next_video_needs_more_room(folder_of: FolderOf) -> None:
    from media_agent_diffusers.pipelines.loaded import LoadedModels

    folder = read_folder(folder_of("wan"))
    models = LoadedModels(DiffusersOptions(), threads=1, measure=lambda device: 100 * MB)
    small, large = Activations(MB, MB), Activations(1000 * MB, MB)
    whole = models.open("wan", folder, models.plan("wan", folder, small))

    plan = models.plan("wan", folder, large)
    tiled = models.open("wan", folder, plan)

    assert plan.step == CPU_STEPS[1]
    assert tiled is not whole
    assert models.open("wan", folder, models.plan("wan", folder, small)) is tiled  # it is enough
    models.release_all()


def test_what_stops_within_another_class_leaves_no_weights_on_the_device(
    folder_of: FolderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers import DiffusionPipeline
    from PIL import Image

    from media_agent_diffusers.pipelines.pipeline import LoadedPipeline

    offloaded = []

    def offload(self: Any, **_: object) -> None:
        self._all_hooks = ["a component"]  # what it remembers of a real one
        offloaded.append(type(self).__name__)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    folder = read_folder(folder_of("wan"))
    monkeypatch.setattr(DiffusionPipeline, "enable_model_cpu_offload", offload)
    pipeline = LoadedPipeline(folder, DiffusersOptions(), step=STEPS[1], threads=1)
    offloaded.clear()

    with pytest.raises(KeyboardInterrupt):
        pipeline.run(
            {"prompt": "a cat", "video": [Image.new("RGB", (32, 32))] * 5, "height": 32}
            | {"width": 32, "num_inference_steps": 2, "max_sequence_length": 16},
            seed=0,
            on_step=stop,
            pipeline="WanVideoToVideoPipeline",
        )

    assert offloaded == ["WanPipeline"]


@pytest.mark.anyio
async def test_a_way_that_ran_out_before_is_neither_tried_again_nor_named(
    folder_of: FolderOf,
    tmp_path: Path,
    decoder_needs_tiles: list[bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from diffusers import AutoencoderKLWan

    def fail(self: Any, *arguments: Any, **named: Any) -> Any:
        decoder_needs_tiles.append(self.use_tiling)
        raise MemoryError

    backend = make_backend(folder_of, tmp_path)
    assert isinstance((await observe(backend))[-1], JobCompleted)
    decoder_needs_tiles.clear()
    monkeypatch.setattr(AutoencoderKLWan, "decode", fail)

    events = await observe(backend, key="more")

    await backend.aclose()
    assert isinstance(events[-1], JobFailed)
    assert decoder_needs_tiles == [True]
    held = "all weights in the memory where it computes, decoding in tiles: needs"
    assert events[-1].error.message.startswith(f"out of memory with {held}")


@pytest.fixture
def gpu_models(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the models of a GPU with 1 GB that loads nothing."""
    from media_agent_diffusers.pipelines import loaded

    class Stub:
        def __init__(self, *_: object, step: Step, threads: int | None) -> None:
            self.step = step

        def release(self) -> None: ...

    monkeypatch.setattr(loaded, "choose_device", lambda options: "cuda")
    monkeypatch.setattr(loaded, "LoadedPipeline", Stub)
    return loaded.LoadedModels(DiffusersOptions(), measure=lambda device: 1000 * MB)


def test_a_faster_way_is_taken_again_once_it_fits(folder_of: FolderOf, gpu_models: Any) -> None:
    folder = read_folder(folder_of("wan"))

    def open_for(activations: Activations) -> Step:
        plan = gpu_models.plan("wan", folder, activations)
        step: Step = gpu_models.open("wan", folder, plan).step
        assert step == plan.step
        return step

    large = gpu_models.plan("wan", folder, NOTHING, steps=STEPS[3:])
    assert gpu_models.open("wan", folder, large).step == STEPS[3]
    assert open_for(NOTHING) == STEPS[0]


def test_a_way_that_ran_out_is_passed_over_for_videos_as_large(
    folder_of: FolderOf, gpu_models: Any
) -> None:
    folder, video = read_folder(folder_of("wan")), Activations(50 * MB, 10 * MB)

    for ran_out, left in pairwise(STEPS):
        plan = gpu_models.plan("wan", folder, video)
        assert plan.step == ran_out
        gpu_models.remember_failure("wan", plan)
        assert gpu_models.plan("wan", folder, video).step == left

    assert gpu_models.plan("wan", folder, NOTHING).step == STEPS[0]


def test_a_plan_reads_as_a_sentence() -> None:
    plan = MemoryPlan(STEPS[2], 23 * 2**30, 24 * 2**30)

    assert str(plan) == "model offload, decoding in tiles: needs about 23.0 GiB of 24.0 GiB free"
