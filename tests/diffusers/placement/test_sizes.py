"""Sizes are read from headers, whatever the files store the numbers as."""

from collections.abc import Callable
from pathlib import Path

import pytest

from media_agent_diffusers.model_folder.folder import read_folder
from media_agent_diffusers.placement.sizes import measure_components


@pytest.mark.parametrize(("dtype", "share"), [("float32", 1.0), ("bfloat16", 0.5)])
def test_a_component_takes_what_its_numbers_take_once_loaded(
    folder_of: Callable[[str], Path], dtype: str, share: float
) -> None:
    from media_agent_diffusers.pipelines.pipeline import LoadedPipeline
    from media_agent_diffusers.settings import DiffusersOptions

    folder = read_folder(folder_of("wan"))
    pipe = LoadedPipeline(folder, DiffusersOptions(), threads=1)._pipe

    sizes = measure_components(folder, {"default": dtype, "vae": "float32"})

    assert set(sizes) == {"transformer", "vae", "text_encoder"}
    for name, factor in (("transformer", share), ("vae", 1.0), ("text_encoder", share)):
        tensors = [each.nbytes for each in getattr(pipe, name).parameters()]
        assert sizes[name].total == pytest.approx(sum(tensors) * factor, rel=0.05)
        assert sizes[name].largest == max(tensors) * factor
