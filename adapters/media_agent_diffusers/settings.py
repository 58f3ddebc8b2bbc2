"""What the settings may say about this backend, under [backends.diffusers] options."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from media_agent_schemas.base import Schema
from media_agent_schemas.facts import OptionSpec

NAME = "diffusers"
MEMORY = "on_out_of_memory"
MEMORY_OPTION = OptionSpec(
    name=MEMORY,
    type="string",
    choices=("adjust", "strict"),
    strict="strict",
    description="What happens when memory runs out: adjust tries once more with a way that needs "
    "less, strict fails; if not given, what the settings say.",
)
ModelName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="in small letters, such as my-model"),
]
ComponentName = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="such as transformer or transformer_2"),
]


class DiffusersOptions(Schema):
    """How models are loaded, and where they are."""

    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d{1,2})?)$",
        description="cpu, cuda or cuda:1; auto: the first GPU if there is one.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="Numbers of the weights; auto: bfloat16 on a GPU, float32 on a CPU.",
    )
    offload: Literal["auto", "none", "model", "group", "sequential"] = Field(
        default="auto",
        description="Keep in the GPU's memory only the part that works: slower, smaller; auto: as "
        "far as the free memory asks for it.",
    )
    vae_tiling: bool | Literal["auto"] = Field(
        default="auto",
        description="Decode in tiles: slower, needs less memory; auto: where it is needed.",
    )
    fp8: bool = Field(
        default=False,
        description="Hold the transformers, or the unet, in 8 bits: half the memory, slightly "
        "other videos.",
    )
    on_out_of_memory: Literal["adjust", "strict"] = Field(
        default="adjust",
        description="What happens when memory runs out: adjust tries once more with a way that "
        "needs less, strict fails.",
    )
    models: dict[ModelName, Path] = Field(
        default={}, description="Folders of weights by model name."
    )
    loras: dict[ModelName, dict[ModelName, Path]] = Field(
        default={}, description="By model name: safetensors files of LoRA weights by their name."
    )
    gguf: dict[ModelName, dict[ComponentName, Path]] = Field(
        default={},
        description="By model name: GGUF files that take the place of the weights of a component, "
        "by its name, such as transformer.",
    )
    image_models: dict[ModelName, ModelName] = Field(
        default={},
        description="By model name: the model from images that continues its videos where they are "
        "longer than it makes at once.",
    )
