"""Which videos are compiled for, and what happens where nothing can be compiled."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from media_agent.backend.free_memory import FreeMemory
from media_agent.errors import BackendUnavailableError
from media_agent_magi.engine.blocks.layers import gated_sum
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import Block, VideoDiT
from media_agent_magi.magi.compiled import Compiling
from media_agent_magi.magi.family import MagiFamily
from media_agent_magi.magi.folder import MagiFolder
from media_agent_magi.magi.options import MagiOptions
from media_agent_schemas import VideoRequest

SAMPLER = SamplerConfig(num_steps=4, window_size=2, chunk_width=2, null_caption_tokens=3)


def broken(graph: nn.Module, inputs: list[torch.Tensor]) -> Any:
    raise RuntimeError("no compiler was found\nand much more")


def joins(model: VideoDiT) -> set[object]:
    return {module.gated_sum for module in model.modules() if isinstance(module, Block)}


@pytest.mark.parametrize(
    ("given", "device", "compiles"),
    [("auto", "cuda:1", True), ("auto", "cpu", False), ("on", "cpu", True), ("off", "cuda", False)],
)
def test_it_compiles_on_gpus_unless_told(given: str, device: str, compiles: bool) -> None:
    assert MagiOptions.model_validate({"compile": given}).compiles(device) is compiles


def test_a_loaded_model_is_compiled_for_its_request(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Compiling] = []
    monkeypatch.setattr(Compiling, "apply", lambda self, *_, **__: asked.append(self))
    folder = MagiFolder.find(release)
    family = MagiFamily("small", folder.config, folder, kept=tmp_path)
    request = VideoRequest.model_validate(
        {"prompt": "x", "n": 2, "size": {"width": 96, "height": 64}}
    )

    for given in ("auto", "on"):
        options = MagiOptions.model_validate({"device": "cpu", "compile": given})
        free = FreeMemory()
        free.main_bytes = 2**40
        family.load(threads=1, request=request, options=options, free=free)

    assert asked == [Compiling((16, 6, 8, 12), 2, tmp_path / "compiled", required=True)]


def test_where_nothing_compiles_the_plain_functions_stay(
    small_videos: Any, caplog: pytest.LogCaptureFixture
) -> None:
    model = small_videos.random_model(small_videos.sizes)

    Compiling(small_videos.shape).apply(model, SAMPLER, backend=broken)

    assert joins(model) == {gated_sum}
    assert "no compiler was found" in caplog.text


def test_what_has_to_be_compiled_and_cannot_is_an_error(small_videos: Any) -> None:
    model = small_videos.random_model(small_videos.sizes)

    with pytest.raises(BackendUnavailableError, match="no compiler was found") as caught:
        Compiling(small_videos.shape, required=True).apply(model, SAMPLER, backend=broken)

    assert "compile" in str(caught.value)


@pytest.mark.slow
def test_compiled_code_is_kept_in_its_folder(
    small_videos: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    model, plain = (small_videos.random_model(small_videos.sizes) for _ in range(2))

    Compiling(small_videos.shape, kept=tmp_path / "compiled", required=True).apply(model, SAMPLER)

    assert any((tmp_path / "compiled").rglob("*.*"))
    assert joins(model) != joins(plain)
    x, t = torch.randn(1, *small_videos.shape), torch.full((1, 1), 0.5)
    given = model.null_caption()[None], torch.ones(1, len(model.null_caption()))
    ours, theirs = (each(x, t, *given, kv_ranges=[(0, 8)]) for each in (model, plain))
    assert torch.allclose(ours, theirs, atol=1e-4)
