"""What the settings may say about this backend, under [backends.diffusers] options."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from media_agent_schemas.base import Schema

ModelName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="in small letters, such as my-model"),
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
    offload: Literal["none", "model", "sequential"] = Field(
        default="none",
        description="Keep in the GPU's memory only the part that works: slower, smaller.",
    )
    vae_tiling: bool = Field(
        default=False, description="Decode in tiles: slower, needs less memory."
    )
    models: dict[ModelName, Path] = Field(
        default={}, description="Folders of weights by model name."
    )
