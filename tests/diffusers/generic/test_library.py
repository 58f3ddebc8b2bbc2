"""What the installed diffusers has is read without importing it, and is what it has."""

import inspect
import subprocess
import sys

import pytest

from media_agent_diffusers.generic.library import read_signature


@pytest.mark.parametrize(
    "pipeline", ["LattePipeline", "SanaVideoPipeline", "Kandinsky5I2VPipeline", "FluxPipeline"]
)
def test_a_signature_read_from_text_is_that_of_the_class(pipeline: str) -> None:
    import diffusers

    parameters = inspect.signature(getattr(diffusers, pipeline).__call__).parameters
    signature = read_signature(pipeline)

    assert signature is not None
    assert {*signature.required, *signature.defaults} == parameters.keys() - {"self"}
    for name, value in signature.defaults.items():
        if value is not None:
            assert value == parameters[name].default


@pytest.mark.parametrize("pipeline", ["AcmePipeline", "", "no name", "DiffusionPipeline"])
def test_a_class_that_is_no_pipeline_of_diffusers_has_none(pipeline: str) -> None:
    assert read_signature(pipeline) is None


def test_reading_imports_neither_torch_nor_diffusers() -> None:
    program = """
import sys
from media_agent_diffusers.generic.library import read_signature
assert "video_length" in read_signature("LattePipeline")
print(*{"torch", "diffusers", "transformers", "numpy"} & sys.modules.keys())
"""

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == ""
