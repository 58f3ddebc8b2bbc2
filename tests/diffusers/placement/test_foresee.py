"""A plan says how a model will be held in memory, and refuses what does not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from media_agent.backend.free_memory import FreeMemory
from media_agent.backend.protocol import BackendSettings
from media_agent.errors import BackendUnavailableError
from media_agent.negotiation.negotiate import negotiate
from media_agent_diffusers.backend import DiffusersBackend
from media_agent_schemas import Estimate, VideoRequest

FolderOf = Callable[[str], Path]
MB = 2**20


@pytest.fixture
def plan(folder_of: FolderOf, tmp_path: Path) -> Callable[..., Estimate]:
    """Return what plans with so many free MiB of main memory, and of a GPU if there is one."""

    def estimate(*, main: int = 10_000, gpu: int | None = None, **options: Any) -> Estimate:
        (tmp_path / "memory.max").write_text(str(main * MB))
        (tmp_path / "memory.current").write_text("0")
        (tmp_path / "memory.stat").write_text("")
        listing = "" if gpu is None else f"0, {gpu}, a GPU"
        free = FreeMemory(smi=("printf", "%s", listing), devices=tmp_path, group=tmp_path)
        free.read()
        models = {"wan": folder_of("wan")}
        settings = BackendSettings(tmp_path, options, models=models, free_memory=free)
        backend = DiffusersBackend(settings)
        request = VideoRequest(prompt="a cat", num_frames=81)
        return negotiate(
            request, backend.capabilities(), draw_seed=lambda: 0, estimate=backend.estimate
        ).estimate

    return estimate


@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        (
            10_000,
            "all weights in the memory where it computes: needs about 6.0 GiB of 9.8 GiB free",
        ),
        (4_000, "model offload, decoding in tiles: needs about 1.8 GiB of 3.9 GiB free"),
    ],
)
def test_a_plan_says_how_a_model_will_be_held_on_a_gpu(
    plan: Callable[..., Estimate], gpu: int, said: str
) -> None:
    memory = plan(gpu=gpu).memory

    assert memory is not None
    assert (str(memory), memory.where, memory.fits) == (said, "cuda", True)


def test_what_does_not_fit_is_refused_before_anything_starts(
    plan: Callable[..., Estimate],
) -> None:
    with pytest.raises(BackendUnavailableError, match=r"needs about .* and cuda has 100 MiB free"):
        plan(gpu=100)
    with pytest.raises(
        BackendUnavailableError, match=r"this machine, without a GPU, has .* free"
    ) as caught:
        plan(main=100)

    assert "use a smaller model" in str(caught.value.hint)


def test_a_way_that_the_settings_insist_on_is_marked_and_not_refused(
    plan: Callable[..., Estimate],
) -> None:
    memory = plan(gpu=100, offload="model", vae_tiling=False).memory

    assert memory is not None
    assert (memory.held, memory.fits) == ("model offload", False)


def test_weights_need_room_where_they_wait(plan: Callable[..., Estimate]) -> None:
    with pytest.raises(BackendUnavailableError, match="wait in main memory: they take"):
        plan(gpu=4_000, main=0)


@pytest.mark.parametrize("device", ["cuda:3", "cpu"])
def test_the_device_of_the_settings_is_looked_at(
    plan: Callable[..., Estimate], device: str
) -> None:
    memory = plan(gpu=100, device=device).memory

    assert (memory and memory.where) == ("this machine" if device == "cpu" else None)
